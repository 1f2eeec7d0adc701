//! Lists and searches messages, for staff. A search uses trigrams, so it reads few rows of many.

use chrono::{DateTime, Utc};
use diesel::dsl::{AsSelect, SqlTypeOf};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::ContactMessage;
use crate::accounts::compact_phone;
use crate::db::escape_like;
use crate::ids::ContactMessageId;
use crate::page::{Cursor, InvalidCursor, Limit, Page, storable_time};
use crate::schema::contact_messages;
use crate::text_enum::text_enum;

/// Filters messages. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct ContactFilter {
    /// Part of the name, the address, the phone number or the message. One or two characters match the beginnings of
    /// words only.
    pub text: Option<String>,
    /// Whether the message is handled.
    pub handled: Option<bool>,
    /// Only messages that came in at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Only messages that came in before this time.
    pub before: Option<DateTime<Utc>>,
}

text_enum! {
    /// The sort order of messages.
    pub enum ContactSort {
        /// The newest first.
        NewestFirst = "-created_at",
        /// The oldest first.
        OldestFirst = "created_at",
    }
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListContactError {
    /// The cursor was not issued by this list in this order.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// The patterns of which one must match.
fn patterns(text: &str) -> Vec<String> {
    let escaped = escape_like(text);
    if text.trim().chars().count() < 3 {
        // So few characters form a trigram at the beginning of a word only.
        return vec![format!("{escaped}%"), format!("% {escaped}%"), format!("%\n{escaped}%")];
    }
    let phone = compact_phone(text).filter(|phone| *phone != escaped).map(|phone| format!("%{phone}%"));
    std::iter::once(format!("%{escaped}%")).chain(phone).collect()
}

/// One page of the messages that match.
pub async fn list_messages(
    conn: &mut AsyncPgConnection,
    filter: &ContactFilter,
    sort: ContactSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<ContactMessage>, ListContactError> {
    let rows: Vec<ContactMessage> = page_query(filter, sort, limit, cursor)?.load(conn).await?;
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(sort.as_str(), last.created_at, last.id)))
}

/// How Postgres reads the page, and how long that takes: the lines of EXPLAIN ANALYZE.
#[cfg(feature = "testing")]
pub async fn explain_messages(
    conn: &mut AsyncPgConnection,
    filter: &ContactFilter,
    sort: ContactSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Vec<String>, ListContactError> {
    Ok(crate::db::Explain(page_query(filter, sort, limit, cursor)?).load(conn).await?)
}

type MessageQuery = contact_messages::BoxedQuery<'static, Pg, SqlTypeOf<AsSelect<ContactMessage, Pg>>>;

fn page_query(
    filter: &ContactFilter,
    sort: ContactSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<MessageQuery, InvalidCursor> {
    use contact_messages::{created_at, id};
    let mut query = contact_messages::table.select(ContactMessage::as_select()).into_boxed();
    let text = filter.text.as_deref().filter(|text| !text.trim().is_empty());
    for (place, pattern) in text.map(patterns).unwrap_or_default().into_iter().enumerate() {
        let matches = contact_messages::search.ilike(pattern);
        query = if place == 0 { query.filter(matches) } else { query.or_filter(matches) };
    }
    match filter.handled {
        Some(true) => query = query.filter(contact_messages::handled_at.is_not_null()),
        Some(false) => query = query.filter(contact_messages::handled_at.is_null()),
        None => {}
    }
    if let Some(from) = filter.from {
        query = query.filter(created_at.ge(storable_time(from)));
    }
    if let Some(before) = filter.before {
        query = query.filter(created_at.lt(storable_time(before)));
    }
    let last = Cursor::<DateTime<Utc>>::place::<ContactMessageId>(cursor, sort.as_str())?;
    let place = (created_at, id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
    query = match (sort, last) {
        (ContactSort::NewestFirst, Some(last)) => query.filter(place.lt(last)),
        (ContactSort::OldestFirst, Some(last)) => query.filter(place.gt(last)),
        (_, None) => query,
    };
    query = match sort {
        ContactSort::NewestFirst => query.order((created_at.desc(), id.desc())),
        ContactSort::OldestFirst => query.order((created_at, id)),
    };
    Ok(query.limit(limit.rows_and_one()))
}
