//! Keyset pages. A cursor refers to the last row of a page, so that writes between two requests neither
//! repeat nor skip a row.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// The number of rows on a page: 1 to 100, and 20 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// The most rows of a page.
    pub const MAX: u16 = 100;

    /// `None` outside of 1..=100.
    pub fn new(rows: u16) -> Option<Self> {
        (1..=Self::MAX).contains(&rows).then_some(Self(rows))
    }

    /// The number of rows.
    pub fn rows(self) -> usize {
        usize::from(self.0)
    }

    /// One row more than the page has. If it exists, there is a next page.
    pub fn rows_and_one(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

/// The place where a page begins: the sort key and the id of the last row before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor<K> {
    /// The sort order that it belongs to. It is invalid for another.
    pub sort: String,
    /// The row's value in the sort order.
    pub key: K,
    /// The row's id, which decides between equal keys.
    pub id: Uuid,
}

/// The cursor was not issued by this list in this sort order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor was not issued for this list and sort order; start again without it")]
pub struct InvalidCursor;

impl<K: Serialize + DeserializeOwned> Cursor<K> {
    /// The opaque text for the client.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads a text that [`Cursor::encode`] wrote for the same sort order.
    pub fn decode(text: &str, sort: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| InvalidCursor)?;
        if !is_storable(&value) {
            return Err(InvalidCursor);
        }
        let cursor: Self = serde_json::from_value(value).map_err(|_| InvalidCursor)?;
        if cursor.sort == sort { Ok(cursor) } else { Err(InvalidCursor) }
    }
}

impl<K: Serialize + DeserializeOwned> Cursor<K> {
    /// The text of a cursor for this row.
    pub(crate) fn at(sort: &str, key: K, id: impl Into<Uuid>) -> String {
        Self { sort: sort.to_owned(), key, id: id.into() }.encode()
    }

    /// The sort key and id of the row after which a page begins. `None` for the first page.
    pub(crate) fn place<I: From<Uuid>>(
        cursor: Option<&str>,
        sort: &str,
    ) -> Result<Option<(K, I)>, InvalidCursor> {
        let cursor = cursor.map(|text| Self::decode(text, sort)).transpose()?;
        Ok(cursor.map(|Self { key, id, .. }| (key, I::from(id))))
    }
}

/// Whether Postgres can store every text and time of a cursor. A client may have made the cursor up.
fn is_storable(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => {
            let time = text.parse::<DateTime<Utc>>().ok();
            !text.contains('\0') && time.is_none_or(|time| time == storable_time(time))
        }
        Value::Array(items) => items.iter().all(is_storable),
        Value::Object(fields) => fields.values().all(is_storable),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// The nearest time in the years 1 to 9999. Nothing in a shop is outside of them, and Postgres cannot store
/// all times that chrono can.
pub fn storable_time(time: DateTime<Utc>) -> DateTime<Utc> {
    const FIRST_SECOND: i64 = -62_135_596_800;
    const LAST_SECOND: i64 = 253_402_300_799;
    let seconds = time.timestamp().clamp(FIRST_SECOND, LAST_SECOND);
    if seconds == time.timestamp() { time } else { DateTime::from_timestamp(seconds, 0).unwrap_or(time) }
}

/// One page of a list.
#[derive(Debug, Clone)]
#[must_use = "a page that is not used was read in vain"]
pub struct Page<T> {
    /// The rows of the page, in the order of the list.
    pub data: Vec<T>,
    /// The cursor of the next page. `None` on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of rows that were read with [`Limit::rows_and_one`]. `cursor_of` makes the cursor for the
    /// last row of the page.
    pub fn from_rows(mut rows: Vec<T>, limit: Limit, cursor_of: impl FnOnce(&T) -> String) -> Self {
        let more = rows.len() > limit.rows();
        rows.truncate(limit.rows());
        let next_cursor = if more { rows.last().map(cursor_of) } else { None };
        Self { data: rows, next_cursor }
    }

    /// Converts the rows of the page.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(convert).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_only_for_its_sort() {
        let cursor = Cursor { sort: "price".to_owned(), key: Some(1250i64), id: Uuid::now_v7() };
        assert_eq!(Cursor::decode(&cursor.encode(), "price"), Ok(cursor.clone()));
        assert_eq!(Cursor::<Option<i64>>::decode(&cursor.encode(), "-price"), Err(InvalidCursor));
        for wrong in ["", "x", "e30", "🦀", "bnVsbA"] {
            assert_eq!(Cursor::<Option<i64>>::decode(wrong, "price"), Err(InvalidCursor), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_that_postgres_cannot_hold_was_not_issued() {
        let cursor =
            |key: &str| Cursor { sort: "x".to_owned(), key: key.to_owned(), id: Uuid::now_v7() }.encode();
        for key in ["a\0", "-262143-01-01T00:00:00Z", "+12026-01-01T00:00:00Z"] {
            assert_eq!(Cursor::<String>::decode(&cursor(key), "x"), Err(InvalidCursor), "{key:?}");
        }
        for key in ["", "a title", "2026-01-01T00:00:00.123456Z", "9999-12-31T23:59:59.999999Z"] {
            assert!(Cursor::<String>::decode(&cursor(key), "x").is_ok(), "{key:?}");
        }
    }

    #[test]
    fn the_extra_row_only_tells_that_there_is_more() {
        let limit = Limit::new(2).unwrap();
        let page = Page::from_rows(vec![1, 2, 3], limit, |last| last.to_string());
        assert_eq!((page.data, page.next_cursor), (vec![1, 2], Some("2".to_owned())));
        let page = Page::from_rows(vec![1, 2], limit, |last| last.to_string());
        assert_eq!((page.data, page.next_cursor), (vec![1, 2], None));
        assert!(Limit::new(0).is_none() && Limit::new(101).is_none());
    }
}
