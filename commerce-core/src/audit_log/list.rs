//! Reading the audit log.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::snapshot::SubjectKind;
use crate::ids::{AuditEntryId, UserId};
use crate::page::{Cursor, InvalidCursor, Limit, Page, storable_time};
use crate::schema::audit_log;

/// Filters entries. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// The user who made the change.
    pub actor: Option<UserId>,
    /// The operation, such as `update_user`.
    pub action: Option<String>,
    /// The kind of what was changed.
    pub subject_kind: Option<SubjectKind>,
    /// The id of what was changed.
    pub subject_id: Option<String>,
    /// Only entries at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Only entries before this time.
    pub before: Option<DateTime<Utc>>,
}

/// One change that a member of staff made.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = audit_log, check_for_backend(diesel::pg::Pg))]
pub struct AuditEntry {
    /// The entry's id.
    pub id: AuditEntryId,
    /// When the change was made.
    pub at: DateTime<Utc>,
    /// `user:<id>` or `system`.
    pub actor: String,
    /// The actor's role at that time.
    pub actor_role: Option<String>,
    /// The request that made the change.
    pub request_id: Option<String>,
    /// The operation, as the spec names it.
    pub action: String,
    /// The kind of what was changed.
    pub subject_kind: SubjectKind,
    /// The id of what was changed, if it is one thing.
    pub subject_id: Option<String>,
    /// The subject before the change. `None` if the change created it.
    pub before: Option<Value>,
    /// The subject after the change. `None` if the change deleted it.
    pub after: Option<Value>,
}

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListAuditError {
    /// The cursor was not issued by this list in this order.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

const SORT: &str = "-at";

/// One page of the entries that match, newest first.
pub async fn list(
    conn: &mut AsyncPgConnection,
    filter: &AuditFilter,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<AuditEntry>, ListAuditError> {
    let mut query = audit_log::table.select(AuditEntry::as_select()).into_boxed();
    if let Some(actor) = filter.actor {
        query = query.filter(audit_log::actor.eq(format!("user:{actor}")));
    }
    if let Some(action) = &filter.action {
        query = query.filter(audit_log::action.eq(action));
    }
    if let Some(kind) = filter.subject_kind {
        query = query.filter(audit_log::subject_kind.eq(kind));
    }
    if let Some(id) = &filter.subject_id {
        query = query.filter(audit_log::subject_id.eq(id));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit_log::at.ge(storable_time(from)));
    }
    if let Some(before) = filter.before {
        query = query.filter(audit_log::at.lt(storable_time(before)));
    }
    if let Some(last) = Cursor::<DateTime<Utc>>::place::<AuditEntryId>(cursor, SORT)? {
        let place = (audit_log::at, audit_log::id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
        query = query.filter(place.lt(last));
    }
    let rows: Vec<AuditEntry> = query
        .order((audit_log::at.desc(), audit_log::id.desc()))
        .limit(limit.rows_and_one())
        .load(conn)
        .await?;
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(SORT, last.at, last.id)))
}
