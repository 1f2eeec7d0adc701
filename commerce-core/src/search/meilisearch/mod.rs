//! Meilisearch: where it is, what it is told, and what it says.
//!
//! Its indexes are never addressed by a fixed name: `commerce.search_indexes` names the one that is live, so that a rebuilt one takes its
//! place by an update of that row.

mod client;
mod document;
mod engine;
mod http;
mod settings;

pub use client::{Meilisearch, MeilisearchError, MeilisearchSettings};
pub use document::{COLUMNS, Document, IndexedRow};
pub use engine::MeilisearchEngine;
pub use settings::SETTINGS_VERSION;
