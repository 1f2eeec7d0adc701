//! A server that does not speak English.

use commerce_core::db::sqlstate::{DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, QUERY_CANCELED, sqlstate};
use commerce_core::db::{self, PoolSettings, Retryable as _, in_transaction};
use commerce_core::testing::PostgresServer;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};

async fn error_of(conn: &mut AsyncPgConnection, sql: &str) -> QueryError {
    conn.batch_execute(sql).await.unwrap_err()
}

/// Both lock one row, and then the other's.
async fn deadlock(first: &mut AsyncPgConnection, second: &mut AsyncPgConnection) -> QueryError {
    first.batch_execute("BEGIN; UPDATE rows SET n = n + 1 WHERE id = 1").await.unwrap();
    second.batch_execute("BEGIN; UPDATE rows SET n = n + 1 WHERE id = 2").await.unwrap();
    let (one, other) = futures_util::join!(
        first.batch_execute("UPDATE rows SET n = n + 1 WHERE id = 2"),
        second.batch_execute("UPDATE rows SET n = n + 1 WHERE id = 1"),
    );
    for conn in [first, second] {
        conn.batch_execute("ROLLBACK").await.unwrap();
    }
    one.and(other).unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_by_their_sqlstate_in_every_language() {
    let server = PostgresServer::speaking("de");
    let superuser = &mut db::connect(&server.url("postgres")).await.unwrap();
    superuser
        .batch_execute(
            "CREATE TABLE rows (id int PRIMARY KEY, n int NOT NULL); INSERT INTO rows VALUES (1, 0), (2, 0);
             CREATE ROLE shop LOGIN; GRANT ALL ON rows TO shop",
        )
        .await
        .unwrap();
    let url = server.url("postgres").replace("postgres@", "shop@");
    let (mut first, mut second) = (db::connect(&url).await.unwrap(), db::connect(&url).await.unwrap());

    let error = deadlock(&mut first, &mut second).await;
    assert!(error.to_string().starts_with("Verklemmung"), "the server speaks German: {error}");
    assert_eq!(sqlstate(&error), Some(DEADLOCK_DETECTED));
    assert!(error.is_retryable());

    first.batch_execute("BEGIN; UPDATE rows SET n = 1 WHERE id = 1").await.unwrap();
    let error = error_of(&mut second, "SET lock_timeout = '10ms'; UPDATE rows SET n = 2 WHERE id = 1").await;
    assert_eq!((sqlstate(&error), error.is_retryable()), (Some(LOCK_NOT_AVAILABLE), false), "{error}");
    first.batch_execute("COMMIT").await.unwrap();
    let error = error_of(&mut second, "SET statement_timeout = '10ms'; SELECT pg_sleep(5)").await;
    assert_eq!((sqlstate(&error), error.is_retryable()), (Some(QUERY_CANCELED), false), "{error}");
    // What Diesel itself tells apart, and what is too long for one read.
    let error = error_of(&mut first, "INSERT INTO rows VALUES (1, 0)").await;
    assert!(matches!(
        &error,
        QueryError::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _)
    ));
    let long = "DO $$ BEGIN RAISE EXCEPTION '%', repeat('x', 100000) USING ERRCODE = '40P01'; END $$";
    assert_eq!(sqlstate(&error_of(&mut first, long).await), Some(DEADLOCK_DETECTED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_runs_again_after_a_deadlock_in_german() {
    let server = PostgresServer::speaking("de");
    let url = server.url("postgres");
    let rows =
        "CREATE TABLE rows (id int PRIMARY KEY, n int NOT NULL); INSERT INTO rows VALUES (1, 0), (2, 0)";
    db::connect(&url).await.unwrap().batch_execute(rows).await.unwrap();
    let pool = db::pool(&url, &PoolSettings::default()).unwrap();
    let both = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let swap = |first: i32, second: i32| {
        let (pool, both, runs) = (pool.clone(), both.clone(), runs.clone());
        async move {
            in_transaction(&pool, "swap", async |conn: &mut AsyncPgConnection| {
                let run = runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                conn.batch_execute(&format!("UPDATE rows SET n = n + 1 WHERE id = {first}")).await?;
                if run < 2 {
                    both.wait().await;
                }
                conn.batch_execute(&format!("UPDATE rows SET n = n + 1 WHERE id = {second}")).await?;
                Ok::<_, QueryError>(())
            })
            .await
        }
    };
    let (one, other) = tokio::join!(swap(1, 2), swap(2, 1));
    one.unwrap();
    other.unwrap();
    assert_eq!(runs.load(std::sync::atomic::Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_local_socket_a_server_that_speaks_german_is_made_to_speak_english_or_refused() {
    let server = PostgresServer::speaking("de");
    let socket = server.socket_folder().display().to_string();
    let address = |user: &str| format!("host={socket} port={} user={user} dbname=postgres", server.port());
    let mut superuser = db::connect(&address("postgres")).await.unwrap();
    assert_eq!(error_of(&mut superuser, "SELECT 1 / 0").await.to_string(), "division by zero");
    superuser.batch_execute("CREATE ROLE shop LOGIN").await.unwrap();
    let refused = db::connect(&address("shop")).await.err().unwrap().to_string();
    assert!(refused.contains("ALTER ROLE … SET lc_messages = 'C'"), "{refused}");
    superuser.batch_execute("ALTER ROLE shop SET lc_messages = 'C'").await.unwrap();
    let mut shop = db::connect(&address("shop")).await.unwrap();
    assert_eq!(error_of(&mut shop, "SELECT 1 / 0").await.to_string(), "division by zero");
}
