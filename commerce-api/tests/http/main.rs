//! The API over HTTP, on a database of its own for each test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod accounts;
mod bad_input;
mod catalogue_admin;
mod edge;
mod hostile;
mod permissions;
mod processes;
mod products;
mod shop;
mod shopping;
mod spec;
mod surface;
mod world;
mod writes;
