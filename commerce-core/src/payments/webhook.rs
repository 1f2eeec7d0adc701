//! What a provider sends by itself, and what it tells.

use chrono::{DateTime, Utc};
use http::HeaderMap;

use super::provider_error::Cause;
use super::{Outcome, RefundOutcome};
use crate::ids::{PaymentId, RefundId};

/// A webhook as it came in. Nothing of it is to be believed before the provider has verified it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct WebhookDelivery<'a> {
    /// The headers, among them the signature.
    pub headers: &'a HeaderMap,
    /// The raw body: what the signature was made over.
    pub body: &'a [u8],
    /// When it came in, by the database's clock. Signatures of another time are refused.
    pub received_at: DateTime<Utc>,
}

impl<'a> WebhookDelivery<'a> {
    /// A request to the webhook's address.
    pub fn new(headers: &'a HeaderMap, body: &'a [u8], received_at: DateTime<Utc>) -> Self {
        Self { headers, body, received_at }
    }
}

/// How a webhook names an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentKey {
    /// By the id that it was begun with.
    Id(PaymentId),
    /// By the provider's own id of it.
    Reference(String),
}

/// How a webhook names a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundKey {
    /// By the id that it was asked for with.
    Id(RefundId),
    /// By the provider's own id of it.
    Reference(String),
}

/// What a verified webhook tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebhookEvent {
    /// How an attempt stands.
    Payment {
        /// The provider's own id of the event.
        event_id: String,
        /// Which attempt.
        payment: PaymentKey,
        /// How it stands.
        outcome: Outcome,
    },
    /// How a refund stands.
    Refund {
        /// The provider's own id of the event.
        event_id: String,
        /// Which refund.
        refund: RefundKey,
        /// How it stands.
        outcome: RefundOutcome,
    },
    /// Nothing that the shop acts on.
    Ignored {
        /// The provider's own id of the event.
        event_id: String,
        /// The provider's word for what happened.
        kind: String,
    },
}

impl WebhookEvent {
    /// The provider's own id of the event: the same event may come again.
    pub fn event_id(&self) -> &str {
        match self {
            Self::Payment { event_id, .. }
            | Self::Refund { event_id, .. }
            | Self::Ignored { event_id, .. } => event_id,
        }
    }
}

/// Why a webhook was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The provider sends none, or is not set up to verify any.
    #[error("this payment provider does not support webhooks")]
    NotExpected,
    /// Whoever sent it is not the provider, or it was changed or is too old.
    #[error("the signature of the webhook is invalid")]
    Unverified,
    /// It was verified, but says nothing that can be understood.
    #[error("the webhook cannot be read: {0}")]
    Unreadable(#[source] Cause),
}

impl WebhookError {
    /// A verified webhook that cannot be understood.
    pub fn unreadable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreadable(Cause::from(cause.into()))
    }
}
