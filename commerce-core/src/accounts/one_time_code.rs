//! Codes of six digits that are mailed to prove who owns an address. A code is not stored. It is derived from
//! its id and the server's secret, both when the mail is written and when a guess is checked.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::SecretKey;
use crate::db::{self, clock, time_after};
use crate::email_address::EmailAddress;
use crate::ids::{CodeId, UserId};
use crate::schema::one_time_codes;
use crate::text_enum::text_enum;

text_enum! {
    /// The purpose of a code.
    #[non_exhaustive]
    pub enum CodePurpose {
        /// To verify the address of a new account.
        VerifyEmail = "verify_email",
        /// To set a new password without the old one.
        ResetPassword = "reset_password",
        /// To verify the new address of an existing account.
        ChangeEmail = "change_email",
    }
}

/// How long a code can be used.
pub const CODE_TTL: Duration = Duration::from_secs(10 * 60);

/// After this many wrong guesses a code is invalid.
pub const GUESSES_MAX: i32 = 5;

/// The shortest time between two codes for the same person.
pub const CODE_COOL_DOWN: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The most codes that a person gets in an hour. Together with [`GUESSES_MAX`] it limits the number of
/// guesses.
const CODES_AN_HOUR: i64 = 6;

/// The most codes that a person can guess at in a day. Further reset mails have a link alone, so that a stranger who
/// asks for them all day keeps nobody from their account.
const CODES_A_DAY: usize = 12;

/// The six digits of a code.
pub fn derive_code(key: &SecretKey, id: CodeId) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.derive("one-time codes"))
        .unwrap_or_else(|_| unreachable!("any length will do"));
    mac.update(id.0.as_bytes());
    let digest: [u8; 32] = mac.finalize().into_bytes().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    // 64 bits modulo a million. The bias is far too small to be exploited.
    format!("{:06}", u64::from_be_bytes([a, b, c, d, e, f, g, h]) % 1_000_000)
}

/// Issues a new code. From now on guesses at earlier codes are wrong, while a link that was mailed before
/// stays valid. `None` if the last code is younger than [`CODE_COOL_DOWN`], or if there were too many within
/// an hour or a day. After too many in a day, a code for [`CodePurpose::ResetPassword`] is good for a link only. The caller holds the user's row, so that two requests cannot both get a code.
pub async fn issue(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    purpose: CodePurpose,
) -> QueryResult<Option<CodeId>> {
    issue_about(conn, user_id, purpose, None).await
}

/// Like [`issue`], for a change of the address. The code must be mailed to the new address.
pub async fn issue_for_address(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    new_email: &EmailAddress,
) -> QueryResult<Option<CodeId>> {
    issue_about(conn, user_id, CodePurpose::ChangeEmail, Some(new_email)).await
}

async fn issue_about(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    purpose: CodePurpose,
    new_email: Option<&EmailAddress>,
) -> QueryResult<Option<CodeId>> {
    let of_user = one_time_codes::table
        .filter(one_time_codes::user_id.eq(user_id))
        .filter(one_time_codes::purpose.eq(purpose));
    let ages = of_user.select(one_time_codes::created_at).order(one_time_codes::created_at.desc());
    let issued: Vec<chrono::DateTime<chrono::Utc>> = ages.limit(CODES_A_DAY as i64).load(conn).await?;
    let now = crate::db::current_time(conn).await?;
    let younger_than = |at: &chrono::DateTime<chrono::Utc>, age: Duration| {
        now.signed_duration_since(at).to_std().is_ok_and(|since| since < age) || *at > now
    };
    let cooling_down = issued.as_slice().first().is_some_and(|last| younger_than(last, CODE_COOL_DOWN));
    let within_hour = issued.iter().filter(|at| younger_than(at, Duration::from_secs(3600))).count();
    if cooling_down || i64::try_from(within_hour).unwrap_or(i64::MAX) >= CODES_AN_HOUR {
        return Ok(None);
    }
    let within_day = issued.iter().filter(|at| younger_than(at, DAY)).count();
    match (within_day < CODES_A_DAY, purpose) {
        (true, _) => insert(conn, user_id, purpose, new_email, 0).await.map(Some),
        (false, CodePurpose::ResetPassword) => {
            insert(conn, user_id, purpose, new_email, GUESSES_MAX).await.map(Some)
        }
        (false, _) => Ok(None),
    }
}

/// Like [`issue`], without the limits of time. It is for steps that a person does once and needs the code
/// for.
pub async fn issue_at_once(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    purpose: CodePurpose,
) -> QueryResult<CodeId> {
    insert(conn, user_id, purpose, None, 0).await
}

