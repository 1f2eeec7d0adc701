//! The second factor of an account: an authenticator app (TOTP), with recovery codes for when the app is lost. An
//! owner begins with the password, proves with a first code that the app has the secret, and from then on every login
//! asks for a code.

use data_encoding::BASE32_NOPAD;
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use url::{Url, form_urlencoded};

use super::administration::{AdministerUserError, UserKey, lock_for};
use super::login::ProvenUser;
use super::second_factor_check::{Checked, check, current_step, forget_second_factor, recovery_hash};
use super::session::revoke_sessions;
use super::totp::{STEP_SECONDS, TotpSecret};
use super::{SecretKey, User, find_user, lock_active_user};
use crate::audit_log::{self, Author, Subject};
use crate::db::{Retryable, clock, require_transaction};
use crate::ids::{SessionId, UserId};
use crate::schema::{second_factors, users};

/// How many recovery codes an account gets.
pub const RECOVERY_CODES: usize = 10;

/// What an authenticator app needs to know. It can be shown only now.
#[derive(Clone, PartialEq, Eq)]
pub struct AppSecret {
    /// For typing it in: 32 characters of base32.
    pub secret: String,
    /// For a QR code: an `otpauth://` URI with the secret, the issuer and the address.
    pub uri: String,
}

impl std::fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppSecret(…)")
    }
}

/// Why a second factor was not set up or removed.
#[derive(Debug, thiserror::Error)]
pub enum SecondFactorError {
    /// The password was changed after it was checked, or the account can no longer be used.
    #[error("the password was changed after it was checked")]
    PasswordChanged,
    /// The account has a second factor already.
    #[error("the account has a second factor: remove it before you set up another")]
    AlreadySetUp,
    /// There is no second factor to confirm or to remove.
    #[error("there is no such second factor")]
    NotSetUp,
    /// The code is wrong, or was used before.
    #[error("the code is wrong, or was used before")]
    WrongCode,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for SecondFactorError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Makes a secret for an app, in the place of an earlier one that was not confirmed. Logins do not ask for it before
/// `confirm_second_factor`. The app shows `issuer` beside the address.
pub async fn begin_second_factor(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    proven: &ProvenUser,
    issuer: &str,
) -> Result<AppSecret, SecondFactorError> {
    conn.transaction(async |conn| {
        let user = proven.lock(conn).await?.ok_or(SecondFactorError::PasswordChanged)?;
        let confirmed: Option<bool> = second_factors::table
            .find(user.id)
            .select(second_factors::confirmed_at.is_not_null())
            .first(conn)
            .await
            .optional()?;
        if confirmed == Some(true) {
            return Err(SecondFactorError::AlreadySetUp);
        }
        let salt: [u8; 16] = rand::random();
        diesel::insert_into(second_factors::table)
            .values((second_factors::user_id.eq(user.id), second_factors::salt.eq(salt.as_slice())))
            .on_conflict(second_factors::user_id)
            .do_update()
            .set(second_factors::salt.eq(salt.as_slice()))
            .execute(conn)
            .await?;
        Ok(AppSecret::new(&TotpSecret::derive(key, user.id, &salt), issuer, user.email.as_str()))
    })
    .await
}

impl AppSecret {
    fn new(secret: &TotpSecret, issuer: &str, email: &str) -> Self {
        let secret = secret.base32();
        Self { uri: uri(&secret, issuer, email), secret }
    }
}

/// The form that authenticator apps read ("Key Uri Format").
fn uri(secret: &str, issuer: &str, email: &str) -> String {
    let Ok(mut uri) = Url::parse("otpauth://totp/") else { unreachable!("this is a URL") };
    if let Ok(mut path) = uri.path_segments_mut() {
        path.clear().push(&format!("{issuer}:{email}"));
    }
    let period = STEP_SECONDS.to_string();
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("secret", secret), ("issuer", issuer), ("algorithm", "SHA1"), ("digits", "6")])
        .append_pair("period", &period)
        .finish();
    // Some apps do not read a plus sign as a blank, and others do.
    format!("{}?{}", uri.as_str().replace('+', "%2B"), query.replace('+', "%20"))
}

/// Whether a first code can be confirmed now, so that a caller counts guesses only where there is something to guess.
pub async fn awaits_first_code(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
) -> Result<(), SecondFactorError> {
    find_unconfirmed(conn, user_id).await.map(drop)
}

/// The salt of a secret that awaits its first code.
async fn find_unconfirmed(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
) -> Result<Vec<u8>, SecondFactorError> {
    let stored: Option<(Vec<u8>, bool)> = second_factors::table
        .find(user_id)
        .select((second_factors::salt, second_factors::confirmed_at.is_not_null()))
        .first(conn)
        .await
        .optional()?;
    match stored {
        Some((salt, false)) => Ok(salt),
        Some((_, true)) => Err(SecondFactorError::AlreadySetUp),
        None => Err(SecondFactorError::NotSetUp),
    }
}

