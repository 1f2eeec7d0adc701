//! Passwords that may be set, and their stored hashes.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

/// A password that may be set, in its normal form.
#[derive(Clone)]
pub struct NewPassword(String);

/// A password in the form that is hashed, so that it fits from every device: in NFC, with ASCII spaces. These
/// are the mappings of the profile OpaqueString (RFC 8265).
pub(super) fn normal_form(password: &str) -> Cow<'_, str> {
    let is_other_space = |c: char| c != ' ' && c.is_whitespace() && !c.is_control();
    if is_nfc(password) && !password.contains(is_other_space) {
        return Cow::Borrowed(password);
    }
    Cow::Owned(password.chars().map(|c| if is_other_space(c) { ' ' } else { c }).nfc().collect())
}

/// Why a text may not be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// It has fewer than [`NewPassword::CHARS_MIN`] characters.
    #[error("must have at least {} characters", NewPassword::CHARS_MIN)]
    TooShort,
    /// It has more than [`NewPassword::CHARS_MAX`] characters.
    #[error("must have at most {} characters", NewPassword::CHARS_MAX)]
    TooLong,
    /// It has a character that no keyboard types into a password, such as a line break.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// An attacker who tries likely passwords first would soon find it.
    #[error("is too easy to guess: use several unrelated words")]
    Guessable,
}

/// The zxcvbn score that a password needs, of 0 to 4. A score of 2 means at least a million guesses by an
/// attacker who knows common words, names, dates, keyboard patterns and leaked passwords.
const SCORE_MIN: u8 = 2;

/// How many characters of a password are judged. A password that passes with them is good enough, and judging
/// more would only cost time.
const CHARS_JUDGED: usize = 32;

/// Symbols that zxcvbn also reads as letters, in every combination. Only `LETTERLIKE_JUDGED` of them are
/// passed on to it. Otherwise one crafted password could keep a core busy for a second.
const LETTERLIKE: &str = "@({[<!|$+%";
const LETTERLIKE_JUDGED: usize = 3;

impl NewPassword {
    /// The fewest characters, counted as Unicode scalar values.
    pub const CHARS_MIN: usize = 8;
    /// The most characters.
    pub const CHARS_MAX: usize = 128;

    /// Brings the password to its normal form, and checks its length and how easy it is to guess.
    ///
    /// zxcvbn knows the most common and leaked passwords. Only control characters are forbidden.
    pub fn parse(text: &str, email: &str) -> Result<Self, InvalidPassword> {
        let text = &*normal_form(text);
        match text.chars().count() {
            chars if chars < Self::CHARS_MIN => Err(InvalidPassword::TooShort),
            chars if chars > Self::CHARS_MAX => Err(InvalidPassword::TooLong),
            _ if text.contains(char::is_control) => Err(InvalidPassword::ControlCharacter),
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

/// A hash that no password matches. Checking against it takes as long as against any other hash, because it
/// has the hasher's parameters.
pub(super) const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1,data=bmZj$bm9ib2R5bm9ib2R5bm9ib2R5$yWqXYiOk3/6FJOGKUIsWm5X2A0LSuD5cUKQmtCNJ7Sg";

/// The parameter of hashes of passwords in their normal form. An older hash is of a password as it was typed.
pub(super) const NORMALISED: &[u8] = b"nfc";

/// A stored hash, in PHC form.
#[derive(Clone, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
#[diesel(sql_type = diesel::sql_types::Text)]
pub struct PasswordHash(String);

impl PasswordHash {
    pub(super) fn of_phc(text: String) -> Self {
        Self(text)
    }

    /// A hash that no password matches.
    pub(super) fn of_nobody() -> Self {
        Self(NOBODYS_HASH.to_owned())
    }

    /// Whether it was computed of a password as it was typed.
    pub(super) fn is_of_typed_text(&self) -> bool {
        let parameters = self.0.split('$').nth(3).unwrap_or_default();
        !parameters.split(',').any(|parameter| parameter == "data=bmZj")
    }

    /// In PHC form.
    pub(super) fn as_str(&self) -> &str {
        &self.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_typing_a_password_gives_one() {
        let (composed, decomposed) = ("pässwörter sind süß", "pa\u{308}sswo\u{308}rter sind\u{a0}su\u{308}ß");
        assert_eq!(normal_form(decomposed), composed);
        for unchanged in [composed, "correct horse", " Blanks stay  ", "ﬁne ½", "👩\u{200d}🚒", "a\tb"]
        {
            assert!(
                matches!(normal_form(unchanged), Cow::Borrowed(same) if same == unchanged),
                "{unchanged}"
            );
        }
        let parsed = |text| NewPassword::parse(text, "ada@example.com").map(NewPassword::into_text);
        assert_eq!(parsed(decomposed), Ok(composed.to_owned()));
        assert_eq!(parsed("some words\u{9b}and more"), Err(InvalidPassword::ControlCharacter));
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
        // With all symbols passed on, it takes some hundred times as long.
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
