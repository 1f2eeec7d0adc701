//! The only code that changes the password of an account.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::one_time_code;
use super::password::PasswordHash;
use super::session::revoke_sessions;
use crate::db::clock;
use crate::ids::{SessionId, UserId};
use crate::schema::users;

/// Sets the password of an account whose row the caller has locked. It invalidates all mailed codes and
/// links, and ends all sessions with at most one exception. Returns the account's new version.
pub async fn set_password(
    conn: &mut AsyncPgConnection,
    id: UserId,
    password: &PasswordHash,
    keep: Option<SessionId>,
) -> QueryResult<i32> {
    let version = diesel::update(users::table.find(id))
        .set((
            users::password_hash.eq(password),
            users::refused_password_hash.eq(None::<PasswordHash>),
            users::updated_at.eq(clock()),
            users::version.eq(users::version + 1),
        ))
        .returning(users::version)
        .get_result(conn)
        .await?;
    one_time_code::void_all(conn, id).await?;
    revoke_sessions(conn, id, keep, "password_changed").await?;
    Ok(version)
}
