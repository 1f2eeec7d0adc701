//! Settings: each is a flag and an environment variable; `commerce-api serve --help` is the reference. A `.env` file is read.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use commerce_core::accounts::SecretKey;
use commerce_core::catalog::image::Media;
use commerce_core::db::{self, Pool, PoolSettings};
use commerce_core::email_address::{EmailAddress, InvalidEmailAddress};
use commerce_core::money::Currency;
use commerce_core::payments::{MockProvider, PaymentProvider, ProviderName, Providers};
use commerce_core::search::{
    COOL_DOWN, Meilisearch, MeilisearchEngine, MeilisearchError, MeilisearchSettings, PostgresEngine,
    SearchEngine, WithFallback,
};
use commerce_core::settings::{PaymentFailurePolicy, ReservationMode, ShopSettings};

use crate::http::state::Keys;
use crate::http::tokens::{InvalidKeys, TokenKeys};

/// Where the data is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// Postgres, such as postgres://user:password@localhost/commerce
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,

    /// Connections that this process opens at most
    #[arg(long, env = "COMMERCE_DATABASE_CONNECTIONS", default_value_t = 20, value_parser = at_least_one)]
    pub database_connections: usize,
}

impl DatabaseSettings {
    pub fn pool(&self) -> Result<Pool, db::BuildError> {
        let settings = PoolSettings { connections_max: self.database_connections, ..PoolSettings::default() };
        db::pool(&self.database_url, &settings)
    }
}

/// The secrets.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Secrets")]
pub struct SecretSettings {
    /// At least 32 random bytes in base64 (`openssl rand -base64 32`), the same for API and worker: e-mailed codes are derived from it
    #[arg(long, env = "COMMERCE_SECRET_KEY", hide_env_values = true, value_parser = SecretKey::parse)]
    pub secret_key: SecretKey,

    /// Ed25519 seeds (32 bytes in base64, separated by commas) of access tokens: the first signs, all are accepted. Derived from
    /// the secret key unless given; the word `derived` in the list is that one
    #[arg(long, env = "COMMERCE_JWT_KEYS", hide_env_values = true)]
    pub jwt_keys: Option<String>,
}

impl SecretSettings {
    pub fn keys(&self) -> Result<Keys, InvalidKeys> {
        Ok(Keys { tokens: self.token_keys()?, secret: self.secret_key.clone() })
    }

    fn token_keys(&self) -> Result<TokenKeys, InvalidKeys> {
        match self.jwt_keys.as_deref().filter(|keys| !keys.trim().is_empty()) {
            Some(keys) => TokenKeys::parse(keys, &self.secret_key),
            None => TokenKeys::derive(&self.secret_key),
        }
    }
}

/// Nobody where the setting is empty. Not spelled `Option`, by which clap would take it for a flag without a default.
type AlertEmail = Option<EmailAddress>;

fn parse_alert_email(text: &str) -> Result<AlertEmail, InvalidEmailAddress> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// The rules of the shop.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Shop")]
pub struct ShopArguments {
    /// The one currency of prices, orders and payments
    #[arg(long, env = "COMMERCE_CURRENCY", default_value = "USD")]
    currency: Currency,

    /// How long an order waits to be paid
    #[arg(long, env = "COMMERCE_ORDER_TTL", default_value = "15m", value_parser = humantime::parse_duration)]
    order_ttl: Duration,

    /// How long an expired order waits for a payment provider that cannot be reached
    #[arg(long, env = "COMMERCE_PROVIDER_GRACE", default_value = "1h", value_parser = humantime::parse_duration)]
    provider_grace: Duration,

    /// When stock is set aside: at `checkout`, or from add-to-`cart` on
    #[arg(long, env = "COMMERCE_RESERVATION_MODE", default_value = "checkout")]
    reservation_mode: ReservationMode,

    /// How long a cart holds its stock in mode `cart`
    #[arg(long, env = "COMMERCE_CART_HOLD_TTL", default_value = "15m", value_parser = humantime::parse_duration)]
    cart_hold_ttl: Duration,

