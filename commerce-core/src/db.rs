//! Connections, transactions and migrations.
//!
//! Every use case of this crate takes the caller's connection. [`in_transaction`] is for programs that have
//! none: it takes a connection from the pool, and runs the closure again if Postgres asks for that (deadlock,
//! serialization failure).

mod advisory;
mod connect;
#[cfg(feature = "testing")]
mod explain;
mod json;
mod like;
mod pipeline;
mod prepared;
mod prune;
mod server_url;
pub mod sqlstate;
mod tls;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use diesel::data_types::PgInterval;
use diesel::result::Error as QueryError;
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::pooled_connection::deadpool::{self, Object};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{
    AsyncConnection, AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection, TransactionManager as _,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use futures_util::FutureExt as _;

use connect::Server;

pub(crate) use advisory::{AdvisoryLock, lock as advisory_lock};
#[cfg(feature = "testing")]
pub(crate) use explain::Explain;
pub(crate) use json::Json;
pub(crate) use like::escape_like;
pub(crate) use pipeline::Pipeline;
pub(crate) use prepared::{FirstRows, Prepared};
pub(crate) use prune::prune;

/// A pool of connections, made by [`pool`](fn@pool).
pub type Pool = deadpool::Pool<AsyncPgConnection>;
/// Why a pool could not be made.
pub type BuildError = deadpool::BuildError;
/// Why the pool gave no connection.
pub type PoolError = deadpool::PoolError;
/// A connection that goes back to its pool when it is dropped.
pub type PooledConnection = Object<AsyncPgConnection>;

#[diesel::declare_sql_function]
extern "SQL" {
    /// The clock that decides everything: the database's clock at the moment of the call.
    #[sql_name = "commerce.clock"]
    fn clock() -> diesel::sql_types::Timestamptz;

    /// Takes a lock until the end of the transaction if it is free. Returns whether it did.
    fn pg_try_advisory_xact_lock(key: diesel::sql_types::BigInt) -> diesel::sql_types::Bool;

    /// The database's clock, plus this time.
    #[sql_name = "commerce.clock_after"]
    fn clock_after(delay: diesel::sql_types::Interval) -> diesel::sql_types::Timestamptz;
}

/// SQL for the database's time, plus this time.
pub fn time_after(delay: Duration) -> clock_after<PgInterval> {
    clock_after(PgInterval::from_microseconds(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX)))
}

/// SQL for the database's time, minus this time.
pub fn time_before(delay: Duration) -> clock_after<PgInterval> {
    clock_after(PgInterval::from_microseconds(-i64::try_from(delay.as_micros()).unwrap_or(i64::MAX)))
}

/// The database's time at this moment. Unlike `now()`, it advances within a transaction.
pub async fn current_time(conn: &mut AsyncPgConnection) -> Result<chrono::DateTime<chrono::Utc>, QueryError> {
    use diesel_async::RunQueryDsl as _;
    diesel::select(clock()).get_result(conn).await
}

/// The limits of a pool and of its connections.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// How many connections are open at once.
    pub connections_max: usize,
    /// How long a caller waits for a free connection.
    pub wait_timeout: Duration,
    /// The time after which the server cancels a statement.
    pub statement_timeout: Duration,
    /// The time after which a statement stops waiting for a row lock.
    pub lock_timeout: Duration,
    /// The time after which the server ends a connection that is idle in a transaction.
    pub idle_in_transaction_timeout: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            connections_max: 20,
            wait_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(15),
            lock_timeout: Duration::from_secs(8),
            idle_in_transaction_timeout: Duration::from_secs(20),
        }
    }
}

