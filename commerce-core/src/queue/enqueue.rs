//! Putting jobs into the table.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Serialize, de::DeserializeOwned};

use crate::db::{Prepared, time_after};
use crate::ids::JobId;
use crate::schema::jobs;

/// A kind of job: its data, its name in the table, and its number of attempts.
pub trait Job: Serialize + DeserializeOwned + Send + Sync {
    /// Stored with every row, so it never changes.
    const KIND: &'static str;
    /// After this many attempts the row is dead: it is kept and shown, and only a person can retry it.
    const ATTEMPTS_MAX: i32;
}

/// A row to insert into `commerce.jobs`.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = jobs)]
pub struct NewJob {
    /// The id of the new job.
    pub id: JobId,
    kind: &'static str,
    payload: serde_json::Value,
    attempts_max: i32,
    /// The database's time of the insertion by default.
    run_at: Option<DateTime<Utc>>,
    dedupe_key: Option<String>,
}

impl NewJob {
    /// A job that may run as soon as its transaction has committed.
    pub fn new<J: Job>(job: &J) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id: JobId::new(),
            kind: J::KIND,
            payload: serde_json::to_value(job)?,
            attempts_max: J::ATTEMPTS_MAX,
            run_at: None,
            dedupe_key: None,
        })
    }

    /// Runs the job at this time or later.
    pub fn at(mut self, run_at: DateTime<Utc>) -> Self {
        self.run_at = Some(run_at);
        self
    }

    /// While a job with this key waits or runs, no other is inserted. A job that dies releases its key.
    pub fn dedupe_by(mut self, key: String) -> Self {
        self.dedupe_key = Some(key);
        self
    }
}

/// Inserts a job that may run at once. It takes effect when the caller's transaction commits. A shared borrow
/// of the connection is enough, so that other writes can be sent together with this one.
pub async fn enqueue<J: Job>(conn: &AsyncPgConnection, job: &J) -> QueryResult<JobId> {
    enqueue_after(conn, Duration::ZERO, job).await
}

/// Like [`enqueue`], for a job that may run after this time.
pub async fn enqueue_after<J: Job>(conn: &AsyncPgConnection, delay: Duration, job: &J) -> QueryResult<JobId> {
    let row = NewJob::new(job).map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
    let id = row.id;
    let values = (
        jobs::id.eq(id),
        jobs::kind.eq(row.kind),
        jobs::payload.eq(row.payload),
        jobs::attempts_max.eq(row.attempts_max),
        jobs::run_at.eq(time_after(delay)),
    );
    Prepared(diesel::insert_into(jobs::table).values(values)).execute(&mut { conn }).await?;
    Ok(id)
}

/// Inserts rows in one statement. Rows with a dedupe key that is taken are left out.
pub async fn enqueue_all(conn: &AsyncPgConnection, rows: Vec<NewJob>) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    diesel::insert_into(jobs::table)
        .values(rows)
        .on_conflict(jobs::dedupe_key)
        .do_nothing()
        .execute(&mut { conn })
        .await?;
    Ok(())
}
