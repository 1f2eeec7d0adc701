//! Refreshing a session: each refresh token is exchanged once for its successor.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::session::{
    LiveSession, OpenedSession, RefreshToken, end_of_session, insert_refresh_token, revoke_session,
};
use super::{User, find_user};
use crate::db::clock;
use crate::ids::{SessionId, UserId};
use crate::schema::{refresh_tokens, sessions};

/// Two tabs of a browser may send the same token at once. For this long after its first use, a token still
/// gives a successor.
pub const REUSE_GRACE: Duration = Duration::from_secs(10);

/// The result of a refresh. Commit the transaction for every variant.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
#[must_use = "a token may have been refused"]
pub enum Refreshed {
    /// The session continues: its user and the new token.
    Continued(User, OpenedSession),
    /// The token is unknown, or its session has ended.
    Refused,
    /// The token had been used before, so somebody else has a copy. The whole session was revoked.
    Reused(SessionId),
}

/// Exchanges a token. It waits for a concurrent refresh of the same session.
pub async fn refresh_session(
    conn: &mut AsyncPgConnection,
    token: &RefreshToken,
) -> Result<Refreshed, QueryError> {
    conn.transaction(async |conn| {
        let Some((session_id, user_id)) = lock_live_session(conn, token).await? else {
            return Ok(Refreshed::Refused);
        };
        let (used_at, now): (Option<DateTime<Utc>>, DateTime<Utc>) = refresh_tokens::table
            .find(token.hash().to_vec())
            .select((refresh_tokens::used_at, clock()))
            .first(conn)
            .await?;
        if let Some(used_at) = used_at {
            let since = now.signed_duration_since(used_at).to_std().unwrap_or_default();
            if since > REUSE_GRACE {
                revoke_session(conn, session_id, "refresh_token_reused").await?;
                return Ok(Refreshed::Reused(session_id));
            }
        } else {
            end_siblings(conn, session_id, token).await?;
            let exchanged = diesel::update(refresh_tokens::table.find(token.hash().to_vec()));
            exchanged.set(refresh_tokens::used_at.eq(clock().nullable())).execute(conn).await?;
        }
        let user = find_user(conn, user_id).await?;
        let Some(user) = user.filter(|user| user.disabled_at.is_none()) else {
            return Ok(Refreshed::Refused);
        };
        diesel::update(sessions::table.find(session_id))
            .set((sessions::last_used_at.eq(clock()), sessions::expires_at.eq(end_of_session())))
            .execute(conn)
            .await?;
        let refresh_token = insert_refresh_token(conn, session_id, Some(token)).await?;
        let session = LiveSession::of(session_id, &user, now);
        Ok(Refreshed::Continued(user, OpenedSession { session, refresh_token }))
    })
    .await
}

/// Deletes the other tokens that the same token was exchanged for. One of two who have a copy of a token goes on;
/// the other must log in again.
async fn end_siblings(
    conn: &mut AsyncPgConnection,
    session_id: SessionId,
    token: &RefreshToken,
) -> QueryResult<()> {
    let parent: Option<Vec<u8>> = refresh_tokens::table
        .find(token.hash().to_vec())
        .select(refresh_tokens::exchanged_for)
        .first(conn)
        .await?;
    let Some(parent) = parent else { return Ok(()) };
    let siblings = refresh_tokens::table
        .filter(refresh_tokens::session_id.eq(session_id))
        .filter(refresh_tokens::exchanged_for.eq(parent))
        .filter(refresh_tokens::token_hash.ne(token.hash().to_vec()));
    diesel::delete(siblings).execute(conn).await?;
    Ok(())
}

/// The session that a token belongs to, locked against other refreshes.
async fn lock_live_session(
    conn: &mut AsyncPgConnection,
    token: &RefreshToken,
) -> QueryResult<Option<(SessionId, UserId)>> {
    let session_id: Option<SessionId> = refresh_tokens::table
        .find(token.hash().to_vec())
        .select(refresh_tokens::session_id)
        .first(conn)
        .await
        .optional()?;
    let Some(session_id) = session_id else { return Ok(None) };
    sessions::table
        .find(session_id)
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(clock()))
        .select((sessions::id, sessions::user_id))
        .for_update()
        .first(conn)
        .await
        .optional()
}
