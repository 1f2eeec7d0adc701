//! The providers of commerce-core against the peers, without a database: what is sent, what the answers mean, and what
//! happens when answers are lost.

mod given;
mod razorpay;
mod stripe;
mod vectors;
