//! `/contact-messages`: what visitors write to the shop, and what staff do about it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use commerce_core::audit_log::{self, Subject};
use commerce_core::contact::{
    self, ContactError, ContactFilter, ContactPatch, ContactSort, ListContactError, NewContactMessage,
};
use commerce_core::db::{Retryable, current_time};
use commerce_core::flows::{ReceiveContactError, receive_contact};
use commerce_core::ids::ContactMessageId;
use commerce_core::page::Limit;
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, List, NoContent, Okay, Reply, twenty};
use crate::http::auth::{Can, ContactRead, ContactWrite, Credential as _};
use crate::http::body::Body;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Fault, Missing, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct ContactMessages(pub State);

/// Nobody fills in a form in less time.
const FILLED_IN_AFTER: TimeDelta = TimeDelta::seconds(2);

/// Nobody needs more time. So a request that a program has recorded is good for a day.
const FILLED_IN_BEFORE: TimeDelta = TimeDelta::days(1);

#[OpenApi(tag = "Tag::Contact")]
impl ContactMessages {
    /// Send a message to the shop
    ///
    /// The message is mailed to the shop, and an answer goes to `email`. Nothing is mailed to anybody else. A form should
    /// have a field `website` that people do not see and leave empty. It sends the time at which it was opened, because
    /// programs fill it in at once.
    #[oai(path = "/contact-messages", method = "post", operation_id = "send_contact_message")]
    async fn send(
        &self,
        body: Body<ContactMessageRequest>,
    ) -> Result<Created<ContactMessageReceipt>, Refused<SendContactError>> {
        let ContactMessageRequest { name, email, phone, message, website, opened_at } = body.value;
        let now = current_time(&mut *self.0.conn().await?).await.map_err(Problem::from)?;
        if website.is_some_and(|website| !website.trim().is_empty()) {
            metrics::counter!("commerce_contact_spam_total").increment(1);
            // A program that fills in what people do not see learns nothing.
            return Ok(Created::new(ContactMessageReceipt { id: Uuid::now_v7(), created_at: now }));
        }
        match now.signed_duration_since(opened_at) {
            open_for if open_for < FILLED_IN_AFTER => return Err(SendContactError::TooFast.into()),
            open_for if open_for > FILLED_IN_BEFORE => return Err(SendContactError::TooSlow.into()),
            _ => {}
        }
        let (new, shop) =
            (NewContactMessage { name, email, phone, message }, self.0.shop.alert_email.clone());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let message = receive_contact(conn, &new, shop.as_ref()).await?;
            Ok::<_, SendContactError>(ContactMessageReceipt {
                id: message.id.0,
                created_at: message.created_at,
            })
        };
        self.0.write("send_contact_message", None, effect).await
    }

    /// List messages to the shop
    #[oai(path = "/contact-messages", method = "get", operation_id = "list_contact_messages")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        staff: Can<ContactRead>,
        /// Part of the name, the e-mail address, the phone number or the message. One or two characters match the
        /// beginnings of words only
        #[oai(validator(max_length = 254))]
        q: Query<Option<String>>,
        handled: Query<Option<bool>>,
        /// Only messages that came in at this time or later
        from: Query<Option<DateTime<Utc>>>,
        /// Only messages that came in before this time
        before: Query<Option<DateTime<Utc>>>,
        /// Newest first by default
        sort: Query<Option<ContactSorting>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<ContactMessage>>, Refused<ListContactError>> {
        let filter = ContactFilter { text: q.0, handled: handled.0, from: from.0, before: before.0 };
        let sort = sort.0.map_or(ContactSort::NewestFirst, Into::into);
        let limit = Limit::new(limit.0).unwrap_or_default();
        let mut conn = self.0.conn().await?;
        let page = contact::list_messages(&mut conn, &filter, sort, limit, cursor.0.as_deref()).await?;
        staff.note_read(&mut conn).await?;
        Ok(Okay::page(page.map(ContactMessage::from)))
    }

    /// Get a message to the shop
    #[oai(path = "/contact-messages/:id", method = "get", operation_id = "get_contact_message")]
    async fn get(
        &self,
        staff: Can<ContactRead>,
        id: Path<Uuid>,
    ) -> Result<Okay<ContactMessage>, Refused<Missing>> {
        let mut conn = self.0.conn().await?;
        let message = contact::find_message(&mut conn, ContactMessageId(id.0)).await?;
        let message = message.ok_or(Missing("message"))?;
        staff.note_read(&mut conn).await?;
        Ok(Okay::new(Reply::<ContactMessage>::from(message)))
    }

    /// Update a message to the shop
    ///
    /// Marks it as handled or open again, or sets the note that staff keep about it.
    #[oai(path = "/contact-messages/:id", method = "patch", operation_id = "update_contact_message")]
    async fn update(
        &self,
        staff: Can<ContactWrite>,
        id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateContactMessageRequest>,
    ) -> Result<Okay<ContactMessage>, Refused<ContactError>> {
        let (id, patch, author) = (ContactMessageId(id.0), body.value.patch(), staff.author());
        let origin = staff.origin();
        let update = async move |conn: &mut AsyncPgConnection| {
            let subject = Subject::ContactMessage(id);
            let before = audit_log::snapshot(conn, subject).await?;
            let message = contact::update_message(conn, id, expected.version(), &patch, &origin).await?;
            audit_log::record(conn, &author, "update_contact_message", subject, before).await?;
            Ok::<_, ContactError>(message)
        };
        let message = self.0.transaction("update_contact_message", update).await?;
        Ok(Okay::new(Reply::<ContactMessage>::from(message)))
    }

    /// Delete a message to the shop
    #[oai(path = "/contact-messages/:id", method = "delete", operation_id = "delete_contact_message")]
    async fn delete(
        &self,
        staff: Can<ContactWrite>,
        id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
    ) -> Result<NoContent, Refused<ContactError>> {
        let (id, author) = (ContactMessageId(id.0), staff.author());
        let delete = async move |conn: &mut AsyncPgConnection| {
            let subject = Subject::ContactMessage(id);
            let before = audit_log::snapshot(conn, subject).await?;
            contact::delete_message(conn, id, expected.version()).await?;
            audit_log::record(conn, &author, "delete_contact_message", subject, before).await?;
            Ok::<_, ContactError>(())
        };
        self.0.transaction("delete_contact_message", delete).await?;
        Ok(NoContent::done())
    }
}

