//! Staff add a note to an order, for colleagues.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use crate::audit_log::{self, Author, Subject};
use crate::db::Retryable;
use crate::ids::OrderId;
use crate::orders::{self, OrderEvent};
use crate::text::free_text;

/// Why no note was written.
#[derive(Debug, thiserror::Error)]
pub enum NoteOrderError {
    /// There is no such order.
    #[error("the order does not exist")]
    NotFound,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for NoteOrderError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Writes a note into the order's timeline. The audit log refers to the entry; only the timeline has the text.
pub async fn note_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    text: &str,
    author: &Author,
) -> Result<OrderEvent, NoteOrderError> {
    conn.transaction(async |conn| {
        let _order = orders::lock(conn, order_id).await?.ok_or(NoteOrderError::NotFound)?;
        let event = orders::note(conn, order_id, &free_text(text), &author.origin).await?;
        let noted = Some(json!({ "event_id": event.id }));
        let subject = Subject::Order(order_id);
        audit_log::record_facts(conn, author, "admin_note_order", subject, None, noted).await?;
        Ok(event)
    })
    .await
}
