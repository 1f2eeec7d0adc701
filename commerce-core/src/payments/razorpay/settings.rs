//! The settings of Razorpay.

use std::fmt;
use std::time::Duration;

use crate::payments::provider_http::REQUEST_TIMEOUT;

/// How to reach Razorpay, and what its checkout shows.
#[derive(Clone)]
#[non_exhaustive]
pub struct RazorpaySettings {
    /// The id of the API key, `rzp_…`. The shopper's browser gets it.
    pub key_id: String,
    /// The secret of the API key. It also signs what the shopper's browser brings back.
    pub key_secret: String,
    /// The secrets of the webhook: usually one, and two while it is exchanged. Without any, webhooks are not accepted.
    pub webhook_secrets: Vec<String>,
    /// The URL of the API, without `/v1`.
    pub api_base: String,
    /// The name of the shop in the checkout.
    pub shop_name: Option<String>,
    /// The longest time for one request.
    pub timeout: Duration,
}

impl RazorpaySettings {
    /// The URL of Razorpay's own API.
    pub const API_BASE: &'static str = "https://api.razorpay.com";

    /// Razorpay's own API, without webhooks.
    pub fn new(key_id: impl Into<String>, key_secret: impl Into<String>) -> Self {
        Self {
            key_id: key_id.into(),
            key_secret: key_secret.into(),
            webhook_secrets: Vec::new(),
            api_base: Self::API_BASE.to_owned(),
            shop_name: None,
            timeout: REQUEST_TIMEOUT,
        }
    }
}

/// Without the secrets.
impl fmt::Debug for RazorpaySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RazorpaySettings")
            .field("key_id", &self.key_id)
            .field("api_base", &self.api_base)
            .field("shop_name", &self.shop_name)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
