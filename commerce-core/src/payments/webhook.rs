//! Webhooks of providers and their events.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::provider_error::Cause;
use super::{Outcome, RefundOutcome};
use crate::ids::{PaymentId, RefundId};
use crate::money::Money;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentKey {
    /// By our id, with which the attempt was begun.
    Id(PaymentId),
    /// By the provider's own id.
    Reference(String),
}

/// How a webhook identifies a refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundKey {
    /// By our id, with which the refund was requested.
    Id(RefundId),
    /// By the provider's own id.
    Reference(String),
}

/// A dispute: the shopper's bank takes the money back until it has decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dispute {
    /// The provider's own id of the dispute.
    pub reference: String,
    /// The disputed amount.
    pub amount: Money,
    /// The provider's code for the reason, such as `fraudulent`.
    pub reason: String,
    /// The provider's word for the state, such as `needs_response`.
    pub state: String,
}

impl Dispute {
    /// A dispute with the provider's own id, reason and state.
    pub fn new(
        reference: impl Into<String>,
        amount: Money,
        reason: impl Into<String>,
        state: impl Into<String>,
    ) -> Self {
        Self { reference: reference.into(), amount, reason: reason.into(), state: state.into() }
    }
}

/// An event of a verified webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
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
    /// The state of a dispute. It changes no sums: the order shows it, and the shop gets an alert.
    Dispute {
        /// The provider's own id of the event.
        event_id: String,
        /// The disputed payment.
        payment: PaymentKey,
        /// The dispute.
        dispute: Dispute,
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
            | Self::Dispute { event_id, .. }
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
