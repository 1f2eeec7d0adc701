//! Connections to servers of every kind: with and without TLS, and in another language.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod language;
mod tls;
