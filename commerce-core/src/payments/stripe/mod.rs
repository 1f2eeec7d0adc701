//! Stripe, with its hosted Checkout Sessions.

mod amount;
mod api;
mod form;
mod objects;
mod outcome;
mod provider;
mod refunds;
mod session_form;
mod settings;
mod webhook;

pub use provider::StripeProvider;
pub use settings::StripeSettings;
