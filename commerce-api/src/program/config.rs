//! Settings that only the API has. Those of both programs are in commerce-program. `commerce-api serve --help`
//! is the reference.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use commerce_core::db::{Pool, PoolSettings};
use commerce_core::search::{
    COOL_DOWN, Meilisearch, MeilisearchEngine, MeilisearchError, MeilisearchSettings, PostgresEngine,
    SearchEngine, WithFallback,
};
use commerce_program::settings::{self, SecretKeySettings};

use crate::edge::settings::at_least_one;
use crate::http::readers::Readers;
use crate::http::state::Keys;
use crate::http::tokens::{InvalidKeys, TokenKeys};

/// Where the data is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct ConnectionSettings {
    #[command(flatten)]
    pub database: settings::DatabaseSettings,

    /// Connections that this process opens at most, at least 2. An eighth of them reads the catalogue and nothing else,
    /// and another quarter does so while nobody buys
    #[arg(long, env = "COMMERCE_DATABASE_CONNECTIONS", default_value_t = 20, value_parser = at_least_one)]
    pub database_connections: usize,
}

impl ConnectionSettings {
    pub fn pool(&self) -> anyhow::Result<Pool> {
        self.database.pool(self.database_connections)
    }

    /// The connections of a server: those for everything, and those for reading the catalogue alone.
    pub fn pools(&self) -> anyhow::Result<(Pool, Readers)> {
        let (share, more) = (self.database_connections / 8, self.database_connections / 4);
        let readers = |connections_max| {
            let settings = PoolSettings {
                connections_max,
                wait_timeout: Duration::from_secs(2),
                statement_timeout: Duration::from_secs(3),
                ..PoolSettings::default()
            };
            self.database.pool_with(&settings)
        };
        let always = readers(share.max(1))?;
        let spare = if more == 0 { always.clone() } else { readers(more)? };
        let others = self.database_connections.saturating_sub(share.max(1) + more).max(1);
        Ok((self.database.pool(others)?, Readers { always, spare }))
    }
}

/// The secrets.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Secrets")]
pub struct SecretSettings {
    #[command(flatten)]
    secret_key: SecretKeySettings,

    /// Ed25519 seeds (32 bytes in base64, separated by commas) of access tokens: the first signs, all are accepted. Derived
    /// from the secret key unless given; the word `derived` in the list is that one
    #[arg(long, env = "COMMERCE_JWT_KEYS", hide_env_values = true)]
    jwt_keys: Option<String>,
}

impl SecretSettings {
    pub fn keys(&self) -> Result<Keys, InvalidKeys> {
        Ok(Keys { tokens: self.token_keys()?, secret: self.secret_key.secret_key.clone() })
    }

    fn token_keys(&self) -> Result<TokenKeys, InvalidKeys> {
        let secret = &self.secret_key.secret_key;
        match self.jwt_keys.as_deref().filter(|keys| !keys.trim().is_empty()) {
            Some(keys) => TokenKeys::parse(keys, secret),
            None => TokenKeys::derive(secret),
        }
    }
}

/// Who finds products by words.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Search")]
pub struct SearchEngineSettings {
    #[command(flatten)]
    search: settings::SearchSettings,

    /// How long Meilisearch may take for an answer
    #[arg(long, env = "COMMERCE_SEARCH_TIMEOUT", default_value = "1s", value_parser = humantime::parse_duration)]
    search_timeout: Duration,
}

impl SearchEngineSettings {
    pub fn engine(&self, pool: &Pool) -> Result<Arc<dyn SearchEngine>, MeilisearchError> {
        let postgres = Arc::new(PostgresEngine::new(pool.clone()));
        let Some(settings) = self.search.meilisearch() else {
            return Ok(postgres);
        };
        let settings = MeilisearchSettings { search_timeout: self.search_timeout, ..settings };
        let meilisearch = MeilisearchEngine::new(pool.clone(), Meilisearch::new(&settings)?);
        Ok(Arc::new(WithFallback::new(Arc::new(meilisearch), postgres, COOL_DOWN)))
    }
}
