//! Passwords: argon2id, off the async threads, and not more at once than the machine can take.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// A password that may be set.
#[derive(Clone)]
pub struct NewPassword(String);

/// The text may not be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    #[error("must have at least {} characters", NewPassword::CHARS_MIN)]
    TooShort,
    #[error("must have at most {} characters", NewPassword::CHARS_MAX)]
    TooLong,
    #[error("is too easy to guess: take several words that do not belong together")]
    Guessable,
}

/// The score of zxcvbn that a password needs, of 0 to 4: 2 takes a million guesses or more by who knows the words, names,
/// dates, keyboard patterns and leaked passwords that people choose.
const SCORE_MIN: u8 = 2;

/// So much of a password is judged: who has passed it has passed, and more would only cost time.
const CHARS_JUDGED: usize = 32;

/// Symbols that zxcvbn reads as letters too, in every combination of those that are there; so many of them are left to it, or
/// one made-up password would keep a core busy for a second.
const LETTERLIKE: &str = "@({[<!|$+%";
const LETTERLIKE_JUDGED: usize = 3;

impl NewPassword {
    /// The fewest characters, counted as Unicode scalar values.
    pub const CHARS_MIN: usize = 8;
    /// The most characters.
    pub const CHARS_MAX: usize = 128;

    /// Checks length and guessability (by zxcvbn, which knows the most common and leaked passwords); anything may be in it.
    pub fn parse(text: &str, email: &str) -> Result<Self, InvalidPassword> {
        match text.chars().count() {
            chars if chars < Self::CHARS_MIN => Err(InvalidPassword::TooShort),
            chars if chars > Self::CHARS_MAX => Err(InvalidPassword::TooLong),
            _ => {
                let person = [email, email.split('@').next().unwrap_or_default()];
                let score = u8::from(zxcvbn::zxcvbn(&judged(text), &person).score());
                let is_email = text.to_lowercase() == email.to_lowercase();
                if score < SCORE_MIN || is_email {
                    return Err(InvalidPassword::Guessable);
                }
                Ok(Self(text.to_owned()))
            }
        }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// The hash to store. Takes tens of milliseconds of a core: never call it inside a transaction.
    pub async fn hash(self) -> Result<PasswordHash, HashError> {
        run(move || {
            let hash = argon2()?.hash_password(self.0.as_bytes()).map_err(HashError::failed)?;
            Ok(PasswordHash(hash.to_string()))
        })
        .await
    }
}

/// The part of a password that is judged.
fn judged(text: &str) -> String {
    let mut kept = Vec::new();
    let plain = |symbol: char| {
        if !LETTERLIKE.contains(symbol) || kept.contains(&symbol) {
            return symbol;
        }
        if kept.len() == LETTERLIKE_JUDGED {
            return '~';
        }
        kept.push(symbol);
        symbol
    };
    text.chars().take(CHARS_JUDGED).map(plain).collect()
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewPassword(…)")
    }
}

/// A stored hash, in PHC form.
#[derive(Clone, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// One that no password belongs to.
    pub(super) fn of_nobody() -> Self {
        Self(NOBODYS_HASH.to_owned())
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl diesel::serialize::ToSql<diesel::sql_types::Text, diesel::pg::Pg> for PasswordHash {
    fn to_sql<'b>(
        &'b self,
        out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
    ) -> diesel::serialize::Result {
        <str as diesel::serialize::ToSql<diesel::sql_types::Text, diesel::pg::Pg>>::to_sql(&self.0, out)
    }
}

impl diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::pg::Pg> for PasswordHash {
    fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
        <String as diesel::deserialize::FromSql<diesel::sql_types::Text, diesel::pg::Pg>>::from_sql(bytes)
            .map(Self)
    }
}

/// Why a password was not hashed; the password is not to blame.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HashError {
    /// More are waiting than can be served soon: to be tried again in a moment.
    #[error("too many passwords are being checked")]
    Busy,
    #[error("a password could not be hashed: {0}")]
    Failed(String),
}

impl HashError {
    fn failed(cause: impl std::fmt::Display) -> Self {
        Self::Failed(cause.to_string())
    }
}

/// Tells whether the password belongs to the hash. Without one (nobody has this e-mail address) it takes as long and says no.
pub async fn verify_password(password: String, stored: Option<PasswordHash>) -> Result<bool, HashError> {
    run(move || verify(&password, stored.as_ref())).await
}

/// As [`verify_password`] with the first hash; unless that ends it, with the second one too, in one go.
pub async fn verify_passwords(
    password: String,
    first: Option<PasswordHash>,
    enough: bool,
    second: Option<PasswordHash>,
) -> Result<(bool, bool), HashError> {
    run(move || {
        let first = verify(&password, first.as_ref())?;
        Ok((first, if first && enough { false } else { verify(&password, second.as_ref())? }))
    })
    .await
}

