//! Webhooks of providers and their events.

use chrono::{DateTime, Utc};
use http::HeaderMap;

use super::provider_error::Cause;
use super::{Outcome, RefundOutcome};
use crate::ids::{PaymentId, RefundId};

/// A webhook as it was received. Do not trust any part of it before the provider has verified it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct WebhookDelivery<'a> {
    /// The headers, including the signature.
    pub headers: &'a HeaderMap,
    /// The raw body, which the signature covers.
    pub body: &'a [u8],
    /// When it was received, by the database's clock. Signatures from another time are refused.
    pub received_at: DateTime<Utc>,
}

impl<'a> WebhookDelivery<'a> {
    /// A request to the webhook's URL.
    pub fn new(headers: &'a HeaderMap, body: &'a [u8], received_at: DateTime<Utc>) -> Self {
        Self { headers, body, received_at }
    }
}

/// How a webhook identifies an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentKey {
    /// By our id, with which the attempt was begun.
    Id(PaymentId),
    /// By the provider's own id.
    Reference(String),
}

/// How a webhook identifies a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundKey {
    /// By our id, with which the refund was requested.
    Id(RefundId),
    /// By the provider's own id.
    Reference(String),
}

/// An event of a verified webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebhookEvent {
    /// The state of an attempt.
    Payment {
        /// The provider's own id of the event.
        event_id: String,
        /// The attempt.
        payment: PaymentKey,
        /// Its outcome.
        outcome: Outcome,
    },
    /// The state of a refund.
    Refund {
        /// The provider's own id of the event.
        event_id: String,
        /// The refund.
        refund: RefundKey,
        /// Its outcome.
        outcome: RefundOutcome,
    },
    /// An event that the shop ignores.
    Ignored {
        /// The provider's own id of the event.
        event_id: String,
        /// The provider's name for the event.
        kind: String,
    },
}

impl WebhookEvent {
    /// The provider's own id of the event. The same event may arrive again.
    pub fn event_id(&self) -> &str {
        match self {
            Self::Payment { event_id, .. }
            | Self::Refund { event_id, .. }
            | Self::Ignored { event_id, .. } => event_id,
        }
    }
}

/// Why a webhook was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The provider sends no webhooks, or is not configured to verify them.
    #[error("this payment provider does not support webhooks")]
    NotExpected,
    /// The webhook is not from the provider, was changed, or is too old.
    #[error("the signature of the webhook is invalid")]
    Unverified,
    /// The webhook was verified but cannot be understood.
    #[error("the webhook cannot be read: {0}")]
    Unreadable(#[source] Cause),
}

impl WebhookError {
    /// A verified webhook that cannot be understood.
    pub fn unreadable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreadable(Cause::from(cause.into()))
    }
}
