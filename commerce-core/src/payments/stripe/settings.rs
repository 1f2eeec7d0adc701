//! The settings of Stripe.

use std::fmt;
use std::time::Duration;

use crate::payments::provider_http::REQUEST_TIMEOUT;

/// How to reach Stripe, and where it sends the shopper afterwards.
#[derive(Clone)]
#[non_exhaustive]
pub struct StripeSettings {
    /// The secret key of the account, `sk_…`, or a restricted key, `rk_…`.
    pub secret_key: String,
    /// The secrets of the webhook endpoint, `whsec_…`: usually one, and two while it is exchanged. Without any,
    /// webhooks are not accepted.
    pub webhook_secrets: Vec<String>,
    /// The URL of the API, without `/v1`.
    pub api_base: String,
    /// Where the shopper comes back to after paying. Stripe replaces `{CHECKOUT_SESSION_ID}` in it.
    pub success_url: String,
    /// Where the shopper comes back to without having paid.
    pub cancel_url: String,
    /// The longest time for one request.
    pub timeout: Duration,
}

impl StripeSettings {
    /// The URL of Stripe's own API.
    pub const API_BASE: &'static str = "https://api.stripe.com";

    /// Stripe's own API, without webhooks.
    pub fn new(
        secret_key: impl Into<String>,
        success_url: impl Into<String>,
        cancel_url: impl Into<String>,
    ) -> Self {
        Self {
            secret_key: secret_key.into(),
            webhook_secrets: Vec::new(),
            api_base: Self::API_BASE.to_owned(),
            success_url: success_url.into(),
            cancel_url: cancel_url.into(),
            timeout: REQUEST_TIMEOUT,
        }
    }
}

/// Without the secrets.
impl fmt::Debug for StripeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeSettings")
            .field("api_base", &self.api_base)
            .field("success_url", &self.success_url)
            .field("cancel_url", &self.cancel_url)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
