//! A login that is still good.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Role;
use crate::db::clock;
use crate::ids::{SessionId, UserId};
use crate::schema::{sessions, users};

/// Who is behind a session at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    pub session_id: SessionId,
    pub user_id: UserId,
    pub role: Role,
    /// The database's time at which this was true.
    pub seen_at: DateTime<Utc>,
}

/// The session, unless it was revoked, is past its time, or its user was disabled.
pub async fn find_live_session(
    conn: &mut AsyncPgConnection,
    id: SessionId,
) -> QueryResult<Option<LiveSession>> {
    let row: Option<(UserId, Role, DateTime<Utc>)> = sessions::table
        .inner_join(users::table)
        .filter(sessions::id.eq(id))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(clock()))
        .filter(users::disabled_at.is_null())
        .select((users::id, users::role, clock()))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(user_id, role, seen_at)| LiveSession { session_id: id, user_id, role, seen_at }))
}
