//! The language that a person reads, as a BCP 47 tag.

use std::fmt;
use std::str::FromStr;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

/// A language, with or without a script, a country and a variant: `de`, `en-GB`, `zh-Hant-TW`. It is in the usual
/// case, so that two texts that mean the same locale are equal. Extensions and private tags are not accepted.
///
/// A locale that is read from the database is not checked again.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[serde(into = "String", try_from = "String")]
#[diesel(sql_type = Text)]
pub struct Locale(String);

/// The text is not a locale.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a language of BCP 47, such as de or en-GB")]
pub struct InvalidLocale;

/// So many languages of an `Accept-Language` are looked at.
const ACCEPTED_MAX: usize = 20;

impl Locale {
    /// The longest locale, in characters.
    pub const CHARS_MAX: usize = 35;

    /// English, the last resort.
    pub fn english() -> Self {
        Self("en".to_owned())
    }

    /// As it is stored and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The locale itself, and then what is left of it without its last part: `zh-Hant-TW`, `zh-Hant`, `zh`.
    pub fn and_wider(&self) -> impl Iterator<Item = Self> {
        let wider = |locale: &Self| locale.0.rsplit_once('-').map(|(wider, _)| Self(wider.to_owned()));
        std::iter::successors(Some(self.clone()), wider)
    }

    /// The language that the header `Accept-Language` prefers (RFC 9110): the one with the highest weight, and of
    /// several the first. What is no locale is passed over.
    pub fn preferred(accept_language: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for range in accept_language.split(',').take(ACCEPTED_MAX) {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let Some(weight) = weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok())
            else {
                continue;
            };
            let is_better = weight > best.as_ref().map_or(0.0, |(weight, _)| *weight) && weight <= 1.0;
            if let Ok(locale) = tag.trim().parse()
                && is_better
            {
                best = Some((weight, locale));
            }
        }
        best.map(|(_, locale)| locale)
    }
}

impl FromStr for Locale {
    type Err = InvalidLocale;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::CHARS_MAX {
            return Err(InvalidLocale);
        }
        let mut parts = text.split('-').peekable();
        let is_alphabetic = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_alphanumeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let language = parts.next().filter(|part| (2..=3).contains(&part.len()) && is_alphabetic(part));
        let mut locale = language.ok_or(InvalidLocale)?.to_ascii_lowercase();
        let mut add = |part: String| locale = format!("{locale}-{part}");
        if let Some(script) = parts.next_if(|part| part.len() == 4 && is_alphabetic(part)) {
            let (first, rest) = script.split_at(1);
            add(first.to_ascii_uppercase() + &rest.to_ascii_lowercase());
        }
        let is_region = |part: &&str| match part.len() {
            2 => is_alphabetic(part),
            3 => part.bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        };
        if let Some(region) = parts.next_if(is_region) {
            add(region.to_ascii_uppercase());
        }
        for variant in parts {
            let is_variant = match variant.len() {
                4 => variant.starts_with(|c: char| c.is_ascii_digit()),
                5..=8 => true,
                _ => false,
            };
            if !is_variant || !is_alphanumeric(variant) {
                return Err(InvalidLocale);
            }
            add(variant.to_ascii_lowercase());
        }
        Ok(Self(locale))
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Locale> for String {
    fn from(locale: Locale) -> Self {
        locale.0
    }
}

impl TryFrom<String> for Locale {
    type Error = InvalidLocale;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl ToSql<Text, Pg> for Locale {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(&self.0, out)
    }
}

impl FromSql<Text, Pg> for Locale {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <String as FromSql<Text, Pg>>::from_sql(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_has_one_form() {
        for (text, locale) in [
            ("DE", "de"),
            ("en-gb", "en-GB"),
            ("ZH-hANT-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-CH-1996", "de-CH-1996"),
            ("sl-Rozaj", "sl-rozaj"),
            ("gsw", "gsw"),
        ] {
            assert_eq!(text.parse::<Locale>().unwrap().as_str(), locale);
        }
        for wrong in
            ["", "d", "german", "de_DE", "de-", "-de", "de-u-co-phonebk", "de-DE-x", "i-klingon", "*", "dé"]
        {
            assert_eq!(wrong.parse::<Locale>(), Err(InvalidLocale), "{wrong:?}");
        }
        assert_eq!(format!("de-{}", "abcdefgh-".repeat(5)).parse::<Locale>(), Err(InvalidLocale));
    }

    #[test]
    fn a_locale_is_made_wider_part_by_part() {
        let locale: Locale = "zh-Hant-TW".parse().unwrap();
        let wider: Vec<String> = locale.and_wider().map(String::from).collect();
        assert_eq!(wider, ["zh-Hant-TW", "zh-Hant", "zh"]);
    }

    #[test]
    fn the_language_with_the_highest_weight_is_preferred() {
        let preferred = |header: &str| Locale::preferred(header).map(String::from);
        assert_eq!(preferred("de-AT, en;q=0.8").as_deref(), Some("de-AT"));
        assert_eq!(preferred("en;q=0.4,fr-ch ; q=0.9, de;q=0.9").as_deref(), Some("fr-CH"));
        assert_eq!(preferred("*, de;q=0.1").as_deref(), Some("de"));
        for none in ["", "*", "de;q=0", "de;q=2", "de;q=NaN", "de;q", "¿", ";;,,"] {
            assert_eq!(preferred(none), None, "{none:?}");
        }
        assert_eq!(preferred(&format!("{}de", "xxxxxxxxx,".repeat(ACCEPTED_MAX))), None);
    }
}
