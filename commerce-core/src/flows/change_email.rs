//! A user requests another e-mail address for their account.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::registration_mails::say_it_exists;
use crate::accounts::one_time_code::{self, CodePurpose};
use crate::accounts::{self, ProvenUser, SecretKey, User};
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::notifications::{NewEmail, Template, enqueue_email};

/// Mails a code to the new address and a notice to the old one, at most once a minute. If the new address has
/// an account, it gets a mail that says so instead of a code, so that the caller sees no difference. `false`
/// if the password was changed in the meantime or the account cannot be used.
pub async fn request_email_change(
    conn: &mut AsyncPgConnection,
    proven: &ProvenUser,
    new_email: &EmailAddress,
) -> Result<bool, QueryError> {
    conn.transaction(async |conn| {
        let Some(user) = proven.lock(conn).await? else { return Ok(false) };
        let Some(code) = one_time_code::issue_for_address(conn, user.id, new_email).await? else {
            return Ok(true);
        };
        match accounts::find_verified_by_email(conn, new_email).await? {
            None => {
                let mail = NewEmail::with_code(Template::EmailChangeCode, code, user.id, new_email);
                enqueue_email(conn, mail).await?;
            }
            Some(other) => say_it_exists(conn, other, new_email).await?,
        }
        let notice = NewEmail::to_user(Template::EmailChangeRequested, user.id, &user.email);
        enqueue_email(conn, notice.once_a_code(code)).await?;
        Ok(true)
    })
    .await
}

/// Moves the account to the new address if the code is right, and mails a notice to the old one. **Commit
/// even if it returns `None`**, because a wrong guess is counted. It also returns `None` if another account
/// has verified the address in the meantime.
pub async fn confirm_email_change(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    user_id: UserId,
    code: &str,
) -> Result<Option<User>, QueryError> {
    conn.transaction(async |conn| {
        accounts::lock_for_move(conn, user_id).await?;
        let Some(before) = accounts::lock_active_user(conn, user_id).await? else { return Ok(None) };
        let code_id = one_time_code::guess(conn, key, user_id, CodePurpose::ChangeEmail, code).await?;
        let Some(code_id) = code_id else { return Ok(None) };
        let Some(user) = accounts::move_to_proven_address(conn, user_id, code_id).await? else {
            return Ok(None);
        };
        let notice = NewEmail::to_user(Template::EmailChanged, user.id, &before.email);
        enqueue_email(conn, notice.once_a_version(user.version)).await?;
        Ok(Some(user))
    })
    .await
}
