//! Jobs as an operator looks at them: filtered, sorted, page by page, and many at once.

use chrono::{DateTime, Utc};
use diesel::dsl::not;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::dead_letters::{JobRow, JobState, cancel_all, retry_all};
use crate::db::{clock, escape_like};
use crate::ids::JobId;
use crate::page::{Cursor, InvalidCursor, Limit, Page, storable_time};
use crate::schema::jobs;
use crate::text_enum::text_enum;

/// Filters jobs. Each field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// The state.
    pub state: Option<JobState>,
    /// The kind.
    pub kind: Option<String>,
    /// Part of the last error.
    pub error: Option<String>,
    /// Jobs whose last attempt failed, whether they are dead or wait for another one.
    pub failed: Option<bool>,
    /// Only jobs that were enqueued before this time.
    pub created_before: Option<DateTime<Utc>>,
}

text_enum! {
    /// The sort order of jobs.
    pub enum JobSort {
        /// As they were enqueued, the oldest first.
        OldestFirst = "created_at",
        /// As they were enqueued, the newest first.
        NewestFirst = "-created_at",
        /// As they are due.
        DueFirst = "run_at",
    }
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListJobsError {
    /// The cursor was not issued by this list in this order.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

type Matching<'a, T> = jobs::BoxedQuery<'a, Pg, T>;

fn matching<'a, T>(mut query: Matching<'a, T>, filter: &'a JobFilter) -> Matching<'a, T> {
    if let Some(state) = filter.state {
        query = query.filter(jobs::state.eq(state));
    }
    if let Some(kind) = &filter.kind {
        query = query.filter(jobs::kind.eq(kind));
    }
    if let Some(error) = &filter.error {
        query = query.filter(jobs::last_error.assume_not_null().ilike(format!("%{}%", escape_like(error))));
    }
    match filter.failed {
        Some(true) => query = query.filter(jobs::last_error.is_not_null()),
        Some(false) => query = query.filter(jobs::last_error.is_null()),
        None => {}
    }
    if let Some(before) = filter.created_before {
        query = query.filter(jobs::created_at.lt(storable_time(before)));
    }
    query
}

/// The jobs that match.
pub async fn list_jobs(
    conn: &mut AsyncPgConnection,
    filter: &JobFilter,
    sort: JobSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<JobRow>, ListJobsError> {
    use jobs::{created_at, id, run_at};
    let mut query = matching(jobs::table.select(JobRow::as_select()).into_boxed(), filter);
    let last = Cursor::<DateTime<Utc>>::place::<JobId>(cursor, sort.as_str())?;
    let by_age = || (created_at, id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
    let by_time = || (run_at, id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
    query = match (sort, last) {
        (JobSort::OldestFirst, Some(last)) => query.filter(by_age().gt(last)),
        (JobSort::NewestFirst, Some(last)) => query.filter(by_age().lt(last)),
        (JobSort::DueFirst, Some(last)) => query.filter(by_time().gt(last)),
        (_, None) => query,
    };
    query = match sort {
        JobSort::OldestFirst => query.order((created_at, id)),
        JobSort::NewestFirst => query.order((created_at.desc(), id.desc())),
        JobSort::DueFirst => query.order((run_at, id)),
    };
    let rows: Vec<JobRow> = query.limit(limit.rows_and_one()).load(conn).await?;
    let key_of = |job: &JobRow| if sort == JobSort::DueFirst { job.run_at } else { job.created_at };
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(sort.as_str(), key_of(last), last.id)))
}

/// The most jobs that are retried or cancelled at once.
pub const MANY_JOBS_MAX: i64 = 1000;

/// How many jobs were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Managed {
    /// The jobs that were changed.
    pub jobs: usize,
    /// Whether there may be more. Then do it again.
    pub more: bool,
}

/// Makes dead and waiting jobs that match due now, with all their attempts left: at most [`MANY_JOBS_MAX`], the oldest
/// first. Jobs that are running are left alone, and so are those that are so already.
pub async fn retry_matching(conn: &mut AsyncPgConnection, filter: &JobFilter) -> QueryResult<Managed> {
    conn.transaction(async |conn| {
        // Otherwise the oldest would be retried again and again, and never those after them.
        let retried = jobs::state.eq(JobState::Ready).and(jobs::attempt.eq(0)).and(jobs::run_at.le(clock()));
        let matching = matching(jobs::table.select(jobs::id).into_boxed(), filter).filter(not(retried));
        let (ids, more) = lock_oldest(conn, matching).await?;
        Ok(Managed { jobs: retry_all(conn, &ids).await?, more })
    })
    .await
}

/// Deletes dead and waiting jobs that match: at most [`MANY_JOBS_MAX`], the oldest first. Their work will not be done.
/// Jobs that are running are left alone.
pub async fn cancel_matching(conn: &mut AsyncPgConnection, filter: &JobFilter) -> QueryResult<Managed> {
    conn.transaction(async |conn| {
        let matching = matching(jobs::table.select(jobs::id).into_boxed(), filter);
        let (ids, more) = lock_oldest(conn, matching).await?;
        Ok(Managed { jobs: cancel_all(conn, &ids).await?, more })
    })
    .await
}

/// Locks the oldest of the jobs. Rows that others have locked are just being claimed or changed, and are skipped.
async fn lock_oldest(
    conn: &mut AsyncPgConnection,
    matching: Matching<'_, SqlUuid>,
) -> QueryResult<(Vec<JobId>, bool)> {
    let oldest = matching
        .filter(jobs::state.ne(JobState::Leased))
        .order((jobs::created_at, jobs::id))
        .limit(MANY_JOBS_MAX);
    let oldest: Vec<JobId> = oldest.load(conn).await?;
    let more = i64::try_from(oldest.len()).unwrap_or(i64::MAX) == MANY_JOBS_MAX;
    let ids = jobs::table
        .filter(jobs::id.eq_any(oldest))
        .filter(jobs::state.ne(JobState::Leased))
        .order(jobs::id)
        .select(jobs::id)
        .for_update()
        .skip_locked();
    Ok((ids.load(conn).await?, more))
}
