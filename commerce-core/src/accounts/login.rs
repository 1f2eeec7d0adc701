//! Logging in: find the account of the address, check the password without holding a connection, and begin a
//! session.

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::password::PasswordHash;
use super::password_hasher::{HashError, PasswordHasher};
use super::session::{
    Device, LiveSession, OpenedSession, SessionCookie, insert_refresh_token, insert_session,
};
use super::{User, lock_active_user};
use crate::db::Retryable;
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::schema::users;

/// Why somebody cannot log in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Nobody has this address, or the password is wrong. The error does not tell which.
    #[error("the e-mail address or the password is wrong")]
    InvalidCredentials,
    /// The password is right, but the address was not verified with the mailed code yet.
    #[error("the e-mail address was not verified yet")]
    EmailNotVerified,
    /// The password is right, but an admin has disabled the account.
    #[error("the account is disabled")]
    Disabled,
    /// The password could not be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for LoginError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// What is stored for an address, which may be nothing.
#[derive(Debug)]
pub struct StoredCredentials(Option<Credentials>);

#[derive(Debug, Queryable)]
struct Credentials {
    id: UserId,
    hash: PasswordHash,
    verified: bool,
    /// The password of a refused registration of the address.
    refused: Option<PasswordHash>,
}

/// A user with a verified address who has just shown the right password. Only [`StoredCredentials::check`]
/// makes one.
#[derive(Debug, Clone)]
pub struct ProvenUser {
    id: UserId,
    hash: PasswordHash,
}

type CredentialColumns = (
    users::id,
    users::password_hash,
    diesel::dsl::IsNotNull<users::email_verified_at>,
    users::refused_password_hash,
);

fn credentials() -> CredentialColumns {
    (users::id, users::password_hash, users::email_verified_at.is_not_null(), users::refused_password_hash)
}

/// Looks up what is stored for an address.
pub async fn find_credentials(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> QueryResult<StoredCredentials> {
    let row = users::table
        .filter(users::email.eq(email.as_str()))
        .filter(users::deleted_at.is_null())
        .select(credentials());
    Ok(StoredCredentials(row.first(conn).await.optional()?))
}

/// Looks up what is stored for a logged-in user who is asked for the password again.
pub async fn find_own_credentials(
    conn: &mut AsyncPgConnection,
    id: UserId,
) -> QueryResult<StoredCredentials> {
    let row = users::table.find(id).select(credentials());
    Ok(StoredCredentials(row.first(conn).await.optional()?))
}

impl ProvenUser {
    /// The user whose password was right.
    pub fn id(&self) -> UserId {
        self.id
    }

    /// Locks the account, if it may still be used and its password is still the one that was checked.
    pub async fn lock(&self, conn: &mut AsyncPgConnection) -> QueryResult<Option<User>> {
        let same_password =
            users::table.find(self.id).filter(users::password_hash.eq(&self.hash)).select(users::id);
        let Some(user) = lock_active_user(conn, self.id).await? else { return Ok(None) };
        // This is asked after the lock was taken, because another change may have been in progress before.
        let same: Option<UserId> = same_password.first(conn).await.optional()?;
        Ok(same.map(|_| user))
    }
}

impl StoredCredentials {
    /// For a text that is not an address. Checking it takes as long as for any other.
    pub fn of_nobody() -> Self {
        Self(None)
    }

    /// Checks the password. It takes a while, so call it without holding a connection.
    ///
    /// It computes two hashes, unless the password is that of a verified account. So the time does not tell
    /// whether the address is free, registered, verified, or has a refused registration.
    pub async fn check(self, hasher: &PasswordHasher, password: String) -> Result<ProvenUser, LoginError> {
        let (hash, refused) = self.0.as_ref().map(|of| (of.hash.clone(), of.refused.clone())).unzip();
        let verified = self.0.as_ref().is_some_and(|of| of.verified);
        let (own, refused) = hasher.verify_both(password, hash, verified, refused.flatten()).await?;
        match self.0 {
            Some(Credentials { id, hash, .. }) if own && verified => Ok(ProvenUser { id, hash }),
            // The same error for somebody who has just registered, whether or not the address was free.
            Some(_) if own || refused => Err(LoginError::EmailNotVerified),
            _ => Err(LoginError::InvalidCredentials),
        }
    }
}

/// Begins a session with tokens, if the user may log in and the password is still the one that was checked.
pub async fn open_session(
    conn: &mut AsyncPgConnection,
    proven: &ProvenUser,
    device: &Device,
) -> Result<(User, OpenedSession), LoginError> {
    conn.transaction(async |conn| {
        let user = admit(conn, proven).await?;
        let session_id = insert_session(conn, user.id, device, None).await?;
        let refresh_token = insert_refresh_token(conn, session_id, None).await?;
        let session = LiveSession::just_used(conn, session_id, &user).await?;
        Ok((user, OpenedSession { session, refresh_token }))
    })
    .await
}

/// Like [`open_session`], for a session with a browser's cookie.
pub async fn open_cookie_session(
    conn: &mut AsyncPgConnection,
    proven: &ProvenUser,
    device: &Device,
) -> Result<(User, SessionCookie), LoginError> {
    conn.transaction(async |conn| {
        let user = admit(conn, proven).await?;
        let cookie = SessionCookie::generate();
        insert_session(conn, user.id, device, Some(&cookie)).await?;
        Ok((user, cookie))
    })
    .await
}

/// The user, locked against concurrent changes of the account.
async fn admit(conn: &mut AsyncPgConnection, proven: &ProvenUser) -> Result<User, LoginError> {
    let user: Option<User> = users::table
        .find(proven.id)
        .filter(users::password_hash.eq(&proven.hash))
        .select(User::as_select())
        .for_share()
        .first(conn)
        .await
        .optional()?;
    let user = user.ok_or(LoginError::InvalidCredentials)?;
    if user.email_verified_at.is_none() {
        return Err(LoginError::EmailNotVerified);
    }
    if user.disabled_at.is_some() {
        return Err(LoginError::Disabled);
    }
    Ok(user)
}
