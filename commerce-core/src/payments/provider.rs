//! What a payment provider does for a shop. Implementations talk to the outside; nothing here touches the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    Outcome, Payment, ProviderError, ProviderName, Refund, RefundOutcome, WebhookDelivery, WebhookError,
    WebhookEvent,
};

/// A payment provider. A host plugs in its own by implementing this and handing it to [`Providers`].
///
/// Every call is keyed by the id of the payment or by [`Refund::provider_key`], so that asking twice has one effect.
/// A call may be made again after its answer was lost.
pub trait PaymentProvider: Send + Sync {
    /// Who it is; stored with each payment.
    fn name(&self) -> ProviderName;

    /// Whether `request`, the shopper's part of `/pay`, can be used; otherwise what is wrong with it.
    fn check_request(&self, request: &serde_json::Value) -> Result<(), String>;

    /// Begins the attempt, or finds the one that was begun for this payment.
    fn start<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>>;

    /// Asks how the attempt stands after the shopper did what was required, and completes it if that is left to do.
    fn confirm<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>>;

    /// Makes the attempt impossible to complete; says so if it was completed before.
    fn expire<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>>;

    /// Asks how the attempt stands, and changes nothing. `None`: the provider has never heard of it.
    fn attempt_status<'a>(
        &'a self,
        payment: &'a Payment,
    ) -> BoxFuture<'a, Result<Option<Outcome>, ProviderError>>;

    /// Gives money back, under the key [`Refund::provider_key`].
    fn refund<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<RefundOutcome, ProviderError>>;

    /// Asks how a refund stands, and changes nothing. `None`: the provider has never heard of it.
    ///
    /// A refund that was retried stands for all its attempts: it has succeeded if any of them has, and has failed only
    /// if none of them is still pending.
    fn refund_status<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<Option<RefundOutcome>, ProviderError>>;

    /// Verifies a webhook and reads it: what it tells, in the order it tells it.
    fn webhook(&self, delivery: &WebhookDelivery<'_>) -> Result<Vec<WebhookEvent>, WebhookError> {
        let _ = delivery;
        Err(WebhookError::NotExpected)
    }
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
    pub fn get(&self, name: &ProviderName) -> Option<&dyn PaymentProvider> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// Those that are switched on, by name.
    pub fn names(&self) -> impl Iterator<Item = &ProviderName> {
        self.0.keys()
    }
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