/// Confirms the secret with a first code. Every login asks for a code from now on, and all other sessions of the user
/// end, because they began without one. Returns the account and its recovery codes. Only their hashes are stored, so
/// they can be shown only now. It opens no transaction; this is the caller's.
pub(crate) async fn confirm_second_factor(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    user_id: UserId,
    keep: SessionId,
    code: &str,
) -> Result<(User, Vec<String>), SecondFactorError> {
    require_transaction(conn)?;
    lock_active_user(conn, user_id).await?.ok_or(SecondFactorError::NotSetUp)?;
    let salt = find_unconfirmed(conn, user_id).await?;
    let now = current_step(conn).await?;
    let code: String = code.chars().filter(char::is_ascii_digit).collect();
    let step = TotpSecret::derive(key, user_id, &salt).step_of(&code, now, 0);
    let step = step.ok_or(SecondFactorError::WrongCode)?;
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    let hashes: Vec<Vec<u8>> = codes.iter().map(|code| recovery_hash(code)).collect();
    diesel::update(second_factors::table.find(user_id))
        .set((
            second_factors::confirmed_at.eq(clock().nullable()),
            second_factors::last_step.eq(step),
            second_factors::recovery_hashes.eq(hashes),
        ))
        .execute(conn)
        .await?;
    revoke_sessions(conn, user_id, Some(keep), "second_factor_set_up").await?;
    Ok((note_change(conn, user_id).await?, codes))
}

/// 80 random bits, in groups of four characters.
fn recovery_code() -> String {
    let code = BASE32_NOPAD.encode(&rand::random::<[u8; 10]>());
    let groups: Vec<&str> = [0, 4, 8, 12].into_iter().filter_map(|at| code.get(at..at + 4)).collect();
    groups.join("-")
}

/// Removes the owner's second factor, for a code of it. Logins ask for the password alone from now on.
pub(crate) async fn remove_second_factor(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    proven: &ProvenUser,
    code: &str,
) -> Result<User, SecondFactorError> {
    require_transaction(conn)?;
    let user = proven.lock(conn).await?.ok_or(SecondFactorError::PasswordChanged)?;
    match check(conn, key, user.id, Some(code)).await? {
        Checked::Right => {}
        Checked::NotSetUp => return Err(SecondFactorError::NotSetUp),
        Checked::Missing | Checked::Wrong => return Err(SecondFactorError::WrongCode),
    }
    forget_second_factor(conn, user.id).await?;
    Ok(note_change(conn, user.id).await?)
}

/// Removes the second factor of another user, who has lost it, and ends the user's sessions, because whoever found the
/// phone may have one. The author must have the permission at this moment. The removal is recorded in the audit log.
pub(crate) async fn remove_second_factor_of(
    conn: &mut AsyncPgConnection,
    key: &UserKey,
    author: &Author,
) -> Result<User, AdministerUserError> {
    require_transaction(conn)?;
    let (user, _) = lock_for(conn, key, None, author).await?;
    let subject = Subject::User(user.id);
    let before = audit_log::snapshot(conn, subject).await?;
    if forget_second_factor(conn, user.id).await? == 0 {
        return Err(AdministerUserError::NoSecondFactor);
    }
    revoke_sessions(conn, user.id, None, "second_factor_removed").await?;
    let user = note_change(conn, user.id).await?;
    audit_log::record(conn, author, "admin_remove_second_factor", subject, before).await?;
    Ok(user)
}

/// The account shows whether it has a second factor, so it has another version now.
async fn note_change(conn: &mut AsyncPgConnection, user_id: UserId) -> QueryResult<User> {
    diesel::update(users::table.find(user_id))
        .set((users::updated_at.eq(clock()), users::version.eq(users::version + 1)))
        .execute(conn)
        .await?;
    find_user(conn, user_id).await?.ok_or(QueryError::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_read_the_uri() {
        let uri = uri("GEZDGNBVGY3TQOJQ", "My Shop", "ada+shop@example.com");
        let (label, query) = uri.split_once('?').unwrap();
        assert_eq!(label, "otpauth://totp/My%20Shop:ada%2Bshop@example.com");
        assert_eq!(query, "secret=GEZDGNBVGY3TQOJQ&issuer=My%20Shop&algorithm=SHA1&digits=6&period=30");
    }

    #[test]
    fn recovery_codes_are_long_and_differ() {
        let codes: std::collections::HashSet<String> = (0..100).map(|_| recovery_code()).collect();
        assert_eq!(codes.len(), 100);
        assert!(codes.iter().all(|code| code.len() == 19 && code.split('-').count() == 4), "{codes:?}");
    }
}
