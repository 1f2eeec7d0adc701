//! Somebody forgot their password, or changes it.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use crate::accounts::one_time_code::{self, CodePurpose};
use crate::accounts::{self, PasswordHash, ProvenUser, ResetProof, User};
use crate::email_address::EmailAddress;
use crate::ids::SessionId;
use crate::notifications::{NewEmail, Template, enqueue_email};

/// Mails a link and a code by which the password can be set anew, at most once a minute. Nothing happens for an address that
/// has no account, or a disabled one.
pub async fn request_password_reset(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> Result<(), QueryError> {
    conn.transaction(async |conn| {
        if let Some(user) = accounts::try_lock_by_email(conn, email).await?
            && user.disabled_at.is_none()
            && let Some(code) = one_time_code::issue(conn, user.id, CodePurpose::ResetPassword).await?
        {
            let mail = NewEmail::with_code(Template::PasswordReset, code, user.id, &user.email);
            enqueue_email(conn, mail).await?;
        }
        Ok(())
    })
    .await
}

/// Sets the password anew, ends every session, voids whatever else was mailed, and tells the owner. Who could read the mail
/// owns the address, so it is verified too, and welcomed. `None` if the proof was used in the meantime or the account cannot be used.
pub async fn reset_password(
    conn: &mut AsyncPgConnection,
    proof: &ResetProof,
    password: &PasswordHash,
) -> Result<Option<User>, QueryError> {
    conn.transaction(async |conn| {
        let Some(user) = accounts::lock_active_user(conn, proof.user_id).await? else { return Ok(None) };
        if !one_time_code::consume(conn, proof.code_id).await? {
            return Ok(None);
        }
        // Whoever registered the address need not be who reads its mail: the name that they gave is not kept.
        accounts::contest(conn, &user.email).await?;
        accounts::mark_verified(conn, user.id).await?;
        let version = accounts::set_password(conn, user.id, password, None).await?;
        if user.email_verified_at.is_none() {
            enqueue_email(conn, NewEmail::to_user(Template::Welcome, user.id, &user.email)).await?;
        }
        tell(conn, &user, version).await?;
        Ok(Some(user))
    })
    .await
}

/// Sets another password, ends every other session, voids whatever was mailed before, and tells the owner. `None` if the old
/// password was changed in the meantime or the account cannot be used.
pub async fn change_password(
    conn: &mut AsyncPgConnection,
    proven: &ProvenUser,
    password: &PasswordHash,
    keep: SessionId,
) -> Result<Option<User>, QueryError> {
    conn.transaction(async |conn| {
        let Some(user) = proven.lock(conn).await? else { return Ok(None) };
        let version = accounts::set_password(conn, user.id, password, Some(keep)).await?;
        tell(conn, &user, version).await?;
        Ok(Some(user))
    })
    .await
}

/// One mail a change.
async fn tell(conn: &mut AsyncPgConnection, user: &User, version: i32) -> Result<(), QueryError> {
    let mut mail = NewEmail::to_user(Template::PasswordChanged, user.id, &user.email);
    mail.dedupe_key = format!("{}:{version}", mail.dedupe_key);
    enqueue_email(conn, mail).await
}
