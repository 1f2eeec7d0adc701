//! A finished mail, and whatever takes mails away.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use crate::ids::EmailId;

/// Who mails come from: an address with or without a display name, such as `Corner Shop <hello@shop.example>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

/// The text is not an address that mails can come from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a mail address such as `Corner Shop <hello@shop.example>`")]
pub struct InvalidSender(pub String);

impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A line break in a display name could begin a header of its own.
        let invalid = || InvalidSender(text.to_owned());
        if text.chars().any(char::is_control) {
            return Err(invalid());
        }
        let Mailbox { name, email } = text.trim().parse().map_err(|_| invalid())?;
        // As with recipients: not every server takes an international domain as it is read.
        let domain = idna::domain_to_ascii(email.domain()).map_err(|_| invalid())?;
        let email = Address::new(email.user(), domain).map_err(|_| invalid())?;
        Ok(Self(Mailbox::new(name, email)))
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Sender {
    /// What readers know the shop by: the display name, or the address's domain.
    pub fn shop_name(&self) -> &str {
        self.0.name.as_deref().unwrap_or(self.0.email.domain())
    }
}

/// A mail ready to be sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Its id. A mailer may pass it on, so that a mail sent twice is known as one.
    pub id: EmailId,
    /// Who it comes from.
    pub from: Sender,
    /// An address without a display name, with the A-labels of an international domain.
    pub to: String,
    /// Whom an answer goes to, if not to the sender: an address without a display name.
    pub reply_to: Option<String>,
    /// The subject line.
    pub subject: String,
    /// The body for programs that show no HTML.
    pub text: String,
    /// The body as HTML; it says the same.
    pub html: String,
    /// When the event happened that the mail tells of.
    pub created_at: DateTime<Utc>,
}

impl Mail {
    /// Name of the message for ever: a reader's mailbox that gets the mail twice can tell.
    pub fn message_id(&self) -> String {
        format!("<{}@{}>", self.id, self.from.0.email.domain())
    }

    pub(super) fn to_message(&self) -> Result<Message, SendMailError> {
        let refused = |error: &dyn fmt::Display| SendMailError::Refused(format!("{}: {error}", self.to));
        let to: Address = self.to.parse().map_err(|error| refused(&error))?;
        let mut message = Message::builder().from(self.from.0.clone()).to(Mailbox::new(None, to));
        if let Some(reply_to) = &self.reply_to {
            let reply_to: Address = reply_to.parse().map_err(|error| refused(&error))?;
            message = message.reply_to(Mailbox::new(None, reply_to));
        }
        message
            .subject(self.subject.replace(char::is_control, " "))
            .message_id(Some(self.message_id()))
            .date(self.created_at.into())
            .multipart(MultiPart::alternative_plain_html(self.text.clone(), self.html.clone()))
            .map_err(|error| refused(&error))
    }
}

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendMailError {
    /// It will never be: there is no such recipient, or the content is not wanted.
    #[error("the mail was refused: {0}")]
    Refused(String),
    /// It may be later.
    #[error("the mail could not be handed over: {0}")]
    Unavailable(String),
}

/// Takes mails away. `Ok` means that the other side has taken responsibility for the mail.
pub trait Mailer: Send + Sync + fmt::Debug {
    /// Hands over one mail. Called again with the same mail where an answer was lost.
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), SendMailError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(to: &str, subject: &str) -> Mail {
        Mail {
            id: EmailId::new(),
            from: "Corner Shop <hello@shop.example>".parse().unwrap(),
            to: to.to_owned(),
            reply_to: None,
            subject: subject.to_owned(),
            text: "Hello".to_owned(),
            html: "<p>Hello</p>".to_owned(),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_line_break_cannot_smuggle_in_a_header() {
        let message = mail("a@b.example", "Order 1\r\nBcc: spy@evil.example").to_message().unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        assert!(!text.contains("\nBcc:"), "{text}");
        assert!(text.contains("Subject: Order 1  Bcc: spy@evil.example\r\n"), "{text}");

        for to in [
            "a@b.example\r\nBcc: spy@evil.example",
            "a@b.example>\r\nX: y",
            "A <a@b.example>",
            "a@b, c@d",
            "",
        ] {
            assert!(matches!(mail(to, "s").to_message(), Err(SendMailError::Refused(_))), "{to:?}");
        }
        for reply_to in ["a@b.example\r\nBcc: spy@evil.example", "A <a@b.example>", "a@b, c@d"] {
            let mail = Mail { reply_to: Some(reply_to.to_owned()), ..mail("a@b.example", "s") };
            assert!(matches!(mail.to_message(), Err(SendMailError::Refused(_))), "{reply_to:?}");
        }
        for from in ["Shop\r\nBcc: spy@evil.example <a@b.example>", "Shop\n<a@b.example>", "nobody", ""] {
            assert!(from.parse::<Sender>().is_err(), "{from:?}");
        }
    }

    #[test]
    fn the_message_says_who_when_and_which() {
        let mail = mail("anna@example.com", "Grüße");
        let text = String::from_utf8(mail.to_message().unwrap().formatted()).unwrap();
        assert!(text.contains("From: \"Corner Shop\" <hello@shop.example>\r\n"), "{text}");
        assert!(text.contains(&format!("Message-ID: <{}@shop.example>\r\n", mail.id)), "{text}");
        assert!(text.contains("Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"), "{text}");
        assert!(text.contains("Content-Type: multipart/alternative;"), "{text}");
        assert!(text.contains("Subject: =?utf-8?b?"), "{text}");
        assert_eq!(mail.from.shop_name(), "Corner Shop");
        assert_eq!("hello@shop.example".parse::<Sender>().unwrap().shop_name(), "shop.example");
        let sender: Sender = "Bücher <hello@bücher.example>".parse().unwrap();
        assert_eq!(sender.0.email.to_string(), "hello@xn--bcher-kva.example");
    }
}
