//! Product search on a real Postgres, and on a real Meilisearch: one suite for both engines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected ends there"
)]

mod conformance;
mod given;
mod meilisearch_tests;
mod postgres;
mod relevance;
mod rows;
