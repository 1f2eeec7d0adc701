//! E-mail addresses as accounts use them.

use std::str::FromStr;

/// An address in lower case, so that a person cannot have two accounts by writing theirs differently.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

/// The text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address such as ada@example.com")]
pub struct InvalidEmailAddress;

impl EmailAddress {
    /// The longest address that mail can be sent to (RFC 5321).
    pub const CHARS_MAX: usize = 254;

    /// In lower case, as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidEmailAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use email_address::Options;
        let options =
            Options { minimum_sub_domains: 0, allow_domain_literal: false, allow_display_text: false };
        email_address::EmailAddress::parse_with_options(text, options).map_err(|_| InvalidEmailAddress)?;
        let lower = text.to_lowercase();
        // Quoted local parts are legal and never meant.
        if lower.chars().count() > Self::CHARS_MAX || lower.contains(['"', '\0']) {
            return Err(InvalidEmailAddress);
        }
        Ok(Self(lower))
    }
}

impl std::fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_lowered_and_nonsense_is_refused() {
        assert_eq!("Ada@Example.COM".parse::<EmailAddress>().unwrap().as_str(), "ada@example.com");
        assert!("admin@localhost".parse::<EmailAddress>().is_ok());
        let long = format!("{}@example.com", "x".repeat(250));
        for wrong in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "Ada <ada@example.com>",
            "a@b@c",
            "\"a b\"@example.com",
            "a@[127.0.0.1]",
            &long,
        ] {
            assert_eq!(wrong.parse::<EmailAddress>(), Err(InvalidEmailAddress), "{wrong}");
        }
    }
}
