//! Checks what somebody shows beside the password: a code of the authenticator app, or a recovery code. Each of them
//! is good once.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use sha2::{Digest, Sha256};

use super::SecretKey;
use super::totp::{STEP_SECONDS, TotpSecret};
use crate::db;
use crate::ids::UserId;
use crate::schema::second_factors;

/// How a shown code compares with the second factor of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// The account has no second factor.
    NotSetUp,
    /// The account has one, and nothing was shown.
    Missing,
    /// The code is wrong, or was used before.
    Wrong,
    /// The code was right. It is used up if the caller commits.
    Right,
}

/// Whether the text has the form of an app's code. Only such a code can be found by guessing.
pub fn is_app_code(text: &str) -> bool {
    let text = typed(text);
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Without what people type to make a code readable.
fn typed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect::<String>().to_uppercase()
}

/// The stored form of a recovery code. A code has 80 random bits, so that nobody finds it from its hash.
pub(super) fn recovery_hash(code: &str) -> Vec<u8> {
    Sha256::digest(typed(code)).to_vec()
}

/// The current time step, by the database's clock.
pub(super) async fn current_step(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    Ok(db::current_time(conn).await?.timestamp().div_euclid(STEP_SECONDS))
}

/// Checks what was shown, and uses it up. The caller has locked the user's row, at least against changes. If one code
/// is shown twice at once, one of them is [`Checked::Wrong`].
pub(super) async fn check(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    user_id: UserId,
    shown: Option<&str>,
) -> QueryResult<Checked> {
    let confirmed = second_factors::table
        .find(user_id)
        .filter(second_factors::confirmed_at.is_not_null())
        .select((second_factors::salt, second_factors::last_step));
    let stored: Option<(Vec<u8>, i64)> = confirmed.first(conn).await.optional()?;
    let Some((salt, used)) = stored else { return Ok(Checked::NotSetUp) };
    let Some(shown) = shown else { return Ok(Checked::Missing) };
    let used_up = if is_app_code(shown) {
        let now = current_step(conn).await?;
        match TotpSecret::derive(key, user_id, &salt).step_of(&typed(shown), now, used) {
            Some(step) => use_step(conn, user_id, step).await?,
            None => false,
        }
    } else {
        use_recovery_code(conn, user_id, shown).await?
    };
    Ok(if used_up { Checked::Right } else { Checked::Wrong })
}

/// Deletes the second factor of an account whose row is locked. Returns the number of confirmed ones.
pub(super) async fn forget_second_factor(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
) -> QueryResult<usize> {
    let deleted: Vec<bool> = diesel::delete(second_factors::table.find(user_id))
        .returning(second_factors::confirmed_at.is_not_null())
        .get_results(conn)
        .await?;
    Ok(deleted.into_iter().filter(|confirmed| *confirmed).count())
}

async fn use_step(conn: &mut AsyncPgConnection, user_id: UserId, step: i64) -> QueryResult<bool> {
    let unused = second_factors::table.find(user_id).filter(second_factors::last_step.lt(step));
    Ok(diesel::update(unused).set(second_factors::last_step.eq(step)).execute(conn).await? == 1)
}

async fn use_recovery_code(conn: &mut AsyncPgConnection, user_id: UserId, code: &str) -> QueryResult<bool> {
    let taken = diesel::sql_query(
        "UPDATE commerce.second_factors SET recovery_hashes = array_remove(recovery_hashes, $2)
         WHERE user_id = $1 AND $2 = ANY (recovery_hashes)",
    )
    .bind::<SqlUuid, _>(user_id.0)
    .bind::<Binary, _>(recovery_hash(code))
    .execute(conn)
    .await?;
    Ok(taken == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_fits_however_it_is_typed() {
        for code in ["123456", "123 456", " 123-456 "] {
            assert!(is_app_code(code) && typed(code) == "123456", "{code}");
        }
        for other in ["12345", "1234567", "12345a", "", "2345-6723-4567-2345"] {
            assert!(!is_app_code(other), "{other}");
        }
        assert_eq!(recovery_hash("abcd efgh ijkl mnop"), recovery_hash("ABCD-EFGH-IJKL-MNOP"));
    }
}
