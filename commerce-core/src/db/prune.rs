//! Deletes old rows in batches, so that a backlog of any size is worked off.

use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Double};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// A run ends after this time. The next run continues.
const RUN_MAX: Duration = Duration::from_secs(5);

/// Deletes rows that are older than `kept`, `batch` at a time, each batch in a statement of its own. Returns
/// their number.
///
/// `delete` deletes one batch. In it `$1` is the size of a batch, and `$2` is `kept` in seconds. It selects
/// the batch in `ARRAY(…)`, which Postgres evaluates once. With SKIP LOCKED several processes can prune at
/// once.
pub(crate) async fn prune(
    conn: &mut AsyncPgConnection,
    batch: i64,
    kept: Duration,
    delete: &'static str,
) -> QueryResult<usize> {
    let begun = Instant::now();
    let mut count = 0;
    loop {
        let deleted = diesel::sql_query(delete)
            .bind::<BigInt, _>(batch)
            .bind::<Double, _>(kept.as_secs_f64())
            .execute(conn)
            .await?;
        count += deleted;
        let is_last = i64::try_from(deleted).is_ok_and(|deleted| deleted < batch);
        if is_last || begun.elapsed() > RUN_MAX {
            return Ok(count);
        }
    }
}
