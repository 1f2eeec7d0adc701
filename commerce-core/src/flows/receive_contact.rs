//! A visitor's message to the shop: stored, and mailed to the shop's own address and to nobody else.

use std::time::Duration;

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use crate::contact::{self, ContactError, ContactMessage, NewContactMessage};
use crate::db::Retryable;
use crate::email_address::EmailAddress;
use crate::notifications::{self, NewEmail};
use crate::rate_limit::{self, Policy};

/// Mails about messages, of all visitors together. Messages beyond it are stored and not mailed, so that many
/// networks together cannot fill the shop's mailbox.
const MAILS: Policy = Policy::new("contact-mails", 60, 60);

/// Messages of all visitors together.
const MESSAGES: Policy = Policy::new("contact-messages", 1000, 24 * 60);

/// Why a message was refused. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveContactError {
    /// The values are invalid.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// All visitors together have sent too many messages.
    #[error("too many messages were sent")]
    TooMany {
        /// When the next one is accepted.
        retry_after: Duration,
    },
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ReceiveContactError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Contact(error) => error.is_retryable(),
            Self::TooMany { .. } => false,
            Self::Database(error) => error.is_retryable(),
        }
    }
}

/// Stores a message, and mails it to the shop if it has an address for that. An answer to the mail goes to the visitor.
pub async fn receive_contact(
    conn: &mut AsyncPgConnection,
    new: &NewContactMessage,
    shop: Option<&EmailAddress>,
) -> Result<ContactMessage, ReceiveContactError> {
    conn.transaction(async |conn| {
        let message = contact::insert_message(conn, new).await?;
        // Counted last, because whoever counts waits for the others until they commit.
        let taken = rate_limit::take(conn, &MESSAGES, "all").await?;
        if !taken.allowed {
            return Err(ReceiveContactError::TooMany { retry_after: taken.retry_after });
        }
        if let Some(shop) = shop
            && rate_limit::take(conn, &MAILS, "all").await?.allowed
        {
            notifications::enqueue_email(conn, NewEmail::contact_message(message.id, shop)).await?;
        }
        Ok(message)
    })
    .await
}
