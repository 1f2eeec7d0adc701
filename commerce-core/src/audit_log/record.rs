//! Writing entries.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::snapshot::{Subject, snapshot};
use crate::ids::{AuditEntryId, UserId};
use crate::request::Origin;
use crate::schema::audit_log;

/// The author of a change.
#[derive(Debug, Clone)]
pub struct Author {
    /// Where the change comes from.
    pub origin: Origin,
    /// The role that allows it, such as `admin`.
    pub role: Option<&'static str>,
}

/// Records a change of the subject, with the subject's present state. `before` is what [`snapshot`] returned
/// in this transaction, or `None` if the change created the subject.
pub async fn record(
    conn: &mut AsyncPgConnection,
    author: &Author,
    action: &'static str,
    subject: Subject,
    before: Option<Value>,
) -> QueryResult<()> {
    let after = snapshot(conn, subject).await?;
    record_facts(conn, author, action, subject, before, after).await
}

/// Like [`record`], for changes that are not about the row of one subject, such as an import. The values must
/// hold no secret, and only ids of people.
pub async fn record_facts(
    conn: &mut AsyncPgConnection,
    author: &Author,
    action: &'static str,
    subject: Subject,
    before: Option<Value>,
    after: Option<Value>,
) -> QueryResult<()> {
    diesel::insert_into(audit_log::table)
        .values((
            audit_log::id.eq(AuditEntryId::new()),
            audit_log::actor.eq(author.origin.actor.to_string()),
            audit_log::actor_role.eq(author.role),
            audit_log::request_id.eq(&author.origin.request_id),
            audit_log::action.eq(action),
            audit_log::subject_kind.eq(subject.kind()),
            audit_log::subject_id.eq(subject.id()),
            audit_log::before.eq(before),
            audit_log::after.eq(after),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes the personal data of a deleted account from its entries. The entries themselves and their authors
/// stay.
pub async fn forget_user(conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE commerce.audit_log
         SET before = before - '{email,display_name,phone}'::text[], after = after - '{email,display_name,phone}'::text[]
         WHERE subject_kind = 'user' AND subject_id = $1",
    )
    .bind::<diesel::sql_types::Text, _>(id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}
