//! Meilisearch: its connection, its documents and its settings.
//!
//! Indexes have no fixed name. `commerce.search_indexes` names the live index, so an update of that row
//! replaces it with a rebuilt one.

mod client;
mod document;
mod engine;
mod http;
mod settings;

pub use client::{Meilisearch, MeilisearchError, MeilisearchSettings};
pub use document::{COLUMNS, Document, IndexedRow};
pub use engine::MeilisearchEngine;
pub use settings::SETTINGS_VERSION;
