#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod accounts;
pub mod address;
pub mod audit;
pub mod audit_log;
pub mod cart;
pub mod catalog;
pub mod contact;
pub mod db;
pub mod email_address;
pub mod error;
pub mod flows;
pub mod idempotency;
pub mod ids;
pub mod inventory;
pub mod jobs;
pub mod locale;
pub mod money;
pub mod notifications;
pub mod orders;
pub mod page;
pub mod payments;
pub mod pricing;
mod queue;
pub mod rate_limit;
pub mod request;
pub mod returns;
/// The tables as Diesel sees them, generated from the migrations. Read from them in your own queries, but
/// write to them only with the functions of the domains.
#[rustfmt::skip]
#[allow(missing_docs)]
pub mod schema;
pub mod search;
pub mod settings;
pub mod shipments;
pub mod spreadsheet;
#[cfg(feature = "testing")]
pub mod testing;
pub mod text;
mod text_enum;
