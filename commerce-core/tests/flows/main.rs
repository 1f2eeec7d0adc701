//! The flows on a real Postgres: orders, stock and money, under races and in a host's transaction.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected ends there"
)]

mod alerts;
mod attempts;
mod authorizations;
mod bank_transfer;
mod carts;
mod expiry;
mod hold_limits;
mod host_transaction;
mod journeys;
mod late_money;
mod manual_payments;
mod migrations;
mod open_providers;
mod parcels;
mod part_cancel;
mod partial_stock;
mod payments;
mod quotes;
mod registration;
mod reservation;
mod returns;
mod round_trips;
mod shipping;
mod staff_orders;
mod staff_refunds;
mod sweeps;
mod uncounted;
mod webhooks;
mod withdrawals;
