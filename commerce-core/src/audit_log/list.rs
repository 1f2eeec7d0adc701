//! Reading entries.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::snapshot::SubjectKind;
use crate::ids::{AuditEntryId, UserId};
use crate::page::{Cursor, InvalidCursor, Limit, Page, storable_time};
use crate::schema::audit_log;

/// Which entries; each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub actor: Option<UserId>,
    /// The operation, such as `update_user`.
    pub action: Option<String>,
    pub subject_kind: Option<SubjectKind>,
    pub subject_id: Option<String>,
    /// At this time or after.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub before: Option<DateTime<Utc>>,
}

/// One change by one of the staff.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = audit_log, check_for_backend(diesel::pg::Pg))]
pub struct AuditEntry {
    pub id: AuditEntryId,
    pub at: DateTime<Utc>,
    /// `user:<id>` or `system`.
    pub actor: String,
    /// The actor's role at that time.
    pub actor_role: Option<String>,
    pub request_id: Option<String>,
    /// The operation, as the spec names it.
    pub action: String,
    pub subject_kind: SubjectKind,
    pub subject_id: Option<String>,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListAuditError {
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
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
    if let Some(cursor) = cursor {
        let Cursor { key, id, .. } = Cursor::<DateTime<Utc>>::decode(cursor, SORT)?;
        let earlier = audit_log::at.lt(key).or(audit_log::id.lt(AuditEntryId(id)));
        query = query.filter(audit_log::at.le(key)).filter(earlier);
    }
    let rows: Vec<AuditEntry> = query
        .order((audit_log::at.desc(), audit_log::id.desc()))
        .limit(limit.rows_and_one())
        .load(conn)
        .await?;
    let cursor_of =
        |last: &AuditEntry| Cursor { sort: SORT.to_owned(), key: last.at, id: last.id.0 }.encode();
    Ok(Page::from_rows(rows, limit, cursor_of))
}
