//! Users verify their address with the mailed code.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::registration_mails;
use crate::accounts::one_time_code::{self, CodePurpose};
use crate::accounts::{self, RegistrationEvent, SecretKey};
use crate::email_address::EmailAddress;

/// The result of a code. **Commit both variants**, because a wrong guess is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a code may have been wrong"]
pub enum VerifiedEmail {
    /// The code was right: the address is verified.
    Verified,
    /// The code is wrong, used up or expired, or there is no such address. The result does not tell which.
    InvalidCode,
}

/// Verifies the address if the code is right, and sends the welcome mail. If the address was registered with
/// more than one password, none of them is kept, and another mail lets the owner set one.
pub async fn verify_email(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    email: &EmailAddress,
    code: &str,
) -> Result<VerifiedEmail, QueryError> {
    conn.transaction(async |conn| {
        let Some(user) = accounts::try_lock_by_email(conn, email).await? else {
            return Ok(VerifiedEmail::InvalidCode);
        };
        if one_time_code::guess(conn, key, user.id, CodePurpose::VerifyEmail, code).await?.is_none() {
            return Ok(VerifiedEmail::InvalidCode);
        }
        let step = accounts::find_standing(conn, email).await?.state.on(RegistrationEvent::Proven);
        accounts::write_transition(conn, email, &step).await?;
        registration_mails::enqueue(conn, step.mails, user.id, &user.email).await?;
        Ok(VerifiedEmail::Verified)
    })
    .await
}
