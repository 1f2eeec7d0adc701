//! What operators do with jobs: list, show, retry and cancel.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::sql_types::Jsonb;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use serde::{Deserialize, Serialize};

use crate::db::{self, Json};
use crate::ids::{JobId, LeaseToken};
use crate::page::Limit;
use crate::schema::jobs;
use crate::text_enum::text_enum;

text_enum! {
    /// The state of a job. A finished job has no row.
    ///
    /// | from | to | by |
    /// |---|---|---|
    /// | no row | `ready` | [`enqueue`](super::enqueue()), in the transaction of the change, and some triggers of the schema |
    /// | `ready` and due | `leased` | [`claim`](super::claim()): a worker begins an attempt |
    /// | `leased`, lapsed | `leased` | [`claim`](super::claim()): the worker vanished, and another begins the next attempt |
    /// | `leased`, lapsed | `dead` | [`claim`](super::claim()), if that was the last attempt |
    /// | `leased` | no row | [`complete`](super::complete()): the handler, in the transaction of its effect |
    /// | `leased` | `ready` | `jobs::fail`, due later; [`release`](super::release()), for jobs that were claimed and not begun |
    /// | `leased` | `dead` | `jobs::fail`, after the last attempt, or if no attempt can succeed |
    /// | `ready` or `dead` | `ready` and due | [`retry`]: a person |
    /// | `ready` or `dead` | no row | [`cancel`]: a person |
    /// | `dead` | no row | [`prune_dead`]: after 90 days |
    pub enum JobState {
        /// Waits for its `run_at`.
        Ready = "ready",
        /// A worker runs it. It is due again at `run_at`.
        Leased = "leased",
        /// It has failed for good. Only a person can retry it.
        Dead = "dead",
    }
}

/// A job in the table.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// The kind.
    pub kind: String,
    /// The data of the job, as JSON in the form of its kind.
    pub payload: serde_json::Value,
    /// The state.
    pub state: JobState,
    /// When it is due, or when its lease lapses.
    pub run_at: DateTime<Utc>,
    /// The attempts that were begun.
    pub attempt: i32,
    /// After this many attempts it is dead.
    pub attempts_max: i32,
    /// The worker that has it or had it last.
    pub worker: Option<String>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// The failed attempts, oldest first. The last twenty are kept, also after a person has retried the job.
    pub failures: JobFailures,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When its row was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A failed attempt at a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFailure {
    /// 1 for the first attempt. A retry by a person begins anew.
    pub attempt: i32,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// The worker that made it.
    pub worker: Option<String>,
    /// Why it failed.
    pub error: String,
}

/// The failed attempts at a job, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, FromSqlRow)]
pub struct JobFailures(pub Vec<JobFailure>);

impl FromSql<Jsonb, Pg> for JobFailures {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let Json(failures) = Json::from_sql(value)?;
        Ok(Self(failures))
    }
}

/// Why a job could not be retried or cancelled.
#[derive(Debug, thiserror::Error)]
pub enum ManageJobError {
    /// There is no such job. Finished jobs are deleted.
    #[error("there is no job {0}: it is done, or it never existed")]
    NotFound(JobId),
    /// A worker runs it. Ask again when the attempt has ended.
    #[error("job {0} is running; wait until the attempt ends")]
    Leased(JobId),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// Jobs in one state or in all, oldest first.
pub async fn list(
    conn: &mut AsyncPgConnection,
    state: Option<JobState>,
    limit: Limit,
) -> QueryResult<Vec<JobRow>> {
    let mut query = jobs::table.select(JobRow::as_select()).into_boxed();
    if let Some(state) = state {
        query = query.filter(jobs::state.eq(state));
    }
    let rows_max = i64::try_from(limit.rows()).unwrap_or(i64::MAX);
    query.order((jobs::created_at, jobs::id)).limit(rows_max).load(conn).await
}

/// A job by id, in any state. A finished job has no row.
pub async fn find(conn: &mut AsyncPgConnection, id: JobId) -> QueryResult<Option<JobRow>> {
    jobs::table.find(id).select(JobRow::as_select()).first(conn).await.optional()
}

/// Makes a dead or waiting job due now, with all its attempts left.
pub async fn retry(conn: &mut AsyncPgConnection, id: JobId) -> Result<(), ManageJobError> {
    match retry_all(conn, &[id]).await? {
        0 => Err(why_untouched(conn, id).await?),
        _ => Ok(()),
    }
}

/// Deletes a dead or waiting job. Its work will not be done.
pub async fn cancel(conn: &mut AsyncPgConnection, id: JobId) -> Result<(), ManageJobError> {
    match cancel_all(conn, &[id]).await? {
        0 => Err(why_untouched(conn, id).await?),
        _ => Ok(()),
    }
}

/// Makes those of these jobs due that are not running. Returns their number.
pub(super) async fn retry_all(conn: &mut AsyncPgConnection, ids: &[JobId]) -> QueryResult<usize> {
    diesel::update(jobs::table.filter(jobs::id.eq_any(ids)).filter(jobs::state.ne(JobState::Leased)))
        .set((
            jobs::state.eq(JobState::Ready),
            jobs::attempt.eq(0),
            jobs::run_at.eq(db::clock()),
            jobs::updated_at.eq(db::clock()),
        ))
        .execute(conn)
        .await
}

/// Deletes those of these jobs that are not running. Returns their number.
pub(super) async fn cancel_all(conn: &mut AsyncPgConnection, ids: &[JobId]) -> QueryResult<usize> {
    let rows = jobs::table.filter(jobs::id.eq_any(ids)).filter(jobs::state.ne(JobState::Leased));
    diesel::delete(rows).execute(conn).await
}

/// How long a dead job waits for a person.
pub const DEAD_JOBS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Deletes jobs that have been dead for longer than [`DEAD_JOBS_KEPT`], `batch` at a time. Returns their
/// number.
pub async fn prune_dead(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    // Whatever died long ago was also created long ago, which has an index.
    let delete = "DELETE FROM commerce.jobs WHERE id = ANY (ARRAY(
         SELECT id FROM commerce.jobs
         WHERE state = 'dead' AND created_at < commerce.clock() - make_interval(secs => $2)
           AND updated_at < commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED))";
    db::prune(conn, batch, DEAD_JOBS_KEPT, delete).await
}

async fn why_untouched(conn: &mut AsyncPgConnection, id: JobId) -> QueryResult<ManageJobError> {
    let found: Option<Option<LeaseToken>> =
        jobs::table.find(id).select(jobs::lease_token).first(conn).await.optional()?;
    Ok(if found.is_some() { ManageJobError::Leased(id) } else { ManageJobError::NotFound(id) })
}

/// Deletes the errors of failed jobs that contain one of these texts, such as the addresses of a deleted account.
pub async fn forget_errors_about(conn: &mut AsyncPgConnection, texts: Vec<String>) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE commerce.jobs SET last_error = 'what it said is forgotten', failures = '[]' WHERE id = ANY (ARRAY(
             SELECT id FROM commerce.jobs
             WHERE last_error IS NOT NULL
               AND EXISTS (SELECT FROM unnest($1) AS text WHERE position(text IN last_error || failures::text) > 0)
             ORDER BY id FOR UPDATE))",
    )
    .bind::<diesel::sql_types::Array<diesel::sql_types::Text>, _>(texts)
    .execute(conn)
    .await?;
    Ok(())
}
