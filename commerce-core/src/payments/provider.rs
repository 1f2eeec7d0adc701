//! What a payment provider does for a shop. Implementations talk to the outside; nothing here touches the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{Payment, Refund};
use crate::text_enum::text_enum;

text_enum! {
    /// A provider that payments can be made with.
    pub enum ProviderName {
        /// Plays a provider: does what the request says. For trying things out.
        Mock = "mock",
        Stripe = "stripe",
        Razorpay = "razorpay",
        /// Money that a person took, in cash or by bank transfer.
        Manual = "manual",
    }
}

/// What the shopper must do for the payment to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RequiredAction {
    /// Go to this address and come back.
    Redirect { url: String },
}

/// What a provider says of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Succeeded {
        reference: String,
    },
    /// `code` is the provider's word for why, such as `card_declined`.
    Failed {
        reference: Option<String>,
        code: String,
    },
    RequiresAction {
        reference: String,
        action: RequiredAction,
    },
    /// The provider will tell later.
    Processing {
        reference: String,
    },
    /// The attempt can no longer succeed.
    Expired,
}

/// What a provider says of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOutcome {
    Succeeded { reference: String },
    Failed { code: String },
}

/// Why a provider said nothing useful.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It may have done what was asked, or not: ask again with the same attempt.
    #[error("the payment provider {provider} cannot be reached: {detail}")]
    Unreachable { provider: ProviderName, detail: String },
    /// It will never do what was asked.
    #[error("the payment provider {provider} refused the request: {detail}")]
    Refused { provider: ProviderName, detail: String },
}

/// A payment provider. Every call is keyed by the id of the payment or refund, so that asking twice has one effect.
pub trait PaymentProvider: Send + Sync {
    /// Who it is; stored with each payment.
    fn name(&self) -> ProviderName;

    /// Whether `request`, the shopper's part of `/pay`, can be used; otherwise what is wrong with it.
    fn check_request(&self, request: &serde_json::Value) -> Result<(), String>;

    /// Begins the attempt, or finds the one that was begun for this payment.
    fn start<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>>;

    /// Asks how the attempt stands after the shopper did what was required.
    fn confirm<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>>;

    /// Makes the attempt impossible to complete; says so if it was completed before.
    fn expire<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>>;

    /// Gives money back.
    fn refund<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<RefundOutcome, ProviderError>>;
}

/// The providers a shop has switched on.
#[derive(Clone, Default)]
pub struct Providers(BTreeMap<ProviderName, Arc<dyn PaymentProvider>>);

impl Providers {
    /// These providers. Of two with one name the last counts.
    pub fn new(providers: impl IntoIterator<Item = Arc<dyn PaymentProvider>>) -> Self {
        Self(providers.into_iter().map(|provider| (provider.name(), provider)).collect())
    }

    /// The provider, if it is switched on.
    pub fn get(&self, name: ProviderName) -> Option<&dyn PaymentProvider> {
        self.0.get(&name).map(AsRef::as_ref)
    }

    /// Those that are switched on.
    pub fn names(&self) -> impl Iterator<Item = ProviderName> {
        self.0.keys().copied()
    }
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
