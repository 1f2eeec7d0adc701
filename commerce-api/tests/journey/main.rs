//! The product as it is shipped: both programs on a real Postgres with a real SMTP server, driven over HTTP. People buy, and
//! programs are killed, stopped and starved while they do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]

mod bookkeeping;
mod client;
mod held;
mod load;
#[path = "../peers/moto.rs"]
mod moto;
mod pictures;
mod program;
#[path = "../peers/providers.rs"]
mod providers;
mod shop;
mod till;
#[path = "../http/webdriver.rs"]
#[allow(dead_code, reason = "each program of tests uses a part of it")]
mod webdriver;

mod browser_tests;
mod canary;
mod commands;
mod killed;
mod killed_money;
mod killed_money_often;
mod purchase;
mod starved;
mod stopped;
