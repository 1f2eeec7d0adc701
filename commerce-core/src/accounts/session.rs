//! Sessions and their users.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use sha2::{Digest, Sha256};

use super::user::has_second_factor;
use super::{Role, User};
use crate::db::{self, clock, time_after};
use crate::ids::{SessionId, UserId};
use crate::schema::{refresh_tokens, sessions, users};

/// A session that is not used for this long has ended.
pub const SESSION_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A session ends at last so long after its login, however much it is used.
pub const SESSION_LIFE_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The accuracy of a session's last use. Within this time, reading a session writes nothing.
pub const LAST_USE_INTERVAL: Duration = Duration::from_secs(60);

/// The user behind a session at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// The session.
    pub session_id: SessionId,
    /// The user of the session.
    pub user_id: UserId,
    /// The user's current role.
    pub role: Role,
    /// Whether the user has a second factor.
    pub second_factor: bool,
    /// When the session was last seen in use.
    pub last_used_at: DateTime<Utc>,
    /// The database's time at which this was read.
    pub seen_at: DateTime<Utc>,
}

/// How a session is identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionKey {
    /// By its id, from an access token.
    Id(SessionId),
    /// By the SHA-256 of the cookie's secret.
    Cookie([u8; 32]),
}

impl LiveSession {
    pub(super) async fn just_used(
        conn: &mut AsyncPgConnection,
        session_id: SessionId,
        user: &User,
    ) -> QueryResult<Self> {
        let seen_at = db::current_time(conn).await?;
        Ok(Self::of(session_id, user, seen_at))
    }

    /// A session that its user used just now.
    pub(super) fn of(session_id: SessionId, user: &User, seen_at: DateTime<Utc>) -> Self {
        let User { id: user_id, role, second_factor, .. } = *user;
        Self { session_id, user_id, role, second_factor, last_used_at: seen_at, seen_at }
    }

    /// Whether [`touch_session`] would write something.
    pub fn is_to_be_touched(&self) -> bool {
        let unused = self.seen_at.signed_duration_since(self.last_used_at).to_std();
        unused.is_ok_and(|unused| unused >= LAST_USE_INTERVAL)
    }
}

/// The session, unless it was revoked, has expired, or its user is disabled.
pub async fn find_live_session(
    conn: &mut AsyncPgConnection,
    key: SessionKey,
) -> QueryResult<Option<LiveSession>> {
    type Row = (SessionId, UserId, Role, bool, DateTime<Utc>, DateTime<Utc>);
    let live = sessions::table
        .inner_join(users::table)
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::expires_at.gt(clock()))
        .filter(users::disabled_at.is_null())
        .filter(users::deleted_at.is_null())
        .select((sessions::id, users::id, users::role, has_second_factor(), sessions::last_used_at, clock()));
    let row: Option<Row> = match key {
        // A token cannot name a cookie's session.
        SessionKey::Id(id) => {
            live.filter(sessions::id.eq(id)).filter(sessions::cookie_hash.is_null()).first(conn).await
        }
        SessionKey::Cookie(hash) => live.filter(sessions::cookie_hash.eq(hash.as_slice())).first(conn).await,
    }
    .optional()?;
    Ok(row.map(|(session_id, user_id, role, second_factor, last_used_at, seen_at)| LiveSession {
        session_id,
        user_id,
        role,
        second_factor,
        last_used_at,
        seen_at,
    }))
}

/// SQL for the time at which a session ends if it is used now, and not again.
pub(super) fn end_of_session() -> SqlLiteral<Timestamptz> {
    let (ttl, life_max) = (SESSION_TTL.as_secs(), SESSION_LIFE_MAX.as_secs());
    sql(&format!(
        "least(commerce.clock() + interval '{ttl} s', sessions.created_at + interval '{life_max} s')"
    ))
}

/// Records the use of a session, at most once in [`LAST_USE_INTERVAL`]. This extends a session with a cookie.
/// A session with tokens is extended by refreshing it.
pub async fn touch_session(conn: &mut AsyncPgConnection, id: SessionId) -> QueryResult<()> {
    let expires_at = diesel::dsl::case_when(sessions::cookie_hash.is_not_null(), end_of_session())
        .otherwise(sessions::expires_at);
    let stale = sessions::table
        .find(id)
        .filter(sessions::revoked_at.is_null())
        .filter(sessions::last_used_at.le(db::time_before(LAST_USE_INTERVAL)));
    diesel::update(stale)
        .set((sessions::last_used_at.eq(clock()), sessions::expires_at.eq(expires_at)))
        .execute(conn)
        .await?;
    Ok(())
}

