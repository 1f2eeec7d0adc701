//! The end of an attempt: completed with its effect, failed, or given back.

use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel::sql_types::{BigInt, Bool, Int4, Text, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::{JobState, Lease};
use crate::db::{self, Pool, PoolError, Retryable, TransactionBody, TransactionError};
use crate::ids::{JobId, LeaseToken};
use crate::schema::jobs;

/// Another worker has the job, or it is done. The effect of this attempt must be rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease on the job was lost: another attempt has taken it over")]
pub struct LeaseLost;

/// Why [`complete`] refused.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The lease lapsed and another worker has the job, or the job is gone.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for CompleteError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Deletes the job, in the transaction of its effect. Call it first: it locks the row, so that a second
/// worker waits and then finds the row gone.
pub async fn complete(conn: &mut AsyncPgConnection, lease: Lease) -> Result<(), CompleteError> {
    let row = jobs::table.filter(jobs::id.eq(lease.job_id)).filter(jobs::lease_token.eq(lease.token));
    match diesel::delete(row).execute(conn).await? {
        0 => Err(LeaseLost.into()),
        _ => Ok(()),
    }
}

/// Runs the effect of a job in a transaction that completes the job first. Like [`db::in_transaction`] otherwise.
pub async fn complete_with<F, R, E>(pool: &Pool, name: &'static str, lease: Lease, effect: F) -> Result<R, E>
where
    for<'r> F: AsyncFnOnce(&'r mut AsyncPgConnection) -> Result<R, E>
        + TransactionBody<&'r mut AsyncPgConnection, Result<R, E>, Fut: Send>
        + Clone
        + Send,
    E: From<PoolError> + From<LeaseLost> + From<QueryError> + Retryable + Send,
    R: Send,
{
    let body = async move |conn: &mut AsyncPgConnection| match complete(conn, lease).await {
        Ok(()) => effect(conn).await,
        Err(CompleteError::LeaseLost(lost)) => Err(lost.into()),
        Err(CompleteError::Database(error)) => Err(error.into()),
    };
    db::in_transaction(pool, name, body).await.map_err(|error| match error {
        TransactionError::NoConnection(error) => error.into(),
        TransactionError::RolledBack(error) => error,
    })
}

/// Ends a failed attempt. The job is due again after this time, or dead if there is none. Changes nothing if
/// the lease was lost.
pub(crate) async fn end_attempt(
    conn: &mut AsyncPgConnection,
    lease: Lease,
    error: &str,
    again_after: Option<Duration>,
) -> QueryResult<()> {
    let delay_ms = i64::try_from(again_after.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
    diesel::sql_query(
        "UPDATE commerce.jobs SET state = CASE WHEN $3 THEN 'dead' ELSE 'ready' END, lease_token = NULL, last_error = $4,
             failures = commerce.with_failure(failures, attempt, worker, $4),
             dedupe_key = CASE WHEN $3 THEN NULL ELSE dedupe_key END,
             run_at = commerce.clock() + $5 * interval '1 millisecond', updated_at = commerce.clock()
         WHERE id = $1 AND lease_token = $2",
    )
    .bind::<SqlUuid, _>(lease.job_id)
    .bind::<SqlUuid, _>(lease.token)
    .bind::<Bool, _>(again_after.is_none())
    .bind::<Text, _>(shorten(error))
    .bind::<BigInt, _>(delay_ms)
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives back jobs that were claimed and not begun. They are due at once, and the attempt is not counted.
pub async fn release(conn: &mut AsyncPgConnection, leases: &[Lease]) -> QueryResult<()> {
    let (ids, tokens) = ids_and_tokens(leases);
    conn.transaction(async |conn| {
        let held: Vec<JobId> = jobs::table
            .filter(jobs::id.eq_any(ids))
            .filter(jobs::lease_token.eq_any(tokens))
            .order(jobs::id)
            .select(jobs::id)
            .for_update()
            .load(conn)
            .await?;
        diesel::update(jobs::table.filter(jobs::id.eq_any(held)))
            .set((
                jobs::state.eq(JobState::Ready),
                jobs::lease_token.eq(None::<LeaseToken>),
                jobs::attempt.eq(jobs::attempt - 1.into_sql::<Int4>()),
                jobs::run_at.eq(crate::db::clock()),
                jobs::updated_at.eq(crate::db::clock()),
            ))
            .execute(conn)
            .await?;
        Ok(())
    })
    .await
}

/// Extends leases to `lease` from now, and skips those that were lost. A job whose row is locked is just
/// being finished. It needs no extension, so it is skipped without waiting.
pub async fn renew(conn: &mut AsyncPgConnection, leases: &[Lease], lease: Duration) -> QueryResult<()> {
    let (ids, tokens) = ids_and_tokens(leases);
    conn.transaction(async |conn| {
        let held: Vec<JobId> = jobs::table
            .filter(jobs::id.eq_any(ids))
            .filter(jobs::lease_token.eq_any(tokens))
            .select(jobs::id)
            .for_update()
            .skip_locked()
            .load(conn)
            .await?;
        diesel::update(jobs::table.filter(jobs::id.eq_any(held)))
            .set(jobs::run_at.eq(crate::db::time_after(lease)))
            .execute(conn)
            .await?;
        Ok(())
    })
    .await
}

fn ids_and_tokens(leases: &[Lease]) -> (Vec<JobId>, Vec<LeaseToken>) {
    leases.iter().map(|lease| (lease.job_id, lease.token)).unzip()
}

/// Shortens an error to a readable length. It may quote a long answer of another server.
fn shorten(error: &str) -> String {
    // Postgres does not accept NUL characters.
    error.chars().filter(|c| *c != '\0').take(2000).collect()
}
