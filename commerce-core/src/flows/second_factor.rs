//! Second factors: every change is mailed to the owner of the account.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use crate::accounts::{self, AdministerUserError, ProvenUser, SecondFactorError, SecretKey, User, UserKey};
use crate::audit_log::Author;
use crate::ids::{SessionId, UserId};
use crate::notifications::{NewEmail, Template, enqueue_email};

/// Confirms the secret from [`begin_second_factor`](accounts::begin_second_factor) with a first code of the app.
/// Every login asks for a code from now on, and all other sessions of the user end. Returns the recovery codes. Only
/// their hashes are stored, so they can be shown only now.
pub async fn confirm_second_factor(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    user_id: UserId,
    keep: SessionId,
    code: &str,
) -> Result<Vec<String>, SecondFactorError> {
    conn.transaction(async |conn| {
        let (user, codes) = accounts::confirm_second_factor(conn, key, user_id, keep, code).await?;
        tell(conn, Template::SecondFactorSetUp, &user).await?;
        Ok(codes)
    })
    .await
}

/// Removes the owner's second factor, for a code of the app or a recovery code.
pub async fn remove_second_factor(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    proven: &ProvenUser,
    code: &str,
) -> Result<(), SecondFactorError> {
    conn.transaction(async |conn| {
        let user = accounts::remove_second_factor(conn, key, proven, code).await?;
        Ok(tell(conn, Template::SecondFactorRemoved, &user).await?)
    })
    .await
}

/// Removes the second factor of another user, who has lost it, and ends the user's sessions. The author must have the
/// permission at this moment. The removal is recorded in the audit log.
pub async fn remove_second_factor_of(
    conn: &mut AsyncPgConnection,
    key: &UserKey,
    author: &Author,
) -> Result<UserId, AdministerUserError> {
    conn.transaction(async |conn| {
        let user = accounts::remove_second_factor_of(conn, key, author).await?;
        tell(conn, Template::SecondFactorRemoved, &user).await?;
        Ok(user.id)
    })
    .await
}

async fn tell(conn: &mut AsyncPgConnection, template: Template, user: &User) -> Result<(), QueryError> {
    let mail = NewEmail::to_user(template, user.id, &user.email);
    enqueue_email(conn, mail.once_a_version(user.version)).await
}
