//! E-mail addresses. Every address that is accepted here can be delivered by any mail server.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use crate::text::is_hidden;

/// An address without a display name, in the one form that is stored and compared.
///
/// It is in lower case, and its domain is written as people read it: `ada@bücher.example`, even if somebody
/// types `ADA@xn--bcher-kva.example`. So a person cannot have two accounts by writing the address in two
/// ways. Two addresses are equal if they are equal with A-labels, because each readable domain is made from its
/// A-labels.
///
/// Only parsing makes one. An address that is read from the database is not parsed again, so that a row of an
/// older version stays readable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[serde(into = "String", try_from = "String")]
#[diesel(sql_type = Text)]
pub struct EmailAddress(String);

/// Why a text is not an e-mail address that can receive mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmailAddress {
    /// It has no local part, no domain, or characters that mail servers do not accept.
    #[error("must be an e-mail address such as ada@example.com")]
    Malformed,
    /// It was pasted with a name, as mail programs show it.
    #[error("must be the address alone, such as ada@example.com: leave out the name and the signs < and >")]
    WithName,
    /// It has more than [`EmailAddress::CHARS_MAX`] characters.
    #[error("must not be longer than {} characters", EmailAddress::CHARS_MAX)]
    TooLong,
    /// Only servers with SMTPUTF8 accept such an address, and many do not have it.
    #[error("must have only unaccented letters, digits and symbols before the @")]
    LocalPartNotAscii,
}

impl EmailAddress {
    /// The longest address that mail can be sent to (RFC 5321).
    pub const CHARS_MAX: usize = 254;

    /// The address as it is stored and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or(&self.0, |(local, _)| local)
    }

    /// The address in the form that mail servers accept, with an international domain as A-labels, such as
    /// `ada@xn--bcher-kva.example` (RFC 5891).
    pub fn to_ascii(&self) -> Cow<'_, str> {
        if self.0.is_ascii() {
            return Cow::Borrowed(&self.0);
        }
        let in_ascii = self.0.rsplit_once('@').and_then(|(local, domain)| {
            let domain = idna::domain_to_ascii(domain).ok()?;
            Some(format!("{local}@{domain}"))
        });
        in_ascii.map_or(Cow::Borrowed(&self.0), Cow::Owned)
    }
}

impl EmailAddress {
    /// Reads an address to find its account. The account may have been registered by an older version, so the
    /// local part may have letters that would be refused today.
    pub fn of_account(text: &str) -> Result<Self, InvalidEmailAddress> {
        use email_address::Options;
        use idna::{AsciiDenyList, domain_to_ascii_cow, domain_to_unicode};
        let text = trim(text);
        if text.contains('<') && text.ends_with('>') {
            return Err(InvalidEmailAddress::WithName);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmailAddress::Malformed)?;
        // Quoted local parts are legal, but in practice they are mistakes.
        if local.contains('"') {
            return Err(InvalidEmailAddress::Malformed);
        }
        let local: String = local.nfc().flat_map(char::to_lowercase).nfc().collect();
        // A domain with characters beyond ASCII has only letters, digits and hyphens. Otherwise some
        // characters would turn into others, such as ℀ into one with a slash.
        let denied = if domain.is_ascii() { AsciiDenyList::EMPTY } else { AsciiDenyList::STD3 };
        let ascii_domain = domain_to_ascii_cow(domain.as_bytes(), denied);
        let ascii_domain = ascii_domain.map_err(|_| InvalidEmailAddress::Malformed)?;
        let (domain, readable) = domain_to_unicode(&ascii_domain);
        readable.map_err(|_| InvalidEmailAddress::Malformed)?;
        // The form with A-labels is never shorter.
        let ascii = format!("{local}@{ascii_domain}");
        if ascii.len() > Self::CHARS_MAX {
            return Err(InvalidEmailAddress::TooLong);
        }
        let options =
            Options { minimum_sub_domains: 0, allow_domain_literal: false, allow_display_text: false };
        email_address::EmailAddress::parse_with_options(&ascii, options)
            .map_err(|_| InvalidEmailAddress::Malformed)?;
        Ok(Self(format!("{local}@{domain}")))
    }
}

