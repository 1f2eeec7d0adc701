//! Mails to an address that is registered.

use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;

use crate::accounts::RegistrationMail;
use crate::accounts::one_time_code::{self, CodePurpose};
use crate::db::current_time;
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::notifications::{NewEmail, Template, enqueue_email};

/// Enqueues these mails.
pub(super) async fn enqueue(
    conn: &mut AsyncPgConnection,
    mails: &[RegistrationMail],
    id: UserId,
    email: &EmailAddress,
) -> Result<(), QueryError> {
    for mail in mails {
        match mail {
            RegistrationMail::Code => mail_code(conn, id, email).await?,
            RegistrationMail::AccountExists => say_it_exists(conn, id, email).await?,
            RegistrationMail::Welcome => {
                enqueue_email(conn, NewEmail::to_user(Template::Welcome, id, email)).await?;
            }
            RegistrationMail::SetPassword => {
                let code = one_time_code::issue_at_once(conn, id, CodePurpose::ResetPassword).await?;
                enqueue_email(conn, NewEmail::with_code(Template::SetPassword, code, id, email)).await?;
            }
        }
    }
    Ok(())
}

/// Mails a code, unless it is too soon for another.
pub(super) async fn mail_code(
    conn: &mut AsyncPgConnection,
    id: UserId,
    email: &EmailAddress,
) -> Result<(), QueryError> {
    let Some(code) = one_time_code::issue(conn, id, CodePurpose::VerifyEmail).await? else { return Ok(()) };
    enqueue_email(conn, NewEmail::with_code(Template::VerifyEmailCode, code, id, email)).await
}

/// Mails that the address has an account, at most once an hour.
pub(super) async fn say_it_exists(
    conn: &mut AsyncPgConnection,
    id: UserId,
    email: &EmailAddress,
) -> Result<(), QueryError> {
    let now = current_time(conn).await?;
    let mail = NewEmail::to_user(Template::AccountExists, id, email);
    enqueue_email(conn, mail.once_an_hour(now)).await
}
