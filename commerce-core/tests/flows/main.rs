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
mod breaches;
mod carts;
mod contact;
mod expiry;
mod hold_limits;
mod host_transaction;
mod job_board;
mod journeys;
mod late_money;
mod low_stock;
mod manual_payments;
mod many_orders;
mod migrations;
mod open_providers;
mod order_search;
mod orders_by_phone;
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
mod stock_files;
mod stock_places;
mod sweeps;
mod uncounted;
mod webhooks;
mod withdrawals;
