//! Tools for tests, of this workspace and of programs that link this crate (feature `testing`).

mod database;
#[cfg(feature = "meilisearch")]
mod meilisearch;
mod postgres;
mod shop;
mod smtp;

pub use database::{SERVER_URL_VARIABLE, TestDatabase};
#[cfg(feature = "meilisearch")]
pub use meilisearch::{MEILISEARCH_BIN_VARIABLE, MeilisearchServer};
pub use postgres::PostgresServer;
pub use shop::{address, email, guest, guest_origin, order_wish};
pub use smtp::{ReceivedMail, SmtpBehaviour, SmtpPeer};
