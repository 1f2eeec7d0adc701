//! Resetting a forgotten password. One secret is mailed in two forms, a link and six digits, and either of
//! them proves once who owns the account. Both are derived from the id of one row in `one_time_codes`.
//! Neither is stored.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::one_time_code::{CodePurpose, count_guess};
use super::{SecretKey, try_lock_by_email};
use crate::db::time_before;
use crate::email_address::EmailAddress;
use crate::ids::{CodeId, UserId};
use crate::schema::{one_time_codes, users};

/// How long a link can be used. That is longer than a code, because a link cannot be guessed.
pub const RESET_LINK_TTL: Duration = Duration::from_secs(30 * 60);

/// Proof that somebody has what was mailed to the owner of the account. Only [`prove_by_token`] and
/// [`prove_by_code`] make one.
#[derive(Debug, Clone)]
pub struct ResetProof {
    pub(crate) code_id: CodeId,
    pub(crate) user_id: UserId,
    email: EmailAddress,
}

impl ResetProof {
    /// The e-mail address of the account.
    pub fn email(&self) -> &EmailAddress {
        &self.email
    }
}

fn mac(key: &SecretKey, id: CodeId) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.derive("password reset links"))
        .unwrap_or_else(|_| unreachable!("any length will do"));
    mac.update(id.0.as_bytes());
    mac
}

/// The token in the link: the id and an HMAC over it, in base64url.
pub fn derive_reset_token(key: &SecretKey, id: CodeId) -> String {
    let tag = mac(key, id).finalize().into_bytes();
    URL_SAFE_NO_PAD.encode([id.0.as_bytes().as_slice(), tag.as_slice()].concat())
}

/// The id in a token that this server made.
fn read_token(key: &SecretKey, token: &str) -> Option<CodeId> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (id, tag) = bytes.split_at_checked(16)?;
    let id = CodeId(uuid::Uuid::from_slice(id).ok()?);
    mac(key, id).verify_slice(tag).ok()?;
    Some(id)
}

/// Whose token it is, unless it was used, voided or expired. The token stays valid until the password is set.
pub async fn prove_by_token(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    token: &str,
) -> QueryResult<Option<ResetProof>> {
    let Some(code_id) = read_token(key, token) else { return Ok(None) };
    let row: Option<(UserId, EmailAddress)> = one_time_codes::table
        .inner_join(users::table)
        .filter(one_time_codes::id.eq(code_id))
        .filter(one_time_codes::purpose.eq(CodePurpose::ResetPassword))
        .filter(one_time_codes::consumed_at.is_null())
        .filter(one_time_codes::created_at.gt(time_before(RESET_LINK_TTL)))
        .select((users::id, users::email))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(user_id, email)| ResetProof { code_id, user_id, email }))
}

/// Counts a guess at the newest code of the account with this address. **Commit it even if the answer is
/// `None`**, or guesses cost nothing. While another guess about the account is being checked, a guess is wrong:
/// a queue would show that there is an account. After a right guess the code stays valid until the password is set.
pub async fn prove_by_code(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    email: &EmailAddress,
    code: &str,
) -> QueryResult<Option<ResetProof>> {
    conn.transaction(async |conn| {
        let Some(user) = try_lock_by_email(conn, email).await? else { return Ok(None) };
        let proven = count_guess(conn, key, user.id, CodePurpose::ResetPassword, code).await?;
        Ok(proven.map(|code_id| ResetProof { code_id, user_id: user.id, email: user.email }))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_by_the_key_that_made_it_and_as_it_was_made() {
        let key = |byte: char| SecretKey::parse(&format!("{}=", byte.to_string().repeat(43))).unwrap();
        let id = CodeId::new();
        let token = derive_reset_token(&key('A'), id);
        assert_eq!(token.len(), 64);
        assert_eq!(read_token(&key('A'), &token), Some(id));
        assert_eq!(read_token(&key('E'), &token), None);
        let other = derive_reset_token(&key('A'), CodeId::new());
        let mixed = format!("{}{}", &other[..22], &token[22..]);
        for wrong in ["", "A", "not base64url!", &token[..63], &token[..22], &mixed, &format!("{token}AAAA")]
        {
            assert_eq!(read_token(&key('A'), wrong), None, "{wrong}");
        }
    }
}