/// What a visitor writes.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct ContactMessageRequest {
    #[oai(validator(min_length = 1, max_length = 200))]
    pub name: String,
    /// The address for an answer.
    #[oai(validator(min_length = 1, max_length = 254))]
    pub email: String,
    #[oai(validator(max_length = 40))]
    pub phone: Option<String>,
    #[oai(validator(min_length = 1, max_length = 5000))]
    pub message: String,
    /// A trap for programs: people do not see it, and leave it empty.
    #[oai(validator(max_length = 1000))]
    pub website: Option<String>,
    /// When the form was opened. A form that was filled in within two seconds is refused, and so is one that was open
    /// for more than a day.
    pub opened_at: DateTime<Utc>,
}

/// A message that was received.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct ContactMessageReceipt {
    pub id: Uuid,
    pub created_at: DateTime<Utc>,
}

/// The sort order of messages. `-` means descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "ContactMessageSort", remote = "ContactSort")]
pub enum ContactSorting {
    #[oai(rename = "-created_at")]
    NewestFirst,
    #[oai(rename = "created_at")]
    OldestFirst,
}

/// The fields to change. Fields that are left out keep their value.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateContactMessageRequest {
    pub handled: Option<bool>,
    /// What staff keep about it. Null removes the note.
    #[oai(validator(max_length = 5000))]
    pub note: MaybeUndefined<String>,
}

