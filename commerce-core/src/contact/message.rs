//! One message: how it comes in, and how staff handle it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::limits::{MESSAGE_CHARS_MAX, NAME_CHARS_MAX, NOTE_CHARS_MAX};
use crate::accounts::Phone;
use crate::db::{Retryable, clock};
use crate::email_address::EmailAddress;
use crate::error::{FieldError, FieldErrors};
use crate::ids::ContactMessageId;
use crate::request::Origin;
use crate::schema::contact_messages;
use crate::text::{filled_text, free_text, single_line};

/// What a visitor wrote.
#[derive(Debug, Clone)]
pub struct NewContactMessage {
    /// The visitor's name.
    pub name: String,
    /// The address for an answer. Nobody has checked that it is the visitor's.
    pub email: String,
    /// A phone number.
    pub phone: Option<String>,
    /// The message.
    pub message: String,
}

/// A message to the shop.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = contact_messages)]
pub struct ContactMessage {
    /// Its id.
    pub id: ContactMessageId,
    /// The visitor's name.
    pub name: String,
    /// The address for an answer.
    pub email: EmailAddress,
    /// Digits, with an optional `+` in front.
    pub phone: Option<String>,
    /// The message.
    pub message: String,
    /// What staff wrote about it, for staff.
    pub note: Option<String>,
    /// When it was marked as handled.
    pub handled_at: Option<DateTime<Utc>>,
    /// Who marked it as handled: `user:<id>`.
    pub handled_by: Option<String>,
    /// Goes up with every change.
    pub version: i32,
    /// When it came in.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// Changes of a message. A field that is `None` keeps its value.
#[derive(Debug, Clone, Default)]
pub struct ContactPatch {
    /// Whether it is handled.
    pub handled: Option<bool>,
    /// The note, or no note.
    pub note: Option<Option<String>>,
}

/// Why a message was not written. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    /// There is no such message.
    #[error("the message does not exist")]
    Unknown,
    /// It has changed since it was read.
    #[error("the message has version {current}")]
    VersionMismatch {
        /// Its present version.
        current: i32,
    },
    /// Values are invalid.
    #[error("the message has invalid values")]
    Invalid(Vec<FieldError>),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ContactError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Stores a message.
pub async fn insert_message(
    conn: &mut AsyncPgConnection,
    new: &NewContactMessage,
) -> Result<ContactMessage, ContactError> {
    let mut errors = FieldErrors::default();
    let (name, message) = (single_line(&new.name), free_text(&new.message));
    errors.check_text("/name", &name, 1..=NAME_CHARS_MAX);
    errors.check_text("/message", &message, 1..=MESSAGE_CHARS_MAX);
    let email = new.email.parse::<EmailAddress>();
    if let Err(error) = &email {
        errors.push("/email", error.to_string());
    }
    let phone =
        new.phone.as_deref().filter(|phone| !phone.trim().is_empty()).map(str::parse::<Phone>).transpose();
    if let Err(error) = &phone {
        errors.push("/phone", error.to_string());
    }
    let (Ok(email), Ok(phone), true) = (email, phone, errors.is_empty()) else {
        return Err(ContactError::Invalid(errors.into_vec()));
    };
    let row = diesel::insert_into(contact_messages::table).values((
        contact_messages::id.eq(ContactMessageId::new()),
        contact_messages::name.eq(name),
        contact_messages::email.eq(email),
        contact_messages::phone.eq(phone.as_ref().map(Phone::as_str)),
        contact_messages::message.eq(message),
    ));
    Ok(row.returning(ContactMessage::as_returning()).get_result(conn).await?)
}

/// A message by id.
pub async fn find_message(
    conn: &mut AsyncPgConnection,
    id: ContactMessageId,
) -> QueryResult<Option<ContactMessage>> {
    contact_messages::table.find(id).select(ContactMessage::as_select()).first(conn).await.optional()
}

/// Marks a message as handled or open, or sets its note. With `if_version` only if it has this version.
pub async fn update_message(
    conn: &mut AsyncPgConnection,
    id: ContactMessageId,
    if_version: Option<i32>,
    patch: &ContactPatch,
    origin: &Origin,
) -> Result<ContactMessage, ContactError> {
    let mut errors = FieldErrors::default();
    let note = patch.note.as_ref().map(|note| filled_text(note.as_deref()));
    if let Some(Some(note)) = &note {
        errors.check_text("/note", note, 1..=NOTE_CHARS_MAX);
    }
    if !errors.is_empty() {
        return Err(ContactError::Invalid(errors.into_vec()));
    }
    conn.transaction(async |conn| {
        let current = lock(conn, id, if_version).await?;
        let row = contact_messages::table.find(id);
        // Who handled it first stays.
        let is_handled = current.handled_at.is_some();
        match patch.handled {
            Some(true) if !is_handled => {
                let by = origin.actor.to_string();
                let handled = (
                    contact_messages::handled_at.eq(clock().nullable()),
                    contact_messages::handled_by.eq(Some(by)),
                );
                diesel::update(row).set(handled).execute(conn).await?;
            }
            Some(false) if is_handled => {
                let open = (
                    contact_messages::handled_at.eq(None::<DateTime<Utc>>),
                    contact_messages::handled_by.eq(None::<String>),
                );
                diesel::update(row).set(open).execute(conn).await?;
            }
            _ => {}
        }
        let updated = diesel::update(row).set((
            note.map(|note| contact_messages::note.eq(note)),
            contact_messages::version.eq(contact_messages::version + 1),
            contact_messages::updated_at.eq(clock()),
        ));
        Ok(updated.returning(ContactMessage::as_returning()).get_result(conn).await?)
    })
    .await
}

/// Deletes a message for good. With `if_version` only if it has this version.
pub async fn delete_message(
    conn: &mut AsyncPgConnection,
    id: ContactMessageId,
    if_version: Option<i32>,
) -> Result<(), ContactError> {
    conn.transaction(async |conn| {
        lock(conn, id, if_version).await?;
        diesel::delete(contact_messages::table.find(id)).execute(conn).await?;
        Ok(())
    })
    .await
}

/// Deletes the messages that were sent with this address.
pub async fn forget_sender(conn: &mut AsyncPgConnection, address: &EmailAddress) -> QueryResult<()> {
    let own = contact_messages::table.filter(contact_messages::email.eq(address));
    let ids: Vec<ContactMessageId> =
        own.select(contact_messages::id).order(contact_messages::id).for_update().load(conn).await?;
    let gone = contact_messages::table.filter(contact_messages::id.eq_any(ids));
    diesel::delete(gone).execute(conn).await?;
    Ok(())
}

/// Locks the row until the transaction ends.
async fn lock(
    conn: &mut AsyncPgConnection,
    id: ContactMessageId,
    if_version: Option<i32>,
) -> Result<ContactMessage, ContactError> {
    let row = contact_messages::table.find(id).select(ContactMessage::as_select()).for_update();
    let current: ContactMessage = row.first(conn).await.optional()?.ok_or(ContactError::Unknown)?;
    if if_version.is_some_and(|version| version != current.version) {
        return Err(ContactError::VersionMismatch { current: current.version });
    }
    Ok(current)
}
