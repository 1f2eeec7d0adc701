//! Somebody registers. Whoever asks learns nothing about who has an account: everything else is told by mail.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use crate::accounts::one_time_code::{self, CodePurpose};
use crate::accounts::{self, ComparedRegistration, NewUser};
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::notifications::{NewEmail, Template, enqueue_email};

/// What became of [`register`]. Whoever asked must not be told more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the registration may have to be compared again"]
pub enum Registered {
    /// All that was to be done is done; a mail may be on its way.
    Done,
    /// Nothing was done: another registration of the address came in between, and its password is to be compared first.
    CompareAgain,
}

/// Makes an account that waits for its address to be verified, and mails the code. An address that has an account gets a mail
/// that says so. Within a minute of the last registration nothing more is mailed, and no other password is taken note of.
///
/// Who enters the code has proven the mailbox, not that the password is theirs: a stranger may have registered the address before
/// them, or after. So an address that was registered with two passwords is contested, and keeps neither when it is verified.
/// `compared` tells whether this is the password of the time before (a double click).
pub async fn register(
    conn: &mut AsyncPgConnection,
    user: &NewUser,
    compared: &ComparedRegistration,
) -> Result<Registered, QueryError> {
    conn.transaction(async |conn| {
        if let Some(id) = accounts::insert_unverified(conn, user).await? {
            mail_code(conn, id, &user.email).await?;
            return Ok(Registered::Done);
        }
        // It waits for whoever is about the account: that may be a stranger who would keep this one out, or who would know
        // whether there is an account by whether this was done.
        let Some(existing) = accounts::lock_by_email(conn, &user.email).await? else {
            return Ok(Registered::Done);
        };
        if !compared.still_holds(conn, existing.id).await? {
            return Ok(Registered::CompareAgain);
        }
        let takes_note = accounts::takes_note(conn, existing.id).await?;
        if existing.email_verified_at.is_some() {
            if takes_note {
                accounts::keep_refused(conn, existing.id, &user.password).await?;
            }
            say_it_exists(conn, existing.id, &user.email).await?;
            return Ok(Registered::Done);
        }
        if compared.differs() {
            accounts::contest(conn, &user.email).await?;
        }
        if takes_note {
            accounts::replace_unverified(conn, existing.id, user).await?;
            mail_code(conn, existing.id, &user.email).await?;
        }
        Ok(Registered::Done)
    })
    .await
}

/// Mails another code to an address that is not verified yet. Nothing happens for any other address, or too soon.
pub async fn resend_code(conn: &mut AsyncPgConnection, email: &EmailAddress) -> Result<(), QueryError> {
    conn.transaction(async |conn| {
        if let Some(user) = accounts::try_lock_by_email(conn, email).await?
            && user.email_verified_at.is_none()
        {
            mail_code(conn, user.id, email).await?;
        }
        Ok(())
    })
    .await
}

/// Puts a code on its way; `false` when it is too soon for another.
async fn mail_code(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    email: &EmailAddress,
) -> Result<bool, QueryError> {
    let Some(code) = one_time_code::issue(conn, user_id, CodePurpose::VerifyEmail).await? else {
        return Ok(false);
    };
    let mail = NewEmail::with_code(Template::VerifyEmailCode, code, user_id, email);
    enqueue_email(conn, mail).await?;
    Ok(true)
}

/// At most one such mail an hour, whoever keeps registering the address or wants to move an account there.
pub(super) async fn say_it_exists(
    conn: &mut AsyncPgConnection,
    id: UserId,
    email: &EmailAddress,
) -> Result<(), QueryError> {
    let hour = crate::db::current_time(conn).await?.timestamp() / 3600;
    let mut mail = NewEmail::to_user(Template::AccountExists, id, email);
    mail.dedupe_key = format!("{}:{hour}", mail.dedupe_key);
    enqueue_email(conn, mail).await
}
