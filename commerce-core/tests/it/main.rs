//! One binary for the library's tests against a real Postgres: linking once keeps the build short.

mod expiry;
mod host_transaction;
mod late_money;
mod payments;
mod reservation;
mod shipping;