async fn insert(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    purpose: CodePurpose,
    new_email: Option<&EmailAddress>,
    guesses: i32,
) -> QueryResult<CodeId> {
    let id = CodeId::new();
    diesel::insert_into(one_time_codes::table)
        .values((
            one_time_codes::id.eq(id),
            one_time_codes::user_id.eq(user_id),
            one_time_codes::purpose.eq(purpose),
            one_time_codes::attempts.eq(guesses),
            one_time_codes::created_at.eq(clock()),
            one_time_codes::expires_at.eq(time_after(CODE_TTL)),
            one_time_codes::new_email.eq(new_email.map(EmailAddress::as_str)),
        ))
        .execute(conn)
        .await?;
    Ok(id)
}

/// Counts a guess at the person's newest code, and uses the code up if the guess is right. The count is part
/// of the caller's transaction. **Commit it even if the answer is `None`**, or guesses cost nothing.
pub async fn guess(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    user_id: UserId,
    purpose: CodePurpose,
    guess: &str,
) -> QueryResult<Option<CodeId>> {
    match count_guess(conn, key, user_id, purpose, guess).await? {
        Some(id) if consume(conn, id).await? => Ok(Some(id)),
        _ => Ok(None),
    }
}

/// Like [`guess`], but does not use up the code after a right guess. [`consume`] does that.
pub async fn count_guess(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    user_id: UserId,
    purpose: CodePurpose,
    guess: &str,
) -> QueryResult<Option<CodeId>> {
    let newest: Option<CodeId> = one_time_codes::table
        .filter(one_time_codes::user_id.eq(user_id))
        .filter(one_time_codes::purpose.eq(purpose))
        .order((one_time_codes::created_at.desc(), one_time_codes::id.desc()))
        .select(one_time_codes::id)
        .first(conn)
        .await
        .optional()?;
    let Some(id) = newest else { return Ok(None) };
    // One statement counts the guess and checks the limit, so that guesses sent at the same time cannot
    // exceed it.
    let counted = diesel::update(
        one_time_codes::table
            .find(id)
            .filter(one_time_codes::attempts.lt(GUESSES_MAX))
            .filter(one_time_codes::consumed_at.is_null())
            .filter(one_time_codes::expires_at.gt(clock())),
    )
    .set(one_time_codes::attempts.eq(one_time_codes::attempts + 1))
    .execute(conn)
    .await?;
    let right: bool = derive_code(key, id).as_bytes().ct_eq(guess.as_bytes()).into();
    Ok((counted == 1 && right).then_some(id))
}

/// Uses a code up, unless it was used before. If two requests do so at once, only one of them gets `true`.
pub async fn consume(conn: &mut AsyncPgConnection, id: CodeId) -> QueryResult<bool> {
    let unused = one_time_codes::table.find(id).filter(one_time_codes::consumed_at.is_null());
    let consumed = diesel::update(unused).set(one_time_codes::consumed_at.eq(clock().nullable()));
    Ok(consumed.execute(conn).await? == 1)
}

/// Invalidates all codes and links that were mailed to a person, because the password or the address has just
/// changed.
pub async fn void_all(conn: &mut AsyncPgConnection, user_id: UserId) -> QueryResult<()> {
    let unused = one_time_codes::table
        .filter(one_time_codes::user_id.eq(user_id))
        .filter(one_time_codes::consumed_at.is_null());
    diesel::update(unused).set(one_time_codes::consumed_at.eq(clock().nullable())).execute(conn).await?;
    Ok(())
}

/// Deletes codes that ended a day ago, `batch` at a time. Returns their number.
pub async fn prune_codes(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let delete = "DELETE FROM commerce.one_time_codes WHERE id = ANY (ARRAY(
         SELECT id FROM commerce.one_time_codes
         WHERE expires_at < commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED))";
    db::prune(conn, batch, Duration::from_secs(24 * 60 * 60), delete).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits_that_follow_from_key_and_id() {
        let key = |byte: char| SecretKey::parse(&format!("{}=", byte.to_string().repeat(43))).unwrap();
        let ids: Vec<CodeId> = (0..200).map(|_| CodeId::new()).collect();
        let codes: std::collections::HashSet<String> =
            ids.iter().map(|id| derive_code(&key('A'), *id)).collect();
        assert!(codes.len() > 190, "codes repeat: {}", codes.len());
        assert!(codes.iter().all(|code| code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit())));
        let id = ids[0];
        assert_eq!(derive_code(&key('A'), id), derive_code(&key('A'), id));
        assert!(ids.iter().any(|id| derive_code(&key('A'), *id) != derive_code(&key('E'), *id)));
    }
}
