//! Whatever order a provider's events come in, with the browser's confirmation and the expiry of the order among them,
//! the order ends in the same state, and the provider's books are those of the shop.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected ends there"
)]

mod razorpay;
mod shop;
mod stripe;
