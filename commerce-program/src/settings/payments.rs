use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use commerce_core::payments::{
    MockProvider, PaymentProvider, ProviderName, Providers, RazorpayProvider, RazorpaySettings,
    StripeProvider, StripeSettings,
};

/// The payment providers.
#[derive(Clone, Args)]
#[command(next_help_heading = "Payments")]
pub struct PaymentSettings {
    /// Payment providers that are enabled, the same for API and worker, separated by commas: `stripe`, `razorpay`, and
    /// `mock`, which accepts every payment, for tests and demonstrations
    #[arg(long, env = "COMMERCE_PAYMENT_PROVIDERS", default_value = "", value_delimiter = ',', value_parser = provider)]
    payment_providers: Vec<Option<ProviderName>>,

    /// Where a shopper comes back to after paying on a provider's page. Stripe replaces {CHECKOUT_SESSION_ID} in it
    /// [default: a page of the API, /payment-return]
    #[arg(long, env = "COMMERCE_CHECKOUT_SUCCESS_URL", default_value = "", hide_default_value = true)]
    checkout_success_url: String,

    /// Where a shopper comes back to without having paid [default: a page of the API, /payment-return/cancelled]
    #[arg(long, env = "COMMERCE_CHECKOUT_CANCEL_URL", default_value = "", hide_default_value = true)]
    checkout_cancel_url: String,

    /// The secret key of the Stripe account: `sk_…`, or a restricted key, `rk_…`
    #[arg(
        long,
        env = "STRIPE_SECRET_KEY",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    stripe_secret_key: String,

    /// The signing secret of Stripe's webhook, `whsec_…`. While it is exchanged, the old and the new one, separated by
    /// a comma
    #[arg(
        long,
        env = "STRIPE_WEBHOOK_SECRET",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    stripe_webhook_secret: String,

    /// The URL of Stripe's API
    #[arg(long, env = "STRIPE_API_BASE", default_value = StripeSettings::API_BASE)]
    stripe_api_base: String,

    /// The id of the Razorpay API key, `rzp_…`
    #[arg(long, env = "RAZORPAY_KEY_ID", default_value = "", hide_default_value = true)]
    razorpay_key_id: String,

    /// The secret of the Razorpay API key
    #[arg(
        long,
        env = "RAZORPAY_KEY_SECRET",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    razorpay_key_secret: String,

    /// The secret of Razorpay's webhook. While it is exchanged, the old and the new one, separated by a comma
    #[arg(
        long,
        env = "RAZORPAY_WEBHOOK_SECRET",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    razorpay_webhook_secret: String,

    /// The URL of Razorpay's API
    #[arg(long, env = "RAZORPAY_API_BASE", default_value = RazorpaySettings::API_BASE)]
    razorpay_api_base: String,
}

impl PaymentSettings {
    /// The enabled providers. `public_url` is the URL of the API for shoppers.
    pub fn providers(&self, public_url: &str) -> anyhow::Result<Providers> {
        let enabled: BTreeSet<&ProviderName> = self.payment_providers.iter().flatten().collect();
        let providers = enabled.into_iter().map(|name| self.provider(name, public_url));
        Ok(Providers::new(providers.collect::<anyhow::Result<Vec<_>>>()?))
    }

    fn provider(&self, name: &ProviderName, public_url: &str) -> anyhow::Result<Arc<dyn PaymentProvider>> {
        match name.as_str() {
            "stripe" => Ok(Arc::new(self.stripe(public_url).context("Stripe")?)),
            "razorpay" => Ok(Arc::new(self.razorpay().context("Razorpay")?)),
            _ => Ok(Arc::new(MockProvider::new(public_url))),
        }
    }

    fn stripe(&self, public_url: &str) -> anyhow::Result<StripeProvider> {
        let key = required("STRIPE_SECRET_KEY", &self.stripe_secret_key)?;
        required("STRIPE_WEBHOOK_SECRET", &self.stripe_webhook_secret)?;
        let back = |url: &str, path: &str| match url.trim() {
            "" => format!("{}{path}", public_url.trim_end_matches('/')),
            url => url.to_owned(),
        };
        let mut settings = StripeSettings::new(
            key,
            back(&self.checkout_success_url, "/payment-return"),
            back(&self.checkout_cancel_url, "/payment-return/cancelled"),
        );
        settings.webhook_secrets = secrets(&self.stripe_webhook_secret);
        settings.api_base = api_base(&self.stripe_api_base, StripeSettings::API_BASE);
        StripeProvider::new(settings).context("STRIPE_API_BASE or STRIPE_SECRET_KEY")
    }

