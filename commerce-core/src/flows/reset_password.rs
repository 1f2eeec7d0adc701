//! Resetting a forgotten password and changing a known one.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use crate::accounts::one_time_code::{self, CodePurpose};
use crate::accounts::{self, PasswordHash, ProvenUser, ResetProof, User};
use crate::email_address::EmailAddress;
use crate::ids::SessionId;
use crate::notifications::{NewEmail, Template, enqueue_email};

/// Mails a link and a code for setting a new password, at most once a minute. Nothing happens if the address
/// has no account or a disabled one.
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

/// Sets a new password, ends every session, invalidates all other mailed links and codes, and mails the
/// owner. Whoever can read the mail owns the address, so the address is verified too and gets the welcome
/// mail. `None` if the proof was used in the meantime or the account cannot be used.
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
        // The person who registered the address may not be the one who reads its mail. So the name that was
        // given is not kept.
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

/// Sets another password, ends every other session, invalidates all mailed links and codes, and mails the
/// owner. `None` if the old password was changed in the meantime or the account cannot be used.
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

/// One mail for each change.
async fn tell(conn: &mut AsyncPgConnection, user: &User, version: i32) -> Result<(), QueryError> {
    let mut mail = NewEmail::to_user(Template::PasswordChanged, user.id, &user.email);
    mail.dedupe_key = format!("{}:{version}", mail.dedupe_key);
    enqueue_email(conn, mail).await
}
