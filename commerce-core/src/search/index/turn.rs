//! The turn to write to the index: an advisory lock on a connection of its own.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::IndexError;
use crate::db::sqlstate::{LOCK_NOT_AVAILABLE, sqlstate};
use crate::db::{Pool, PooledConnection};

/// The number is arbitrary but must never change.
const TURN_LOCK: i64 = 0x7365_6172_6368_6978;

/// Held by one process at a time. The connection is taken out of the pool. Dropping the turn closes the
/// connection and so releases the lock. The lock is also released if the process is killed.
pub struct Turn {
    conn: AsyncPgConnection,
}

/// A connection that requests the lock. It goes back to the pool if the lock was refused. A caller that stops
/// waiting may have been given the lock, so in that case the connection is closed.
struct Asking(Option<PooledConnection>);

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            drop(Object::take(conn));
        }
    }
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

impl Turn {
    /// `None` if another process has the turn.
    pub async fn take(pool: &Pool) -> Result<Option<Self>, IndexError> {
        Self::ask_for(pool, "SELECT pg_try_advisory_lock($1) AS yes").await
    }

    /// Waits for the present holder. `None` if it does not give the turn back within the pool's lock timeout.
    /// A caller of [`Turn::take`] cannot overtake.
    pub async fn wait(pool: &Pool) -> Result<Option<Self>, IndexError> {
        match Self::ask_for(pool, "SELECT pg_advisory_lock($1) IS NOT NULL AS yes").await {
            Err(IndexError::Database(error)) if sqlstate(&error) == Some(LOCK_NOT_AVAILABLE) => Ok(None),
            outcome => outcome,
        }
    }

    async fn ask_for(pool: &Pool, question: &str) -> Result<Option<Self>, IndexError> {
        let mut asking = Asking(Some(pool.get().await?));
        let Some(conn) = &mut asking.0 else { return Ok(None) };
        let answer = ask(conn, question).await;
        let conn = asking.0.take();
        Ok(if answer? { conn.map(|conn| Self { conn: Object::take(conn) }) } else { None })
    }

    /// Whether the turn is still ours. The lock lives as long as its connection.
    pub async fn is_held(&mut self) -> bool {
        const HELD: &str =
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
            AND granted AND (classid::bigint << 32 | objid::bigint) = $1) AS yes";
        ask(&mut self.conn, HELD).await.unwrap_or(false)
    }

    /// Gives the turn back. Others can take it when this returns.
    pub async fn give_back(mut self) {
        if let Err(error) = ask(&mut self.conn, "SELECT pg_advisory_unlock($1) AS yes").await {
            tracing::debug!(%error, "the turn to index went with its connection");
        }
    }
}

async fn ask(conn: &mut AsyncPgConnection, question: &str) -> QueryResult<bool> {
    let answer: Answer = diesel::sql_query(question).bind::<BigInt, _>(TURN_LOCK).get_result(conn).await?;
    Ok(answer.yes)
}
