//! Logging in: find the account of the address, check the password without holding a connection, and begin a
//! session.

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::password::{PasswordHash, normal_form};
use super::password_hasher::{HashError, PasswordHasher};
use super::second_factor_check::{self, Checked};
use super::session::{
    Device, LiveSession, OpenedSession, SessionCookie, insert_refresh_token, insert_session,
};
use super::{SecretKey, User, lock_active_user};
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
    /// The password is right, and the account has a second factor, of which nothing was shown.
    #[error("the account has a second factor")]
    SecondFactorRequired,
    /// The password is right, but the code of the second factor is wrong, or was used before.
    #[error("the code of the second factor is wrong, or was used before")]
    InvalidSecondFactor,
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
    /// The account with the address, for logs. Whether there is one is a secret.
    pub fn account(&self) -> Option<UserId> {
        self.0.as_ref().map(|of| of.id)
    }

    /// For a text that is not an address. Checking it takes as long as for any other.
    pub fn of_nobody() -> Self {
        Self(None)
    }

    /// Checks the password. It takes a while, so call it without holding a connection.
    ///
    /// It computes two hashes, unless the password is that of a verified account. So the time does not tell
    /// whether the address is free, registered, verified, or has a refused registration.
    ///
    /// An older hash may be of the password as it was typed, and not of its normal form. If the two differ,
    /// both are tried. The typed one takes the place of the refused registration's hash, so that there are
    /// still two. If there is a refused registration, only the typed one is tried.
    pub async fn check(self, hasher: &PasswordHasher, password: String) -> Result<ProvenUser, LoginError> {
        let (hash, refused) = self.0.as_ref().map(|of| (of.hash.clone(), of.refused.clone())).unzip();
        let (verified, refused) = (self.0.as_ref().is_some_and(|of| of.verified), refused.flatten());
        let normal = normal_form(&password).into_owned();
        let is_older = normal != password && hash.as_ref().is_some_and(PasswordHash::is_of_typed_text);
        let (own, refused) = if !is_older {
            hasher.verify_both((normal.clone(), hash), verified, (normal, refused)).await?
        } else if refused.is_some() {
            hasher.verify_both((password, hash), verified, (normal, refused)).await?
        } else {
            let (by_normal, by_typed) =
                hasher.verify_both((normal, hash.clone()), verified, (password, hash)).await?;
            (by_normal || by_typed, false)
        };
        match self.0 {
            Some(Credentials { id, hash, .. }) if own && verified => Ok(ProvenUser { id, hash }),
            // The same error for somebody who has just registered, whether or not the address was free.
            Some(_) if own || refused => Err(LoginError::EmailNotVerified),
            _ => Err(LoginError::InvalidCredentials),
        }
    }
}

/// Begins a session with tokens, if the user may log in and the password is still the one that was checked. If the
/// account has a second factor, `code` must be a code of its app, or a recovery code. It is used up.
pub async fn open_session(
    conn: &mut AsyncPgConnection,
    proven: &ProvenUser,
    key: &SecretKey,
    code: Option<&str>,
    device: &Device,
) -> Result<(User, OpenedSession), LoginError> {
    conn.transaction(async |conn| {
        let user = admit(conn, proven, key, code).await?;
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
    key: &SecretKey,
    code: Option<&str>,
    device: &Device,
) -> Result<(User, SessionCookie), LoginError> {
    conn.transaction(async |conn| {
        let user = admit(conn, proven, key, code).await?;
        let cookie = SessionCookie::generate();
        insert_session(conn, user.id, device, Some(&cookie)).await?;
        Ok((user, cookie))
    })
    .await
}

/// The user, locked against concurrent changes of the account.
async fn admit(
    conn: &mut AsyncPgConnection,
    proven: &ProvenUser,
    key: &SecretKey,
    code: Option<&str>,
) -> Result<User, LoginError> {
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
    match second_factor_check::check(conn, key, user.id, code).await? {
        Checked::NotSetUp | Checked::Right => Ok(user),
        Checked::Missing => Err(LoginError::SecondFactorRequired),
        Checked::Wrong => Err(LoginError::InvalidSecondFactor),
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordHasher as _;
    use argon2::{Argon2, Params};

    use super::super::password::NewPassword;
    use super::*;

    const COMPOSED: &str = "pässwörter sind süß";
    const DECOMPOSED: &str = "pa\u{308}sswo\u{308}rter sind su\u{308}ß";

    /// A hash as it was made before passwords were normalised.
    fn older(password: &str) -> PasswordHash {
        let argon2 = Argon2::from(Params::new(64, 1, 1, None).unwrap());
        PasswordHash::of_phc(argon2.hash_password(password.as_bytes()).unwrap().to_string())
    }

    async fn fits(hash: &PasswordHash, refused: Option<&PasswordHash>, password: &str) -> bool {
        let stored =
            Credentials { id: UserId::new(), hash: hash.clone(), verified: true, refused: refused.cloned() };
        let hasher = PasswordHasher::with_slots(1);
        StoredCredentials(Some(stored)).check(&hasher, password.to_owned()).await.is_ok()
    }

    #[tokio::test]
    async fn a_password_fits_however_it_is_composed() {
        let hasher = PasswordHasher::with_slots(1);
        for registered in [COMPOSED, DECOMPOSED] {
            let hash = hasher.hash(NewPassword::parse(registered, "").unwrap()).await.unwrap();
            for typed in [COMPOSED, DECOMPOSED] {
                assert!(fits(&hash, None, typed).await && fits(&hash, Some(&older("x")), typed).await);
            }
            assert!(!fits(&hash, None, "pässwörter sind süss").await);
        }
    }

    #[tokio::test]
    async fn older_hashes_go_on_to_fit() {
        let refused = older("another password");
        // As it was typed then, and also as other devices type it now.
        assert!(
            fits(&older(COMPOSED), None, COMPOSED).await && fits(&older(COMPOSED), None, DECOMPOSED).await
        );
        assert!(fits(&older(DECOMPOSED), None, DECOMPOSED).await);
        assert!(fits(&older(COMPOSED), Some(&refused), COMPOSED).await);
        assert!(fits(&older(DECOMPOSED), Some(&refused), DECOMPOSED).await);
        assert!(fits(&older("correct horse"), Some(&refused), "correct horse").await);
        for wrong in ["pässwörter sind süss", "pa\u{308}sswörter sind süss"] {
            assert!(
                !fits(&older(COMPOSED), None, wrong).await && !fits(&older(DECOMPOSED), None, wrong).await
            );
        }
    }
}
