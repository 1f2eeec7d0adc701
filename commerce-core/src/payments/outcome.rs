//! The answers of providers about attempts and refunds.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::money::Money;

/// What the shopper must do to continue the payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequiredAction {
    /// Go to this URL and come back.
    Redirect {
        /// The URL.
        url: String,
    },
    /// Run the provider's own client with this data, such as the fields of its checkout or a client secret.
    Client {
        /// The data for the client, in the provider's format.
        data: serde_json::Value,
    },
}

/// Money that a provider has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Capture {
    /// The provider's own id of the payment.
    pub reference: String,
    /// The captured amount. It may differ from the requested amount.
    pub captured: Money,
    /// The provider's fee, if the provider reports it.
    pub fee: Option<Money>,
}

impl Capture {
    /// A captured amount with the provider's own id of the payment.
    pub fn new(reference: impl Into<String>, captured: Money) -> Self {
        Self { reference: reference.into(), captured, fee: None }
    }

    /// Adds the provider's fee.
    pub fn with_fee(mut self, fee: Money) -> Self {
        self.fee = Some(fee);
        self
    }
}

/// Money that a provider holds for the shop and has not taken yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Authorization {
    /// The provider's own id of the payment.
    pub reference: String,
    /// The authorized amount. It may differ from the requested amount.
    pub authorized: Money,
    /// When the provider lets go of the money, if the provider reports it.
    pub lapses_at: Option<DateTime<Utc>>,
}

impl Authorization {
    /// An authorized amount with the provider's own id of the payment.
    pub fn new(reference: impl Into<String>, authorized: Money) -> Self {
        Self { reference: reference.into(), authorized, lapses_at: None }
    }

    /// Adds the time at which the provider lets go of the money.
    pub fn with_lapse(mut self, lapses_at: DateTime<Utc>) -> Self {
        self.lapses_at = Some(lapses_at);
        self
    }
}

/// A provider's answer about an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// Money was taken.
    Succeeded(Capture),
    /// The provider holds the money until it is captured.
    Authorized(Authorization),
    /// No money was taken.
    Failed {
        /// The provider's own id of the attempt, if there is one.
        reference: Option<String>,
        /// The provider's code for the failure, such as `card_declined`.
        code: String,
    },
    /// The shopper must do something first.
    RequiresAction {
        /// The provider's own id of the attempt.
        reference: String,
        /// What the shopper must do.
        action: RequiredAction,
    },
    /// The provider will report later.
    Processing {
        /// The provider's own id of the attempt.
        reference: String,
    },
    /// The attempt can no longer succeed.
    Expired,
}

/// A provider's answer about a refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefundOutcome {
    /// The refund succeeded.
    Succeeded {
        /// The provider's own id of the refund.
        reference: String,
    },
    /// The provider accepted the refund and will report later.
    Pending {
        /// The provider's own id of the refund.
        reference: String,
    },
    /// The provider refused the refund or could not do it.
    Failed {
        /// The provider's own id of the refund, if there is one.
        reference: Option<String>,
        /// The provider's code for the failure.
        code: String,
    },
}

impl RefundOutcome {
    /// The outcome of a refund after these attempts, the last one last: it has succeeded if any of them has, and failed
    /// only if none is pending. `None` without attempts.
    pub(super) fn of_attempts(attempts: Vec<Self>) -> Option<Self> {
        let succeeded = attempts.iter().find(|attempt| matches!(attempt, Self::Succeeded { .. }));
        let pending = attempts.iter().find(|attempt| matches!(attempt, Self::Pending { .. }));
        succeeded.or(pending).or(attempts.last()).cloned()
    }
}
