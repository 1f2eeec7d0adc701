//! Taking due jobs under a lease.

use std::time::Duration;

use diesel::sql_types::{BigInt, Int4, Jsonb, Text, Uuid as SqlUuid};
use diesel::{QueryResult, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::ids::{JobId, LeaseToken};

/// The right to finish one attempt of one job; void once the lease lapsed and another took the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub job_id: JobId,
    pub token: LeaseToken,
}

/// A job that this worker may do.
#[derive(Debug, Clone, QueryableByName)]
pub struct ClaimedJob {
    #[diesel(sql_type = SqlUuid)]
    pub id: JobId,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Jsonb)]
    pub payload: serde_json::Value,
    /// 1 at the first.
    #[diesel(sql_type = Int4)]
    pub attempt: i32,
    #[diesel(sql_type = Int4)]
    pub attempts_max: i32,
    #[diesel(sql_type = SqlUuid)]
    pub lease_token: LeaseToken,
}

impl ClaimedJob {
    /// What completing or giving back the job asks for.
    pub fn lease(&self) -> Lease {
        Lease { job_id: self.id, token: self.lease_token }
    }
}

/// Claims up to `jobs_max` due jobs of these kinds for `lease`, oldest first, passing over rows that others are claiming. A job
/// whose lease lapsed is due again; if that was its last attempt it becomes dead instead.
pub async fn claim(
    conn: &mut AsyncPgConnection,
    worker: &str,
    kinds: &[&str],
    jobs_max: usize,
    lease: Duration,
) -> QueryResult<Vec<ClaimedJob>> {
    let jobs: Vec<ClaimedJob> = diesel::sql_query(
        "WITH due AS (
             SELECT id, attempt >= attempts_max AS exhausted FROM commerce.jobs
             WHERE state <> 'dead' AND run_at <= commerce.clock() AND kind = ANY($2)
             ORDER BY run_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
         ), buried AS (
             UPDATE commerce.jobs SET state = 'dead', lease_token = NULL, dedupe_key = NULL, updated_at = commerce.clock(),
                 last_error = 'the worker ' || coalesce(worker, '?') || ' vanished during the last attempt'
             WHERE id IN (SELECT id FROM due WHERE exhausted)
         )
         UPDATE commerce.jobs SET state = 'leased', attempt = attempt + 1, worker = $1, lease_token = gen_random_uuid(),
             run_at = commerce.clock() + $4 * interval '1 millisecond', updated_at = commerce.clock()
         WHERE id IN (SELECT id FROM due WHERE NOT exhausted)
         RETURNING id, kind, payload, attempt, attempts_max, lease_token",
    )
    .bind::<Text, _>(worker)
    .bind::<diesel::sql_types::Array<Text>, _>(kinds)
    .bind::<BigInt, _>(i64::try_from(jobs_max).unwrap_or(i64::MAX))
    .bind::<BigInt, _>(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
    .load(conn)
    .await?;
    Ok(jobs)
}