impl UpdateContactMessageRequest {
    fn patch(self) -> ContactPatch {
        ContactPatch { handled: self.handled, note: self.note.into() }
    }
}

/// A message to the shop, as staff see it.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct ContactMessage {
    pub id: Uuid,
    pub name: String,
    /// The address for an answer. Nobody has checked that it is the visitor's.
    pub email: String,
    /// Digits, with an optional `+` in front.
    pub phone: Option<String>,
    pub message: String,
    pub note: Option<String>,
    pub handled: bool,
    pub handled_at: Option<DateTime<Utc>>,
    /// Who marked it as handled: `user:<id>`.
    pub handled_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl From<contact::ContactMessage> for ContactMessage {
    fn from(message: contact::ContactMessage) -> Self {
        Self {
            id: message.id.0,
            name: message.name,
            email: message.email.to_string(),
            phone: message.phone,
            message: message.message,
            note: message.note,
            handled: message.handled_at.is_some(),
            handled_at: message.handled_at,
            handled_by: message.handled_by,
            created_at: message.created_at,
            updated_at: message.updated_at,
        }
    }
}

impl From<contact::ContactMessage> for Reply<ContactMessage> {
    fn from(message: contact::ContactMessage) -> Self {
        let version = message.version;
        Self::new(ContactMessage::from(message)).version(version)
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendContactError {
    #[error("was filled in too fast: wait for a moment and send it again")]
    TooFast,
    #[error("was more than a day ago: open the form again")]
    TooSlow,
    #[error(transparent)]
    Receive(#[from] ReceiveContactError),
}

impl From<QueryError> for SendContactError {
    fn from(error: QueryError) -> Self {
        Self::Receive(error.into())
    }
}

impl Retryable for SendContactError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Receive(error) if error.is_retryable())
    }
}

impl Refusal for SendContactError {
    const CODES: &'static [Code] = &[Code::ValidationFailed];

    fn problem(self) -> Problem {
        match self {
            Self::TooFast | Self::TooSlow => {
                Problem::invalid(vec![Fault::at("/opened_at", self.to_string())])
            }
            Self::Receive(ReceiveContactError::Contact(error)) => error.problem(),
            Self::Receive(ReceiveContactError::TooMany { retry_after }) => {
                let detail = "The shop gets too many messages. Try again later.";
                let retry_after = Some(retry_after.max(Duration::from_secs(1)));
                Problem { retry_after, ..Problem::new(Code::RateLimited, detail) }
            }
            Self::Receive(ReceiveContactError::Database(error)) => error.into(),
        }
    }
}

impl Refusal for ContactError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::VersionMismatch, Code::ValidationFailed];

    fn problem(self) -> Problem {
        match self {
            Self::Unknown => Problem::not_found("message"),
            Self::VersionMismatch { .. } => {
                Problem::new(Code::VersionMismatch, Code::VersionMismatch.meaning())
            }
            Self::Invalid(errors) => Problem::invalid(errors.into_iter().map(Fault::from).collect()),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for ListContactError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Example for ContactMessageRequest {
    fn example() -> Self {
        Self {
            name: "Ada Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            phone: Some("+44 20 7946 0018".to_owned()),
            message: "Do the socks come in wool?".to_owned(),
            website: None,
            opened_at: DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
        }
    }
}

impl Example for ContactMessageReceipt {
    fn example() -> Self {
        let ContactMessage { id, created_at, .. } = ContactMessage::example();
        Self { id, created_at }
    }
}

impl Example for UpdateContactMessageRequest {
    fn example() -> Self {
        Self { handled: Some(true), note: MaybeUndefined::Value("answered by phone".to_owned()) }
    }
}

impl Example for ContactMessage {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b91),
            name: "Ada Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            phone: Some("+442079460018".to_owned()),
            message: "Do the socks come in wool?".to_owned(),
            note: None,
            handled: false,
            handled_at: None,
            handled_by: None,
            created_at: at,
            updated_at: at,
        }
    }
}
