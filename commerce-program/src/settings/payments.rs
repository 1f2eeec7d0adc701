use std::sync::Arc;

use clap::Args;
use commerce_core::payments::{MockProvider, PaymentProvider, ProviderName, Providers};

/// The payment providers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Payments")]
pub struct PaymentSettings {
    /// Payment providers that are enabled, the same for API and worker, separated by commas. `mock` accepts
    /// every payment, for tests and demonstrations
    #[arg(long, env = "COMMERCE_PAYMENT_PROVIDERS", default_value = "", value_delimiter = ',', value_parser = provider)]
    payment_providers: Vec<Option<ProviderName>>,
}

impl PaymentSettings {
    /// The enabled providers. `public_url` is the URL of the API for shoppers.
    pub fn providers(&self, public_url: &str) -> Providers {
        let mock = || -> Arc<dyn PaymentProvider> { Arc::new(MockProvider::new(public_url)) };
        let switched_on = self.payment_providers.iter().flatten();
        Providers::new(switched_on.filter(|name| **name == ProviderName::MOCK).map(|_| mock()))
    }
}

/// An empty text means no provider, so that the variable can be set and empty.
fn provider(text: &str) -> Result<Option<ProviderName>, String> {
    match text.trim() {
        "" => Ok(None),
        "mock" => Ok(Some(ProviderName::MOCK)),
        other => Err(format!("{other:?} is not a provider of this build; there is: mock")),
    }
}
