//! A request takes effect once, however often it is sent.
//!
//! Call [`begin`] and [`store_answer`] in the transaction of the effect, so that the answer and the effect
//! are committed together. A crash leaves nothing behind, because the try-lock ends with the transaction.

use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::db::{self, Prepared, Retryable, pg_try_advisory_xact_lock};
use crate::schema::idempotency_keys;

/// Identifies a request by caller, method, path and key. The fingerprint tells whether two requests have the
/// same content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    scope: [u8; 32],
    fingerprint: [u8; 32],
}

impl IdempotentRequest {
    /// `caller` names the credential (a user's id, a hashed Cart-Token). `body` is the raw body.
    pub fn new(caller: &str, method: &str, path: &str, key: &str, body: &[u8]) -> Self {
        let mut scope = Sha256::new();
        for part in [caller, method, path, key] {
            scope.update(part.len().to_be_bytes());
            scope.update(part);
        }
        Self { scope: scope.finalize().into(), fingerprint: Sha256::digest(body).into() }
    }

    /// Identifies what the request has begun elsewhere, such as a payment attempt.
    pub fn scope(&self) -> &[u8; 32] {
        &self.scope
    }
}

/// A stored answer: the status, its headers, and the body as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The name and value of each header.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl AsRef<StoredAnswer> for StoredAnswer {
    fn as_ref(&self) -> &StoredAnswer {
        self
    }
}

/// The result of [`begin`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// The request was not answered yet, so this transaction may do the work.
    Fresh,
    /// The request was answered before, with this answer.
    Replay(StoredAnswer),
}

/// Why a request with a key cannot be processed.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// Another connection is processing the same request. Try again in a moment.
    #[error("a request with this Idempotency-Key is still being processed")]
    InUse,
    /// The key belongs to another request.
    #[error("this Idempotency-Key was used for a request with another body")]
    Reused,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for IdempotencyError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Takes the key until the end of the transaction without waiting, and looks for a stored answer. This comes
/// first in the lock order.
pub async fn begin(
    conn: &mut AsyncPgConnection,
    request: &IdempotentRequest,
) -> Result<Begun, IdempotencyError> {
    let [a, b, c, d, e, f, g, h, ..] = request.scope;
    let lock = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
    // This is awaited, and not sent together with the next statement, because the lookup must come after the
    // lock.
    let taken: bool = diesel::select(pg_try_advisory_xact_lock(lock)).get_result(conn).await?;
    if !taken {
        return Err(IdempotencyError::InUse);
    }
    let stored: Option<(Vec<u8>, serde_json::Value)> = idempotency_keys::table
        .find(request.scope.as_slice())
        .filter(idempotency_keys::expires_at.gt(db::clock()))
        .select((idempotency_keys::fingerprint, idempotency_keys::response))
        .first(conn)
        .await
        .optional()?;
    match stored {
        None => Ok(Begun::Fresh),
        Some((fingerprint, _)) if fingerprint != request.fingerprint => Err(IdempotencyError::Reused),
        Some((_, response)) => serde_json::from_value(response)
            .map(Begun::Replay)
            .map_err(|error| QueryError::DeserializationError(error.into()).into()),
    }
}

/// How long an answer can be replayed.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Stores the answer for 24 hours, in the transaction of the effect.
///
/// A shared borrow of the connection is enough, so that the answer can be sent together with other writes.
pub async fn store_answer(
    conn: &AsyncPgConnection,
    request: &IdempotentRequest,
    answer: &StoredAnswer,
) -> QueryResult<()> {
    let response =
        serde_json::to_value(answer).map_err(|error| QueryError::SerializationError(error.into()))?;
    let row = (
        idempotency_keys::fingerprint.eq(request.fingerprint.as_slice()),
        idempotency_keys::response.eq(response),
        idempotency_keys::created_at.eq(db::clock()),
        idempotency_keys::expires_at.eq(db::time_after(KEPT_FOR)),
    );
    let upsert = diesel::insert_into(idempotency_keys::table)
        .values((idempotency_keys::scope.eq(request.scope.as_slice()), row.clone()))
        .on_conflict(idempotency_keys::scope)
        .do_update()
        .set(row);
    Prepared(upsert).execute(&mut { conn }).await?;
    Ok(())
}

/// Deletes expired answers, `batch` at a time. Returns their number.
pub async fn prune(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let delete = "DELETE FROM commerce.idempotency_keys WHERE scope = ANY (ARRAY(
         SELECT scope FROM commerce.idempotency_keys
         WHERE expires_at <= commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED))";
    db::prune(conn, batch, Duration::ZERO, delete).await
}