/// The device that logged in, to be shown to the user later.
#[derive(Debug, Clone, Default)]
pub struct Device {
    /// The request's `User-Agent`, as it came.
    pub user_agent: Option<String>,
    /// The address that the request came from.
    pub ip: Option<String>,
}

macro_rules! secrets {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            pub(super) fn generate() -> Self {
                Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
            }

            /// A token or cookie from a client. Only a lookup shows whether it is one of ours.
            pub fn received(text: &str) -> Self {
                Self(text.to_owned())
            }

            /// The secret to hand to the client, once.
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// The stored hash.
            pub fn hash(&self) -> [u8; 32] {
                Sha256::digest(self.0.as_bytes()).into()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}

secrets! {
    /// The secret that refreshes a session. Only its SHA-256 is stored.
    RefreshToken,
    /// The secret in a browser's cookie. Only its SHA-256 is stored.
    SessionCookie,
}

/// A session that has just begun or was refreshed.
#[derive(Debug, Clone)]
#[must_use = "its tokens can be handed out only now"]
pub struct OpenedSession {
    /// The session itself.
    pub session: LiveSession,
    /// The token that continues the session. Only its hash is stored, so it can be handed out only now.
    pub refresh_token: RefreshToken,
}

pub(super) async fn insert_session(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    device: &Device,
    cookie: Option<&SessionCookie>,
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
            sessions::cookie_hash.eq(cookie.map(|cookie| cookie.hash().to_vec())),
        ))
        .execute(conn)
        .await?;
    Ok(id)
}

pub(super) async fn insert_refresh_token(
    conn: &mut AsyncPgConnection,
    session_id: SessionId,
    exchanged_for: Option<&RefreshToken>,
) -> QueryResult<RefreshToken> {
    let token = RefreshToken::generate();
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::token_hash.eq(token.hash().to_vec()),
            refresh_tokens::session_id.eq(session_id),
            refresh_tokens::exchanged_for.eq(exchanged_for.map(|token| token.hash().to_vec())),
        ))
        .execute(conn)
        .await?;
    Ok(token)
}

/// Ends a session and its tokens. Ending it twice changes nothing.
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

/// Ends the session because its user logged out.
pub async fn logout(conn: &mut AsyncPgConnection, id: SessionId) -> QueryResult<()> {
    revoke_session(conn, id, "logout").await
}

/// Ends all sessions of a user, with at most one exception.
pub async fn revoke_sessions(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    except: Option<SessionId>,
    reason: &'static str,
) -> QueryResult<()> {
    conn.transaction(async |conn| {
        let live: Vec<SessionId> = sessions::table
            .filter(sessions::user_id.eq(user_id))
            .filter(sessions::revoked_at.is_null())
            .filter(sessions::id.ne(except.unwrap_or(SessionId(uuid::Uuid::nil()))))
            .order(sessions::id)
            .select(sessions::id)
            .for_update()
            .load(conn)
            .await?;
        diesel::update(sessions::table.filter(sessions::id.eq_any(live)))
            .set((sessions::revoked_at.eq(clock().nullable()), sessions::revoke_reason.eq(reason)))
            .execute(conn)
            .await?;
        Ok(())
    })
    .await
}

/// Ends the session of a cookie that its browser no longer has. If the session has ended or is unknown,
/// nothing changes.
pub async fn revoke_cookie_session(conn: &mut AsyncPgConnection, cookie: &SessionCookie) -> QueryResult<()> {
    let live = sessions::table
        .filter(sessions::cookie_hash.eq(cookie.hash().to_vec()))
        .filter(sessions::revoked_at.is_null());
    diesel::update(live)
        .set((sessions::revoked_at.eq(clock().nullable()), sessions::revoke_reason.eq("replaced")))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes sessions that ended a week ago, and refresh tokens that were used so long ago that nobody will
/// send them again, `batch` at a time. Returns their number.
pub async fn prune_sessions(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let ended = "DELETE FROM commerce.sessions WHERE id = ANY (ARRAY(
         SELECT id FROM commerce.sessions
         WHERE expires_at < commerce.clock() - make_interval(secs => $2)
            OR revoked_at < commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED))";
    let used = "DELETE FROM commerce.refresh_tokens WHERE token_hash = ANY (ARRAY(
         SELECT token_hash FROM commerce.refresh_tokens
         WHERE used_at < commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED))";
    let ended = db::prune(conn, batch, week, ended).await?;
    Ok(ended + db::prune(conn, batch, SESSION_TTL, used).await?)
}