/// Without spaces around it, and without marks of direction, which lists of contacts put around addresses.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || (is_hidden(c) && !c.is_control()))
}

impl FromStr for EmailAddress {
    type Err = InvalidEmailAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let email = Self::of_account(text)?;
        // As it was typed: some letters beyond ASCII are ASCII in lower case.
        let is_ascii = text.rsplit_once('@').is_some_and(|(local, _)| trim(local).is_ascii());
        if is_ascii { Ok(email) } else { Err(InvalidEmailAddress::LocalPartNotAscii) }
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = InvalidEmailAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(email: EmailAddress) -> Self {
        email.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ToSql<Text, Pg> for EmailAddress {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(&self.0, out)
    }
}

impl FromSql<Text, Pg> for EmailAddress {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        <String as FromSql<Text, Pg>>::from_sql(bytes).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EmailAddress, InvalidEmailAddress> {
        text.parse()
    }

    #[test]
    fn every_way_of_writing_an_address_is_brought_to_one() {
        assert_eq!(parse("Ada@Example.COM").unwrap().as_str(), "ada@example.com");
        assert_eq!(parse("admin@localhost").unwrap().as_str(), "admin@localhost");
        assert_eq!(parse("\u{202a} ada@example.com\u{202c}\n").unwrap().as_str(), "ada@example.com");
        for same in
            ["x@bücher.example", "X@BÜCHER.example", "x@xn--bcher-kva.example", "x@ｂu\u{308}cher。example"]
        {
            let email = parse(same).unwrap();
            assert_eq!(email.as_str(), "x@bücher.example", "{same}");
            assert_eq!(email.to_ascii(), "x@xn--bcher-kva.example", "{same}");
        }
    }

    #[test]
    fn what_cannot_be_delivered_is_refused() {
        use InvalidEmailAddress::{LocalPartNotAscii, Malformed, TooLong, WithName};
        for malformed in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "ada\0@example.com",
            "ada@example.com\r\nBcc: spy@evil.example",
            "a@b@c",
            "\"a b\"@example.com",
            "\"ada\"@example.com",
            "a@[127.0.0.1]",
            "ada@example..com",
            "ada@xn--a.example",
            // A character that looks like one sign turns into another, or into several.
            "ada@example\u{ff20}evil.example",
            "ada@\u{2100}.example",
            &format!("{}@example.com", "x".repeat(65)),
        ] {
            assert_eq!(parse(malformed), Err(Malformed), "{malformed}");
        }
        let labels = format!("{0}.{0}.{0}.{0}", "x".repeat(62));
        assert_eq!(parse(&format!("ada@{labels}")), Err(TooLong));
        // Short enough in the readable form, but too long to send.
        let readable = format!("ada@{}", ["ü".repeat(10).as_str(); 20].join("."));
        assert!(readable.chars().count() < EmailAddress::CHARS_MAX);
        assert_eq!(parse(&readable), Err(TooLong));
        for not_ascii in ["jürgen@example.com", "\u{212a}ai@example.com"] {
            assert_eq!(parse(not_ascii), Err(LocalPartNotAscii));
        }
        for with_name in ["Ada <ada@example.com>", "<ada@example.com>"] {
            assert_eq!(parse(with_name), Err(WithName));
        }
    }

    #[test]
    fn the_account_of_an_older_version_is_found_by_the_address_as_it_is_typed() {
        for typed in ["jürgen@example.com", "JU\u{308}RGEN@example.com", " ju\u{308}rgen@Example.com\u{202c}"]
        {
            assert_eq!(EmailAddress::of_account(typed).unwrap().as_str(), "jürgen@example.com", "{typed}");
        }
        let ordinary = EmailAddress::of_account("X@BU\u{308}CHER.example");
        assert_eq!(ordinary, parse("x@xn--bcher-kva.example"));
        assert!(EmailAddress::of_account("jürgen\0@example.com").is_err());
    }

