//! The providers of commerce-core against the peers, without a database: what is sent, what the answers mean, and what
//! happens when answers are lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected ends there"
)]

mod given;
mod razorpay;
mod stripe;
mod vectors;
