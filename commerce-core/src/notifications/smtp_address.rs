//! Where an SMTP server is, and how it is spoken to.

use std::fmt;
use std::str::FromStr;

use lettre::transport::smtp::authentication::Credentials;
use percent_encoding::percent_decode_str;
use url::Url;

/// The address of an SMTP server cannot be used. The text has no password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a usable SMTP address (such as smtps://user:password@mail.example:465): {0}")]
pub struct InvalidSmtpUrl(&'static str);

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// Never.
    None,
    /// After the greeting, if the server offers it.
    Offered,
    /// After the greeting, in any case.
    Required,
    /// Before the greeting.
    FromTheStart,
}

/// A server, read from a URL.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SmtpAddress {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    pub credentials: Option<Credentials>,
}

impl FromStr for SmtpAddress {
    type Err = InvalidSmtpUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text.trim()).map_err(|_| InvalidSmtpUrl("it is no URL"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(InvalidSmtpUrl("it has no host"))?;
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let (encryption, port) = match (url.scheme(), tls.as_deref()) {
            ("smtp", None) => (Encryption::None, 25),
            ("smtp", Some("opportunistic")) => (Encryption::Offered, 587),
            ("smtp", Some("required")) => (Encryption::Required, 587),
            ("smtps", None) => (Encryption::FromTheStart, 465),
            ("smtp" | "smtps", _) => {
                return Err(InvalidSmtpUrl("tls is `required` or `opportunistic`, and only with smtp://"));
            }
            _ => return Err(InvalidSmtpUrl("it must begin with smtp:// or smtps://")),
        };
        let decoded = |part: &str| match percent_decode_str(part).decode_utf8() {
            Ok(text) => Ok(text.into_owned()),
            Err(_) => Err(InvalidSmtpUrl("the user or the password is not UTF-8")),
        };
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(decoded(url.username())?, decoded(password)?)),
            None if !url.username().is_empty() => {
                return Err(InvalidSmtpUrl("it has a user but no password"));
            }
            None => None,
        };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(port),
            encryption,
            credentials,
        })
    }
}

/// Without the password.
impl fmt::Debug for SmtpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, encryption, .. } = self;
        write!(f, "{host}:{port} ({encryption:?})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_when_tls_begins() {
        for (url, host, port, encryption) in [
            ("smtp://127.0.0.1", "127.0.0.1", 25, Encryption::None),
            ("smtp://mail.example:2525?tls=opportunistic", "mail.example", 2525, Encryption::Offered),
            ("smtp://mail.example?tls=required", "mail.example", 587, Encryption::Required),
            ("smtps://mail.example", "mail.example", 465, Encryption::FromTheStart),
        ] {
            let address: SmtpAddress = url.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port, address.encryption), (host, port, encryption));
            assert_eq!(address.credentials, None);
        }
        let address: SmtpAddress = "smtps://AKIA%2F1:a%2Bb%40c%3D@mail.example".parse().unwrap();
        assert_eq!(address.credentials, Some(Credentials::new("AKIA/1".to_owned(), "a+b@c=".to_owned())));
        assert!(!format!("{address:?}").contains("a+b"));
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for wrong in [
            "mail.example:25",
            "http://user:hunter2@mail.example",
            "smtp://user:hunter2@mail.example?tls=please",
            "smtps://user:hunter2@mail.example?tls=required",
            "smtp://user@mail.example",
            "smtp://user:hunter2%ff@mail.example",
            "smtp://",
            "",
        ] {
            let error = wrong.parse::<SmtpAddress>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
