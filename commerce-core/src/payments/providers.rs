//! The payment providers of a shop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::measured::Measured;
use super::{Outcome, Payment, PaymentProvider, ProviderError, ProviderName, in_time};

/// The providers that a shop has enabled.
#[derive(Clone, Default)]
pub struct Providers(BTreeMap<ProviderName, Arc<dyn PaymentProvider>>);

impl Providers {
    /// These providers. If two have the same name, the last counts. Their calls are measured:
    /// `commerce_provider_calls_total` and `commerce_provider_call_seconds`.
    pub fn new(providers: impl IntoIterator<Item = Arc<dyn PaymentProvider>>) -> Self {
        let measured = |provider: Arc<dyn PaymentProvider>| {
            (provider.name(), Arc::new(Measured(provider)) as Arc<dyn PaymentProvider>)
        };
        Self(providers.into_iter().map(measured).collect())
    }

    /// The provider, if it is enabled.
    pub fn get(&self, name: &ProviderName) -> Option<&dyn PaymentProvider> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// Ends an attempt at its provider (see [`PaymentProvider::expire`]), within this time.
    pub async fn end(&self, payment: &Payment, limit: Duration) -> Result<Outcome, ProviderError> {
        match self.get(&payment.provider) {
            Some(provider) => in_time(&payment.provider, limit, provider.expire(payment)).await,
            // The provider is not enabled, so nobody can be asked. Money that still comes is a late payment.
            None => Ok(Outcome::Expired),
        }
    }

    /// The names of the enabled providers.
    pub fn names(&self) -> impl Iterator<Item = &ProviderName> {
        self.0.keys()
    }
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
