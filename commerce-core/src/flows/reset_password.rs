//! Resetting a forgotten password and changing a known one.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::registration_mails;
use crate::accounts::one_time_code::{self, CodePurpose};
use crate::accounts::{self, PasswordHash, ProvenUser, RegistrationEvent, ResetProof, User};
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
        let step = accounts::find_standing(conn, &user.email).await?.state.on(RegistrationEvent::Reset);
        accounts::write_transition(conn, &user.email, &step).await?;
        let version = accounts::set_password(conn, user.id, password, None).await?;
        registration_mails::enqueue(conn, step.mails, user.id, &user.email).await?;
        mail_password_changed(conn, &user, version).await?;
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
        mail_password_changed(conn, &user, version).await?;
        Ok(Some(user))
    })
    .await
}

/// One mail for each change.
async fn mail_password_changed(
    conn: &mut AsyncPgConnection,
    user: &User,
    version: i32,
) -> Result<(), QueryError> {
    let mail = NewEmail::to_user(Template::PasswordChanged, user.id, &user.email);
    enqueue_email(conn, mail.once_a_version(version)).await
}
