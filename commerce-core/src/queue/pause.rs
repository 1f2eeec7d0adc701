//! Pausing a kind of job: no job of the kind is begun until it is resumed. Jobs that are running go on.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::request::Actor;
use crate::schema::job_pauses;

/// A kind that is paused.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = job_pauses)]
pub struct JobPause {
    /// The kind.
    pub kind: String,
    /// Who paused it: `user:<id>` or `system`.
    pub paused_by: String,
    /// Since when.
    pub paused_at: DateTime<Utc>,
}

/// Pauses a kind. Returns whether it was not paused before.
pub async fn pause(conn: &mut AsyncPgConnection, kind: &str, actor: Actor) -> QueryResult<bool> {
    let row = (job_pauses::kind.eq(kind), job_pauses::paused_by.eq(actor.to_string()));
    let insert = diesel::insert_into(job_pauses::table).values(row).on_conflict_do_nothing();
    Ok(insert.execute(conn).await? > 0)
}

/// Resumes a kind. Returns whether it was paused.
pub async fn resume(conn: &mut AsyncPgConnection, kind: &str) -> QueryResult<bool> {
    Ok(diesel::delete(job_pauses::table.find(kind)).execute(conn).await? > 0)
}

/// The kinds that are paused.
pub async fn list_pauses(conn: &mut AsyncPgConnection) -> QueryResult<Vec<JobPause>> {
    job_pauses::table.select(JobPause::as_select()).order(job_pauses::kind).load(conn).await
}
