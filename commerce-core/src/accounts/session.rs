//! A login, and who is behind it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use sha2::{Digest, Sha256};

use super::Role;
use crate::db::{clock, time_after};
use crate::ids::{SessionId, UserId};
use crate::schema::{refresh_tokens, sessions, users};

/// A session that is not used for so long is over.
pub const SESSION_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

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

/// From where somebody logged in, to show them later.
#[derive(Debug, Clone, Default)]
pub struct Device {
    pub user_agent: Option<String>,
    pub ip: Option<String>,
}

/// The secret that a session goes on with. Only its SHA-256 is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(String);

impl RefreshToken {
    fn generate() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
    }

    /// What a client sent; whether it is one of ours shows when it is looked up.
    pub fn received(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// To be handed to the client, once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

/// A session just begun or continued.
#[derive(Debug, Clone)]
pub struct OpenedSession {
    pub session: LiveSession,
    pub refresh_token: RefreshToken,
}

pub(super) async fn insert_session(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    device: &Device,
) -> QueryResult<SessionId> {
    let id = SessionId::new();
    let cut = |text: &Option<String>, chars: usize| -> Option<String> {
        text.as_ref().map(|text| text.chars().take(chars).collect())
    };
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(id),
            sessions::user_id.eq(user_id),
            sessions::user_agent.eq(cut(&device.user_agent, 400)),
            sessions::ip.eq(cut(&device.ip, 64)),
            sessions::expires_at.eq(time_after(SESSION_TTL)),
        ))
        .execute(conn)
        .await?;
    Ok(id)
}

pub(super) async fn insert_refresh_token(
    conn: &mut AsyncPgConnection,
    session_id: SessionId,
) -> QueryResult<RefreshToken> {
    let token = RefreshToken::generate();
    diesel::insert_into(refresh_tokens::table)
        .values((refresh_tokens::token_hash.eq(token.hash()), refresh_tokens::session_id.eq(session_id)))
        .execute(conn)
        .await?;
    Ok(token)
}

/// Ends a session and everything that came from it; ending it twice changes nothing.
pub async fn revoke_session(
    conn: &mut AsyncPgConnection,
    id: SessionId,
    reason: &'static str,
) -> QueryResult<()> {
    diesel::update(sessions::table.find(id).filter(sessions::revoked_at.is_null()))
        .set((sessions::revoked_at.eq(clock().nullable()), sessions::revoke_reason.eq(reason)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends the session at its user's wish.
pub async fn logout(conn: &mut AsyncPgConnection, id: SessionId) -> QueryResult<()> {
    revoke_session(conn, id, "logout").await
}

/// Forgets sessions that have been over for a week; returns how many.
pub async fn prune_sessions(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    let week_ago = diesel::dsl::sql::<diesel::sql_types::Timestamptz>("commerce.clock() - interval '7 days'");
    diesel::delete(sessions::table.filter(sessions::expires_at.lt(week_ago))).execute(conn).await
}
