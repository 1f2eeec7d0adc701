//! A database for each test, cloned in milliseconds from a template that was migrated once.

use std::time::Duration;

use data_encoding::HEXLOWER;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use sha2::{Digest, Sha256};

use crate::db::{self, Pool, PoolSettings, PooledConnection};

/// The variable with the server for test databases, such as `postgres://postgres@127.0.0.1:5432/postgres`.
/// `cargo xtask test` starts a server and sets it.
pub const SERVER_URL_VARIABLE: &str = "COMMERCE_TEST_DATABASE_URL";

/// A migrated, empty database that only this test uses. End the test with [`TestDatabase::finish`].
pub struct TestDatabase {
    name: String,
    server_url: String,
    url: String,
    pool: Pool,
}

#[expect(clippy::expect_used, reason = "a test that has no database cannot go on")]
impl TestDatabase {
    /// Creates the database. Panics with the reason if that fails.
    pub async fn new() -> Self {
        let server_url = std::env::var(SERVER_URL_VARIABLE).unwrap_or_else(|_| {
            panic!("{SERVER_URL_VARIABLE} is not set: run the tests with `cargo xtask test`, which starts a server for them")
        });
        let template = Self::template(&server_url).await;
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        let mut server = db::connect(&server_url).await.expect("the test server can be reached");
        server
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await
            .expect("a test database can be cloned");
        let url = with_database(&server_url, &name);
        let settings =
            PoolSettings { connections_max: 16, wait_timeout: Duration::from_secs(30), ..Default::default() };
        let pool = db::pool(&url, &settings).expect("a pool can be built");
        Self { name, server_url, url, pool }
    }

    /// The connection URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A pool of connections.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A connection from the pool.
    pub async fn conn(&self) -> PooledConnection {
        self.pool.get().await.expect("the test database answers")
    }

    /// Sets the database's clock this far ahead, for every process that uses the database.
    pub async fn shift_clock(&self, by: Duration) {
        let shifted = format!(
            "CREATE OR REPLACE FUNCTION commerce.clock() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
             AS 'SELECT clock_timestamp() + interval ''{} milliseconds'''",
            by.as_millis()
        );
        self.conn().await.batch_execute(&shifted).await.expect("the clock can be shifted");
    }

    /// Checks that every invariant holds and that no job died, and drops the database.
    pub async fn finish(self) {
        let mut conn = self.conn().await;
        let breaches = crate::audit::verify(&mut conn).await.expect("the audit runs");
        assert!(breaches.is_empty(), "invariants are broken: {breaches:#?}");
        let dead = crate::jobs::list(&mut conn, Some(crate::jobs::JobState::Dead), Default::default())
            .await
            .expect("jobs can be listed");
        assert!(dead.is_empty(), "jobs died: {dead:#?}");
        drop(conn);
        self.discard().await;
    }

    /// Drops the database without checking it, for tests that break invariants or kill jobs on purpose.
    pub async fn discard(self) {
        self.pool.close();
        if let Ok(mut server) = db::connect(&self.server_url).await {
            // If it fails, the database goes with the server.
            let _ =
                server.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
        }
    }

    /// The name of the migrated template. The first test creates it.
    async fn template(server_url: &str) -> String {
        let name = format!("template_{}", migrations_digest());
        let mut server = db::connect(server_url).await.expect("the test server can be reached");
        server.batch_execute("SELECT pg_advisory_lock(7305)").await.expect("the template can be locked");
        if !Self::exists(&mut server, &name).await {
            let draft = format!("{name}_draft");
            let create = format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)");
            server.batch_execute(&create).await.expect("a draft can be dropped");
            server.batch_execute(&format!("CREATE DATABASE {draft}")).await.expect("a draft can be created");
            db::migrate(&with_database(server_url, &draft)).await.expect("the migrations run");
            // The connection that ran the migrations may take a moment to close, and a database in use cannot
            // be renamed.
            let rename = format!(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{draft}';
                 ALTER DATABASE {draft} RENAME TO {name}"
            );
            for statement in rename.split(';') {
                server.batch_execute(statement).await.expect("the template can be renamed");
            }
        }
        name
    }

    async fn exists(server: &mut AsyncPgConnection, name: &str) -> bool {
        use diesel_async::RunQueryDsl as _;
        diesel::sql_query("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind::<diesel::sql_types::Text, _>(name)
            .execute(server)
            .await
            .expect("databases can be listed")
            == 1
    }
}

/// The same server and credentials with another database.
fn with_database(server_url: &str, name: &str) -> String {
    let (address, query) =
        server_url.split_once('?').map_or((server_url, None), |(url, query)| (url, Some(query)));
    let (server, _) = address.rsplit_once('/').unwrap_or((address, ""));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{server}/{name}{query}")
}

/// Distinguishes databases with different migrations.
fn migrations_digest() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("up.sql"))
        .collect();
    files.sort();
    let digest = files
        .iter()
        .filter_map(|file| std::fs::read(file).ok())
        .fold(Sha256::new(), |digest, sql| digest.chain_update(sql))
        .finalize();
    HEXLOWER.encode(digest.get(..8).unwrap_or_default())
}
