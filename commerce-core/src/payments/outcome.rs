//! What a provider says of attempts and refunds.

use serde::{Deserialize, Serialize};

use crate::money::Money;

/// What the shopper must do for the payment to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequiredAction {
    /// Go to this address and come back.
    Redirect {
        /// Where to.
        url: String,
    },
    /// Run the provider's own client with this, such as the fields of its checkout or a client secret.
    Client {
        /// What the client is started with, in the provider's words.
        data: serde_json::Value,
    },
}

/// Money that a provider has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capture {
    /// The provider's own id of the payment.
    pub reference: String,
    /// What was really taken. It need not be what was asked for.
    pub captured: Money,
    /// What the provider keeps of it for itself, where it tells.
    pub fee: Option<Money>,
}

impl Capture {
    /// Money taken, under the provider's own id of it.
    pub fn new(reference: impl Into<String>, captured: Money) -> Self {
        Self { reference: reference.into(), captured, fee: None }
    }

    /// With what the provider keeps for itself.
    pub fn with_fee(mut self, fee: Money) -> Self {
        self.fee = Some(fee);
        self
    }
}

/// What a provider says of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Money was taken.
    Succeeded(Capture),
    /// No money was taken.
    Failed {
        /// The provider's own id of the attempt, if it got that far.
        reference: Option<String>,
        /// The provider's word for why, such as `card_declined`.
        code: String,
    },
    /// The shopper must do something first.
    RequiresAction {
        /// The provider's own id of the attempt.
        reference: String,
        /// What the shopper must do.
        action: RequiredAction,
    },
    /// The provider will tell later.
    Processing {
        /// The provider's own id of the attempt.
        reference: String,
    },
    /// The attempt can no longer succeed.
    Expired,
}

/// What a provider says of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefundOutcome {
    /// The money went back.
    Succeeded {
        /// The provider's own id of the refund.
        reference: String,
    },
    /// The provider took it up and will tell later.
    Pending {
        /// The provider's own id of the refund.
        reference: String,
    },
    /// The provider refused, or could not do it.
    Failed {
        /// The provider's own id of the refund, if it got that far.
        reference: Option<String>,
        /// The provider's word for why.
        code: String,
    },
}
