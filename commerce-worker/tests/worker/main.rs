//! The worker against a real Postgres: as a library with jobs of the tests' own, and as the program that is shipped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]

mod attempts;
mod backend;
mod given;
mod idle;
mod mail_command;
mod mails;
mod orders;
mod pace;
mod program;
mod reindex;
mod shutdown;
mod sweeps;