    #[test]
    fn a_stored_address_that_would_be_refused_today_is_still_shown_and_sent_to() {
        let old = EmailAddress("jürgen@bücher.example".to_owned());
        assert_eq!((old.as_str(), old.local_part()), ("jürgen@bücher.example", "jürgen"));
        assert_eq!(old.to_ascii(), "jürgen@xn--bcher-kva.example");
        assert_eq!(EmailAddress("no address".to_owned()).to_ascii(), "no address");
    }

    #[test]
    fn as_json_it_is_a_text_and_checked() {
        let email: EmailAddress = serde_json::from_str("\"Ada@example.com\"").unwrap();
        assert_eq!(serde_json::to_string(&email).unwrap(), "\"ada@example.com\"");
        assert!(serde_json::from_str::<EmailAddress>("\"ada\"").is_err());
    }

    /// All addresses that can be combined from these parts.
    fn candidates() -> impl Iterator<Item = String> {
        let locals = [
            "ada",
            "Ada.Lovelace",
            "a+b",
            "o'hara",
            "{x}|~",
            "\"a b\"",
            "\"a@b\"",
            "\"\\\"\"",
            ".a",
            "a.",
            "a..b",
            "a,b",
            "a<b",
            "(c)a",
            "jürgen",
            "用户",
            " a",
            "a\t",
            "a\0",
            "",
        ]
        .map(str::to_owned);
        let lengths = [1, 63, 64, 65, 128].map(|length| "x".repeat(length));
        let domains = [
            "example.com",
            "EXAMPLE.com",
            "localhost",
            "a_b.example",
            "-a.example",
            "a-.example",
            "a..example",
            "example.com.",
            "bücher.example",
            "xn--bcher-kva.example",
            "xn--zz.example",
            "ｂücher.example",
            "пример.испытание",
            "例え。テスト",
            "💌.example",
            "faß.example",
            "ﬀ.example",
            "a\u{ad}b.example",
            "a\u{200d}b.example",
            "مثال.إختبار",
            "[127.0.0.1]",
            "[::1]",
            "127.0.0.1",
            "a b.example",
            "a\r\nb.example",
            "a,b@example.com",
            "℀.example",
            "exa<mple.com",
            "",
        ]
        .map(str::to_owned);
        let long_domains = [63, 64, 100].map(|length| format!("{}.example", "x".repeat(length)));
        let long_names = [20, 30, 40, 62].map(|length| format!("{0}.{0}.{0}.{0}", "ü".repeat(length)));
        let domains: Vec<_> = domains.into_iter().chain(long_domains).chain(long_names).collect();
        locals
            .into_iter()
            .chain(lengths)
            .flat_map(move |local| domains.clone().into_iter().map(move |domain| format!("{local}@{domain}")))
    }

    #[test]
    fn the_mailer_takes_all_that_is_accepted() {
        let mut accepted = 0;
        for email in candidates().filter_map(|text| parse(&text).ok()) {
            accepted += 1;
            let ascii = email.to_ascii();
            assert!(ascii.is_ascii() && ascii.len() <= EmailAddress::CHARS_MAX, "{email:?}");
            let address: lettre::Address = ascii.parse().unwrap_or_else(|error| panic!("{ascii}: {error}"));
            assert_eq!(address.to_string(), ascii);
            let mailbox: lettre::message::Mailbox =
                ascii.parse().unwrap_or_else(|error| panic!("{ascii}: {error}"));
            assert_eq!((mailbox.name, mailbox.email), (None, address));
            // There is one form: both spellings give the same address again.
            assert_eq!(parse(email.as_str()).as_ref(), Ok(&email));
            assert_eq!(parse(&ascii).as_ref(), Ok(&email));
        }
        assert!(accepted > 100, "{accepted}");
    }
}