    fn razorpay(&self) -> anyhow::Result<RazorpayProvider> {
        let id = required("RAZORPAY_KEY_ID", &self.razorpay_key_id)?;
        let secret = required("RAZORPAY_KEY_SECRET", &self.razorpay_key_secret)?;
        required("RAZORPAY_WEBHOOK_SECRET", &self.razorpay_webhook_secret)?;
        let mut settings = RazorpaySettings::new(id, secret);
        settings.webhook_secrets = secrets(&self.razorpay_webhook_secret);
        settings.api_base = api_base(&self.razorpay_api_base, RazorpaySettings::API_BASE);
        RazorpayProvider::new(settings).context("RAZORPAY_API_BASE or RAZORPAY_KEY_ID")
    }
}

/// Without the keys.
impl std::fmt::Debug for PaymentSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PaymentSettings")
            .field("payment_providers", &self.payment_providers)
            .finish_non_exhaustive()
    }
}

/// An empty text means no provider, so that the variable can be set and empty.
fn provider(text: &str) -> Result<Option<ProviderName>, String> {
    match text.trim() {
        "" => Ok(None),
        "mock" => Ok(Some(ProviderName::MOCK)),
        "stripe" => Ok(Some(ProviderName::STRIPE)),
        "razorpay" => Ok(Some(ProviderName::RAZORPAY)),
        other => Err(format!("{other:?} is not a provider of this build; there are: mock, razorpay, stripe")),
    }
}

/// A setting that an enabled provider needs.
fn required<'a>(name: &str, value: &'a str) -> anyhow::Result<&'a str> {
    let value = value.trim();
    anyhow::ensure!(
        !value.is_empty(),
        "{name} is not set, but COMMERCE_PAYMENT_PROVIDERS enables the provider"
    );
    Ok(value)
}

/// One secret, or several separated by commas.
fn secrets(text: &str) -> Vec<String> {
    let secrets = text.split(',').map(str::trim).filter(|secret| !secret.is_empty());
    secrets.map(str::to_owned).collect()
}

fn api_base(text: &str, default: &str) -> String {
    let text = text.trim();
    if text.is_empty() { default.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        payments: PaymentSettings,
    }

    fn settings(arguments: &[&str]) -> PaymentSettings {
        Program::parse_from([&["program"], arguments].concat()).payments
    }

    const STRIPE: [&str; 4] =
        ["--stripe-secret-key", "sk_test_s3cret", "--stripe-webhook-secret", "whsec_s3cret, whsec_0ld"];

    #[test]
    fn enabled_providers_are_made() {
        let enabled = [&STRIPE[..], &["--payment-providers", "stripe,mock,stripe"]].concat();
        let providers = settings(&enabled).providers("https://shop.example").unwrap();
        assert_eq!(providers.names().map(ProviderName::as_str).collect::<Vec<_>>(), ["mock", "stripe"]);
        assert_eq!(settings(&[]).providers("").unwrap().names().count(), 0);
    }

    #[test]
    fn a_provider_without_its_keys_stops_the_start() {
        for (provider, missing) in [("stripe", "STRIPE_SECRET_KEY"), ("razorpay", "RAZORPAY_KEY_ID")] {
            let error = settings(&["--payment-providers", provider]).providers("").unwrap_err();
            assert!(format!("{error:#}").contains(missing), "{error:#}");
        }
        let half = ["--payment-providers", "stripe", "--stripe-secret-key", "sk_test_s3cret"];
        let error = format!("{:#}", settings(&half).providers("").unwrap_err());
        assert!(error.contains("STRIPE_WEBHOOK_SECRET") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn no_secret_is_shown() {
        let wrong = ["--payment-providers", "stripe", "--stripe-api-base", "ftp://nowhere"];
        let settings = settings(&[&STRIPE[..], &wrong].concat());
        let error = settings.providers("").unwrap_err();
        for shown in [format!("{settings:?}"), format!("{error:?}"), format!("{error:#}")] {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        assert_eq!(secrets("whsec_a, whsec_b,"), ["whsec_a", "whsec_b"]);
    }
}