fn verify(password: &str, stored: Option<&PasswordHash>) -> Result<bool, HashError> {
    let hash = stored.map_or(NOBODYS_HASH, |hash| hash.0.as_str());
    let hash = Phc::new(hash).map_err(HashError::failed)?;
    let fits = argon2()?.verify_password(password.as_bytes(), &hash).is_ok();
    Ok(fits && stored.is_some())
}

/// 19 MiB, two passes, one lane: the least that OWASP's Password Storage Cheat Sheet asks for.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Has the parameters above, and belongs to no password.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$yWqXYiOk3/6FJOGKUIsWm5X2A0LSuD5cUKQmtCNJ7Sg";

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(HashError::failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// How many passwords are hashed at once: half of the cores, so that the rest goes on answering.
static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(slots())));

/// Who waits or hashes. Each slot does some thirty a second, so that nobody waits for much longer than a second.
static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(PLACES_A_SLOT * slots())));

const PLACES_A_SLOT: usize = 32;

fn slots() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
) -> Result<T, HashError> {
    let place = Arc::clone(&PLACES).try_acquire_owned().map_err(|_| HashError::Busy)?;
    let slot = Arc::clone(&SLOTS).acquire_owned().await.map_err(HashError::failed)?;
    // Both are held until the hash is done, also when nobody waits for it any more.
    let hashing = tokio::task::spawn_blocking(move || {
        let _held = (place, slot);
        work()
    });
    hashing.await.unwrap_or_else(|panic| Err(HashError::failed(panic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let hash = NewPassword::parse("correct horse", "").unwrap().hash().await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(verify_password("correct horse".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!verify_password("correct horsf".to_owned(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_is_checked_as_long_as_somebody() {
        // The same work is done: what time it takes depends on the machine, and on nothing else.
        let cost = |hash: &str| {
            let hash = Phc::new(hash).unwrap();
            let salt = hash.salt.map(|salt| salt.to_string().len());
            let output = hash.hash.map(|output| output.len());
            (hash.algorithm.to_string(), hash.version, hash.params.to_string(), salt.is_some(), output)
        };
        let hash = NewPassword::parse("correct horse", "").unwrap().hash().await.unwrap();
        assert_eq!(cost(NOBODYS_HASH), cost(&hash.0));
        let begun = std::time::Instant::now();
        assert!(!verify_password("wrong".to_owned(), None).await.unwrap());
        // A hash that was left out would take no time at all.
        assert!(begun.elapsed() > std::time::Duration::from_millis(2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crowd_is_turned_away_at_once_and_not_kept_waiting() {
        let places = PLACES_A_SLOT * slots();
        let check = || tokio::spawn(verify_password("wrong".to_owned(), None));
        let crowd: Vec<_> = (0..places * 4).map(|_| check()).collect();
        let (mut checked, mut turned_away) = (0, 0);
        for one in crowd {
            match one.await.unwrap() {
                Ok(false) => checked += 1,
                Err(HashError::Busy) => turned_away += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(checked >= places && turned_away > 0, "{checked} checked, {turned_away} turned away");
        assert!(!verify_password("wrong".to_owned(), None).await.unwrap());
    }

    #[test]
    fn a_password_made_to_be_judged_for_long_is_judged_quickly() {
        assert_eq!(judged("p@$$w0rd!"), "p@$$w0rd!");
        assert_eq!(judged("@({[<@!("), "@({~~@~(");
        let begun = std::time::Instant::now();
        let usual = NewPassword::parse(&"correct horse ".repeat(5), "");
        let usual_took = begun.elapsed();
        let begun = std::time::Instant::now();
        let nasty = NewPassword::parse(&"4@8({[<3691!|70$5+%2".repeat(6), "");
        let took = begun.elapsed();
        assert!(usual.is_ok() && nasty.is_ok());
        // With all symbols left in it takes some hundred times as long.
        assert!(took < 40 * usual_took.max(std::time::Duration::from_millis(1)), "{took:?}, {usual_took:?}");
    }

    #[test]
    fn short_long_and_common_passwords_are_refused() {
        let parse = |text: &str| NewPassword::parse(text, "ada@example.com").err();
        assert_eq!(parse("short"), Some(InvalidPassword::TooShort));
        assert_eq!(parse(&"ä".repeat(129)), Some(InvalidPassword::TooLong));
        for guessable in ["Password123", "p@$$w0rd", "1234567890", "ADA@example.com", "aaaaaaaaaa"] {
            assert_eq!(parse(guessable), Some(InvalidPassword::Guessable), "{guessable}");
        }
        assert_eq!(parse("ein Pferd frisst"), None);
        assert_eq!(format!("{:?}", NewPassword::parse("ein Pferd frisst", "").unwrap()), "NewPassword(…)");
    }
}
