//! How many jobs the table has, for metrics and alerts.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::JobState;

/// The jobs of one kind in one state.
#[derive(Debug, Clone, QueryableByName)]
pub struct QueueState {
    /// The kind.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The state.
    #[diesel(sql_type = Text)]
    pub state: JobState,
    /// The number of jobs.
    #[diesel(sql_type = BigInt)]
    pub jobs: i64,
    /// How long the oldest job has been due, in milliseconds. `None` if none is due.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub overdue_ms: Option<i64>,
    /// When the oldest job was enqueued.
    #[diesel(sql_type = Timestamptz)]
    pub oldest_created_at: DateTime<Utc>,
}

/// One row for each kind and state that has jobs.
pub async fn queue_states(conn: &mut AsyncPgConnection) -> QueryResult<Vec<QueueState>> {
    diesel::sql_query(
        "SELECT kind, state, count(*) AS jobs, min(created_at) AS oldest_created_at,
             (extract(epoch FROM commerce.clock() - min(run_at) FILTER (WHERE state <> 'dead' AND run_at <= commerce.clock()))
                 * 1000)::bigint AS overdue_ms
         FROM commerce.jobs GROUP BY kind, state ORDER BY kind, state",
    )
    .load(conn)
    .await
}
