//! Staff add a note to an order, for colleagues.

use diesel::QueryResult;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use crate::audit_log::{self, Author, Subject};
use crate::ids::OrderId;
use crate::orders::{self, OrderEvent};
use crate::text::free_text;

/// Writes a note into the order's timeline. `None` if there is no such order. The audit log refers to the
/// entry; only the timeline has the text.
pub async fn note_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    text: &str,
    author: &Author,
) -> QueryResult<Option<OrderEvent>> {
    conn.transaction(async |conn| {
        if orders::lock(conn, order_id).await?.is_none() {
            return Ok(None);
        }
        let event = orders::note(conn, order_id, &free_text(text), &author.origin).await?;
        let noted = Some(json!({ "event_id": event.id }));
        let subject = Subject::Order(order_id);
        audit_log::record_facts(conn, author, "admin_note_order", subject, None, noted).await?;
        Ok(Some(event))
    })
    .await
}