    /// What a failed payment does to its order: `keep` it for another attempt, or `cancel` it
    #[arg(long, env = "COMMERCE_PAYMENT_FAILURE", default_value = "keep")]
    payment_failure: PaymentFailurePolicy,

    /// Who is told of what needs a person
    #[arg(long, env = "COMMERCE_ALERT_EMAIL", default_value = "", hide_default_value = true, value_parser = parse_alert_email)]
    alert_email: AlertEmail,
}

impl ShopArguments {
    pub fn settings(&self) -> ShopSettings {
        ShopSettings {
            currency: self.currency,
            order_ttl: self.order_ttl,
            provider_grace: self.provider_grace,
            reservation_mode: self.reservation_mode,
            cart_hold_ttl: self.cart_hold_ttl,
            payment_failure: self.payment_failure,
            alert_email: self.alert_email.clone(),
        }
    }
}

/// Who finds products by words.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Search")]
pub struct SearchSettings {
    /// Meilisearch, such as http://127.0.0.1:7700; without one, and while it does not answer, Postgres searches
    #[arg(long, env = "MEILISEARCH_URL")]
    meilisearch_url: Option<String>,

    /// A key that may search
    #[arg(long, env = "MEILISEARCH_API_KEY", hide_env_values = true)]
    meilisearch_api_key: Option<String>,

    /// How long Meilisearch may take for an answer
    #[arg(long, env = "COMMERCE_SEARCH_TIMEOUT", default_value = "1s", value_parser = humantime::parse_duration)]
    search_timeout: Duration,
}

impl SearchSettings {
    pub fn engine(&self, pool: &Pool) -> Result<Arc<dyn SearchEngine>, MeilisearchError> {
        let postgres = Arc::new(PostgresEngine::new(pool.clone()));
        let Some(url) = self.meilisearch_url.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(postgres);
        };
        let key = self.meilisearch_api_key.clone().filter(|key| !key.is_empty());
        let settings =
            MeilisearchSettings { search_timeout: self.search_timeout, ..MeilisearchSettings::new(url, key) };
        let meilisearch = MeilisearchEngine::new(pool.clone(), Meilisearch::new(&settings)?);
        Ok(Arc::new(WithFallback::new(Arc::new(meilisearch), postgres, COOL_DOWN)))
    }
}

/// Who takes the money.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Payments")]
pub struct PaymentSettings {
    /// Providers that are switched on, separated by commas; `mock` takes any order as paid, for trying things out
    #[arg(long, env = "COMMERCE_PAYMENT_PROVIDERS", default_value = "", value_delimiter = ',', value_parser = provider)]
    payment_providers: Vec<Option<ProviderName>>,
}

impl PaymentSettings {
    /// `public_url` is where shoppers reach the API.
    pub fn providers(&self, public_url: &str) -> Providers {
        let mock = || -> Arc<dyn PaymentProvider> { Arc::new(MockProvider::new(public_url)) };
        let switched_on = self.payment_providers.iter().flatten();
        Providers::new(switched_on.filter(|name| **name == ProviderName::MOCK).map(|_| mock()))
    }
}

/// Where uploaded images are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Media")]
pub struct MediaSettings {
    /// Where uploaded images are kept, the same for API and worker: file:///folder, or s3://bucket/prefix with AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY, AWS_REGION and, for other servers than Amazon's, AWS_ENDPOINT in the environment [default: the
    /// folder `media` here]
    #[arg(long, env = "COMMERCE_MEDIA_URL")]
    media_url: Option<String>,
}

impl MediaSettings {
    pub fn media(&self) -> anyhow::Result<Media> {
        Media::of_setting(self.media_url.as_deref(), std::env::vars()).context("COMMERCE_MEDIA_URL")
    }
}

/// An empty text is nobody, so that the variable can be set and empty.
fn provider(text: &str) -> Result<Option<ProviderName>, String> {
    match text.trim() {
        "" => Ok(None),
        "mock" => Ok(Some(ProviderName::MOCK)),
        other => Err(format!("{other:?} is not a provider of this build; there is: mock")),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a number from 1".to_owned())
}
