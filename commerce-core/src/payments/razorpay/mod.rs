//! Razorpay, with its Orders API and its checkout in the shopper's browser.

mod api;
mod objects;
mod outcome;
mod provider;
mod refunds;
mod requests;
mod settings;
mod webhook;

pub use provider::RazorpayProvider;
pub use settings::RazorpaySettings;
