//! Taking due jobs under a lease.

use std::time::Duration;

use diesel::sql_types::{BigInt, Int4, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryResult, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{Failure, Job};
use crate::db::Prepared;
use crate::ids::{JobId, LeaseToken};

/// The right to finish one attempt of one job. It is void if the lease lapsed and another worker took the
/// job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an attempt is finished with its lease"]
pub struct Lease {
    /// The job.
    pub job_id: JobId,
    /// Distinguishes this attempt from every other one.
    pub token: LeaseToken,
}

/// A job that this worker has claimed.
#[derive(Debug, Clone, QueryableByName)]
#[must_use = "a job that was claimed must be done or given back"]
pub struct ClaimedJob {
    /// Its id.
    #[diesel(sql_type = SqlUuid)]
    pub id: JobId,
    /// The kind, which determines the form of the payload.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The data of the job, as JSON in the form of its kind.
    #[diesel(sql_type = Jsonb)]
    pub payload: serde_json::Value,
    /// 1 for the first attempt.
    #[diesel(sql_type = Int4)]
    pub attempt: i32,
    /// After this many attempts the job is dead.
    #[diesel(sql_type = Int4)]
    pub attempts_max: i32,
    /// Distinguishes this attempt from every other one.
    #[diesel(sql_type = SqlUuid)]
    pub lease_token: LeaseToken,
}

impl ClaimedJob {
    /// The lease, for completing the job or giving it back.
    pub fn lease(&self) -> Lease {
        Lease { job_id: self.id, token: self.lease_token }
    }

    /// The payload. If it is not a `J`, the job is dead, because it would never become one.
    pub fn payload<J: Job>(&self) -> Result<J, Failure> {
        J::deserialize(&self.payload)
            .map_err(|error| Failure::Abort(format!("the payload cannot be read: {error}")))
    }
}

/// Claims up to `jobs_max` due jobs of these kinds for `lease`, oldest first. It skips rows that others are
/// claiming, and kinds that are paused. A job whose lease lapsed is due again, or dead if that was its last attempt.
pub async fn claim(
    conn: &mut AsyncPgConnection,
    worker: &str,
    kinds: &[&str],
    jobs_max: usize,
    lease: Duration,
) -> QueryResult<Vec<ClaimedJob>> {
    // Planned anew each time, because a cached plan may be from when the table was empty, or for another
    // number of jobs.
    diesel::sql_query(
        "WITH due AS (
             SELECT id, attempt >= attempts_max AS exhausted FROM commerce.jobs
             WHERE state <> 'dead' AND run_at <= commerce.clock() AND kind = ANY($2)
               AND (state = 'leased' AND attempt >= attempts_max OR kind NOT IN (SELECT kind FROM commerce.job_pauses))
             ORDER BY run_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
         ), buried AS (
             UPDATE commerce.jobs SET state = 'dead', lease_token = NULL, dedupe_key = NULL, updated_at = commerce.clock(),
                 last_error = 'the worker ' || coalesce(worker, '?') || ' vanished during the last attempt',
                 failures = commerce.with_failure(failures, attempt, worker, 'the worker vanished')
             WHERE id IN (SELECT id FROM due WHERE exhausted)
         )
         UPDATE commerce.jobs SET failures = CASE WHEN state = 'leased'
                 THEN commerce.with_failure(failures, attempt, worker, 'the worker vanished') ELSE failures END,
             state = 'leased', attempt = attempt + 1, worker = $1, lease_token = gen_random_uuid(),
             run_at = commerce.clock() + $4 * interval '1 millisecond', updated_at = commerce.clock()
         WHERE id IN (SELECT id FROM due WHERE NOT exhausted)
         RETURNING id, kind, payload, attempt, attempts_max, lease_token",
    )
    .bind::<Text, _>(worker)
    .bind::<diesel::sql_types::Array<Text>, _>(kinds)
    .bind::<BigInt, _>(i64::try_from(jobs_max).unwrap_or(i64::MAX))
    .bind::<BigInt, _>(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
    .load(conn)
    .await
}

#[derive(QueryableByName)]
struct NextDue {
    #[diesel(sql_type = Nullable<BigInt>)]
    due_in_ms: Option<i64>,
}

/// The time until a job of these kinds is due: zero if one is due already, `None` if there is none. A leased
/// job is due when its lease lapses. This is much cheaper than [`claim`] and changes nothing, for workers
/// that have nothing to do.
pub async fn next_due(conn: &mut AsyncPgConnection, kinds: &[&str]) -> QueryResult<Option<Duration>> {
    let next = diesel::sql_query(
        "SELECT ceil(extract(epoch FROM min(run_at) - commerce.clock()) * 1000)::bigint AS due_in_ms
         FROM commerce.jobs WHERE state <> 'dead' AND kind = ANY($1)
           AND kind NOT IN (SELECT kind FROM commerce.job_pauses)",
    )
    .bind::<diesel::sql_types::Array<Text>, _>(kinds);
    let next: NextDue = Prepared(next).get_result(conn).await?;
    Ok(next.due_in_ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
}