/// A pool for the database at `url` (`postgres://user:password@host/database?sslmode=…&sslrootcert=…`). It
/// connects at its first use.
///
/// `sslmode` is `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`, as libpq means them.
/// Without it, it is `prefer` if the server is on this machine, and `require` otherwise. `sslrootcert` is a file
/// with certificates of authorities (PEM), or `system`. Without it, the authorities of the system are trusted.
pub fn pool(url: &str, settings: &PoolSettings) -> Result<Pool, BuildError> {
    // With keepalives, the locks of a machine that has vanished are released within half a minute, not hours.
    // Scans always start at the beginning, so that a search counts the same products each time.
    let limits = format!(
        "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={} \
         -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c synchronize_seqscans=off",
        settings.statement_timeout.as_millis(),
        settings.lock_timeout.as_millis(),
        settings.idle_in_transaction_timeout.as_millis(),
    );
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    // Read once, because the file of authorities may be large. A file that cannot be read is tried again.
    let server = Arc::new(OnceLock::new());
    config.custom_setup = Box::new(move |url| {
        let (url, limits, server) = (url.to_owned(), limits.clone(), Arc::clone(&server));
        async move {
            let server: &Server = match server.get() {
                Some(server) => server,
                None => {
                    let parsed = Server::parse(&url)?;
                    server.get_or_init(|| parsed)
                }
            };
            server.connect(&limits).await
        }
        .boxed()
    });
    Pool::builder(AsyncDieselConnectionManager::new_with_config(url, config))
        .max_size(settings.connections_max)
        .wait_timeout(Some(settings.wait_timeout))
        .create_timeout(Some(settings.wait_timeout))
        .runtime(::deadpool::Runtime::Tokio1)
        .build()
}

/// Says what is wrong with the URL of a database, without connecting to it.
pub fn check_url(url: &str) -> ConnectionResult<()> {
    Server::parse(url).map(drop)
}

/// A connection that belongs to no pool. [`pool`](fn@pool) describes the URL.
pub async fn connect(url: &str) -> ConnectionResult<AsyncPgConnection> {
    Server::parse(url)?.connect("").await
}

/// Whether running the whole transaction again may succeed.
pub trait Retryable {
    /// `true` after a deadlock or a serialization failure. `false` for a refusal, and for an error that would
    /// occur again.
    fn is_retryable(&self) -> bool;
}

impl Retryable for QueryError {
    /// SQLSTATE 40001 (serialization failure) and 40P01 (deadlock).
    fn is_retryable(&self) -> bool {
        matches!(
            sqlstate::sqlstate(self),
            Some(sqlstate::SERIALIZATION_FAILURE | sqlstate::DEADLOCK_DETECTED)
        )
    }
}

/// Why a transaction of [`in_transaction`] was not committed.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError<E> {
    /// There was no connection in time, and nothing was begun.
    #[error("no database connection is available: {0}")]
    NoConnection(#[source] PoolError),
    /// The closure refused or failed, and everything was rolled back.
    #[error(transparent)]
    RolledBack(E),
}

/// A closure over a connection whose future can move between threads: `async |conn| { … }`.
pub trait TransactionBody<T, R>:
    AsyncFnOnce(T) -> R + FnOnce(T) -> <Self as TransactionBody<T, R>>::Fut
{
    /// The future of one run.
    type Fut: Future<Output = R>;
}

impl<F, T, Fut, R> TransactionBody<T, R> for F
where
    F: AsyncFnOnce(T) -> R + FnOnce(T) -> Fut,
    Fut: Future<Output = R>,
{
    type Fut = Fut;
}

const TRANSACTION_TRIES_MAX: u32 = 5;

