//! Somebody registers. Whoever asks learns nothing about who has an account: everything else is told by mail.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use crate::accounts::one_time_code::{self, CodePurpose};
use crate::accounts::{self, EmailAddress, NewUser, User};
use crate::ids::UserId;
use crate::notifications::{NewEmail, Template, enqueue_email};

/// Makes an account that waits for its address to be verified, and mails the code. An address that has an account gets a mail
/// that says so. Within a minute of the last code nothing happens at all.
pub async fn register(conn: &mut AsyncPgConnection, user: &NewUser) -> Result<(), QueryError> {
    conn.transaction(async |conn| {
        if let Some(id) = accounts::insert_unverified(conn, user).await? {
            return mail_code(conn, id, &user.email).await.map(|_| ());
        }
        match accounts::try_lock_by_email(conn, &user.email).await? {
            Some(existing) if existing.email_verified_at.is_some() => say_it_exists(conn, &existing).await,
            Some(existing) => {
                // Password and code change together: a password that came without a code could be verified by an earlier one.
                if mail_code(conn, existing.id, &user.email).await? {
                    accounts::replace_unverified(conn, existing.id, user).await?;
                }
                Ok(())
            }
            None => Ok(()),
        }
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
    let mail = NewEmail::with_code(Template::VerifyEmailCode, code, email.as_str());
    enqueue_email(conn, mail).await?;
    Ok(true)
}

/// At most one such mail an hour, whoever keeps registering the address.
async fn say_it_exists(conn: &mut AsyncPgConnection, user: &User) -> Result<(), QueryError> {
    let hour = crate::db::current_time(conn).await?.timestamp() / 3600;
    let mut mail = NewEmail::to_user(Template::AccountExists, user.id, &user.email);
    mail.dedupe_key = format!("{}:{hour}", mail.dedupe_key);
    enqueue_email(conn, mail).await
}
