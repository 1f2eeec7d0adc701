#![doc = include_str!("../README.md")]

pub mod accounts;
pub mod address;
pub mod audit;
#[deny(missing_docs)]
pub mod audit_log;
pub mod cart;
#[deny(missing_docs)]
pub mod catalog;
#[deny(missing_docs)]
pub mod db;
pub mod email_address;
#[deny(missing_docs)]
pub mod error;
pub mod flows;
pub mod idempotency;
#[deny(missing_docs)]
pub mod ids;
pub mod inventory;
pub mod jobs;
#[deny(missing_docs)]
pub mod money;
pub mod notifications;
pub mod orders;
#[deny(missing_docs)]
pub mod page;
pub mod payments;
pub mod pricing;
mod queue;
#[deny(missing_docs)]
pub mod rate_limit;
#[deny(missing_docs)]
pub mod request;
/// The tables as Diesel sees them, generated from the migrations: read from them in queries of your own, and write to them through the
/// domains only.
#[rustfmt::skip]
pub mod schema;
#[deny(missing_docs)]
pub mod search;
#[deny(missing_docs)]
pub mod settings;
pub mod shipments;
#[cfg(feature = "testing")]
pub mod testing;
mod text_enum;