/// Runs `body` in a transaction on a connection of the pool, at READ COMMITTED. After a deadlock or a
/// serialization failure the whole closure runs again, at most five times. `name` labels the count of
/// repetitions (`commerce_transaction_retries_total`).
pub async fn in_transaction<F, R, E>(
    pool: &Pool,
    name: &'static str,
    body: F,
) -> Result<R, TransactionError<E>>
where
    for<'r> F: AsyncFnOnce(&'r mut AsyncPgConnection) -> Result<R, E>
        + TransactionBody<&'r mut AsyncPgConnection, Result<R, E>, Fut: Send>
        + Clone
        + Send,
    E: From<QueryError> + Retryable + Send,
    R: Send,
{
    let mut pooled = pool.get().await.map_err(TransactionError::NoConnection)?;
    let conn: &mut AsyncPgConnection = &mut pooled;
    let mut tries = 1;
    loop {
        match conn.transaction(body.clone()).await {
            Err(error) if error.is_retryable() && tries < TRANSACTION_TRIES_MAX => {
                metrics::counter!("commerce_transaction_retries_total", "transaction" => name).increment(1);
                tracing::warn!(transaction = name, tries, "transaction is run again");
                tokio::time::sleep(Duration::from_millis(u64::from(rand::random_range(1..=20 * tries))))
                    .await;
                tries += 1;
            }
            result => return result.map_err(TransactionError::RolledBack),
        }
    }
}

/// An error unless a transaction is open on this connection.
pub(crate) fn require_transaction(conn: &mut AsyncPgConnection) -> Result<(), QueryError> {
    match Manager::transaction_manager_status_mut(conn).transaction_depth()? {
        Some(_) => Ok(()),
        None => Err(QueryError::NotInTransaction),
    }
}

type Manager = <AsyncPgConnection as AsyncConnection>::TransactionManager;

/// The migrations of the schema, compiled in.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Why [`migrate`] stopped. Migrations that were applied before stay applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database could not be reached.
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] ConnectionError),
    /// A statement around the migrations failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A migration failed.
    #[error("a migration failed: {0}")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Only one process migrates at a time. The number is arbitrary but must never change.
const MIGRATION_LOCK: i64 = 0x636f_6d6d_6572_6365;

/// Updates the schema and returns the versions that it applied. It is safe to run it twice and from several
/// processes at once, because it takes an advisory lock. The record of versions is in schema `commerce`,
/// apart from the host's own. Then call [`normalise_addresses`](crate::accounts::normalise_addresses).
pub async fn migrate(url: &str) -> Result<Vec<String>, MigrateError> {
    let mut conn = connect(url).await?;
    conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).await?;
    conn.batch_execute(
        "CREATE SCHEMA IF NOT EXISTS commerce; SET search_path = commerce; SET client_min_messages = warning",
    )
    .await?;
    // The migration harness blocks its thread, so it runs on a blocking one. The lock is released with the
    // connection.
    let applied = tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(conn);
        harness
            .run_pending_migrations(MIGRATIONS)
            .map(|versions| versions.iter().map(ToString::to_string).collect())
            .map_err(MigrateError::Migration)
    })
    .await;
    applied.unwrap_or_else(|panic| Err(MigrateError::Migration(panic.into())))
}

/// The versions that this build has and the database lacks.
pub async fn pending_migrations(conn: &mut AsyncPgConnection) -> Result<Vec<String>, QueryError> {
    use diesel::migration::{Migration, MigrationSource};
    use diesel_async::RunQueryDsl as _;

    #[derive(diesel::QueryableByName)]
    struct Applied {
        #[diesel(sql_type = diesel::sql_types::Text)]
        version: String,
    }
    let known: Vec<String> = {
        let migrations: Vec<Box<dyn Migration<diesel::pg::Pg>>> =
            MIGRATIONS.migrations().map_err(QueryError::QueryBuilderError)?;
        migrations.iter().map(|migration| migration.name().version().to_string()).collect()
    };
    let table_exists =
        "SELECT 1 FROM pg_tables WHERE schemaname = 'commerce' AND tablename = '__diesel_schema_migrations'";
    let applied: Vec<Applied> = if diesel::sql_query(table_exists).execute(conn).await? == 1 {
        diesel::sql_query("SELECT version FROM commerce.__diesel_schema_migrations").load(conn).await?
    } else {
        Vec::new()
    };
    Ok(known
        .into_iter()
        .filter(|version| applied.iter().all(|applied| applied.version != *version))
        .collect())
}
