//! Users list their sessions and end those that they do not recognise.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db::clock;
use crate::ids::{SessionId, UserId};
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::sessions;

/// A session that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg))]
pub struct Session {
    /// The id. It stays the same when the session is refreshed.
    pub id: SessionId,
    /// The `User-Agent` of the login.
    pub user_agent: Option<String>,
    /// The address that the login came from.
    pub ip: Option<String>,
    /// When the user logged in.
    pub created_at: DateTime<Utc>,
    /// To within [`LAST_USE_INTERVAL`](super::LAST_USE_INTERVAL).
    pub last_used_at: DateTime<Utc>,
    /// When the session ends if it is not used before.
    pub expires_at: DateTime<Utc>,
}

/// Why sessions could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListSessionsError {
    /// The cursor did not come from this list.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

const SORT: &str = "-created_at";

/// One page of a user's active sessions, newest first.
pub async fn list_sessions(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<Session>, ListSessionsError> {
    let mut live = sessions::table
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(clock()))
        .order((sessions::created_at.desc(), sessions::id.desc()))
        .limit(limit.rows_and_one())
        .select(Session::as_select())
        .into_boxed();
    if let Some(last) = Cursor::<DateTime<Utc>>::place::<SessionId>(cursor, SORT)? {
        let place = (sessions::created_at, sessions::id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
        live = live.filter(place.lt(last));
    }
    let rows: Vec<Session> = live.load(conn).await?;
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(SORT, last.created_at, last.id)))
}

/// Ends a session of this user. `false` if the user has no such active session.
pub async fn end_own_session(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    id: SessionId,
) -> QueryResult<bool> {
    let live = sessions::table
        .find(id)
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(clock()));
    let ended = diesel::update(live)
        .set((sessions::revoked_at.eq(clock().nullable()), sessions::revoke_reason.eq("ended_by_owner")));
    Ok(ended.execute(conn).await? == 1)
}
