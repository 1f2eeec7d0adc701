use anyhow::Context as _;
use clap::Args;
use commerce_core::db::{self, Pool, PoolSettings};

/// The database.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// URL of Postgres, such as postgres://user:password@localhost/commerce
    ///
    /// `sslmode` and `sslrootcert` mean what they mean in libpq. Without `sslmode`, a server on another machine must have TLS.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
}

impl DatabaseSettings {
    /// A pool of at most this many connections. It opens none yet.
    pub fn pool(&self, connections: usize) -> anyhow::Result<Pool> {
        self.pool_with(&PoolSettings { connections_max: connections, ..PoolSettings::default() })
    }

    /// As [`pool`](Self::pool), with other limits too.
    pub fn pool_with(&self, settings: &PoolSettings) -> anyhow::Result<Pool> {
        db::check_url(&self.database_url).context("DATABASE_URL cannot be used")?;
        Ok(db::pool(&self.database_url, settings)?)
    }
}
