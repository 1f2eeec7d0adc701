//! The timeline of an order: what happened, when, by whom, under which request. Append-only.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::ids::{OrderEventId, OrderId};
use crate::request::Origin;
use crate::schema::order_events;
use crate::text_enum::text_enum;

text_enum! {
    /// What can happen to an order.
    #[non_exhaustive]
    pub enum EventKind {
        /// The order was placed.
        Placed = "placed",
        /// A payment was begun.
        PaymentStarted = "payment_started",
        /// A payment brought money in.
        PaymentSucceeded = "payment_succeeded",
        /// The provider refused a payment.
        PaymentFailed = "payment_failed",
        /// A payment was not finished in time.
        PaymentExpired = "payment_expired",
        /// What a provider took is not what it was asked to take.
        PaymentMismatch = "payment_mismatch",
        /// Payments now cover the total.
        Paid = "paid",
        /// Staff began to pack it.
        Processing = "processing",
        /// A parcel left.
        Shipped = "shipped",
        /// Its parcel arrived.
        Delivered = "delivered",
        /// The order was cancelled.
        Cancelled = "cancelled",
        /// Its units went back to what can be bought.
        StockReleased = "stock_released",
        /// A late payment brought it back.
        Reinstated = "reinstated",
        /// A late payment could not bring it back, because its stock is gone.
        ReinstatementRefused = "reinstatement_refused",
        /// Money is to go back.
        RefundRequested = "refund_requested",
        /// Money went back.
        RefundSucceeded = "refund_succeeded",
        /// The provider refused to pay back.
        RefundFailed = "refund_failed",
        /// The provider took it up and will tell later.
        RefundProcessing = "refund_processing",
        /// One of the staff has it tried once more.
        RefundRetried = "refund_retried",
        /// One of the staff paid it back without the provider.
        RefundPaidByHand = "refund_paid_by_hand",
        /// The provider says that a refund went through which the shop had given up and replaced.
        RefundMismatch = "refund_mismatch",
        /// Staff wrote a note.
        Note = "note",
    }
}

/// One entry of a timeline.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = order_events)]
pub struct OrderEvent {
    /// Its id.
    pub id: OrderEventId,
    /// What happened.
    pub kind: EventKind,
    /// Facts about it, as a JSON object; which ones depends on the kind.
    pub data: serde_json::Value,
    /// `user:<id>`, `guest` or `system`.
    pub actor: String,
    /// The request that caused it, if one did.
    pub request_id: Option<String>,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

#[derive(Insertable)]
// Otherwise the statement has two texts, and Diesel prepares neither.
#[diesel(table_name = order_events, treat_none_as_default_value = false)]
struct NewEvent<'a> {
    id: OrderEventId,
    order_id: OrderId,
    kind: EventKind,
    data: serde_json::Value,
    actor: String,
    request_id: Option<&'a str>,
}

impl<'a> NewEvent<'a> {
    fn new(order_id: OrderId, kind: EventKind, data: serde_json::Value, origin: &'a Origin) -> Self {
        let (id, actor) = (OrderEventId::new(), origin.actor.to_string());
        Self { id, order_id, kind, data, actor, request_id: origin.request_id.as_deref() }
    }
}

/// Writes an entry, in the transaction of what it tells of.
pub(crate) async fn record(
    conn: &AsyncPgConnection,
    order_id: OrderId,
    kind: EventKind,
    data: serde_json::Value,
    origin: &Origin,
) -> QueryResult<()> {
    diesel::insert_into(order_events::table)
        .values(NewEvent::new(order_id, kind, data, origin))
        .execute(&mut &*conn)
        .await?;
    Ok(())
}

/// Writes what one of the staff notes, and returns the entry.
pub(crate) async fn note(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    text: &str,
    origin: &Origin,
) -> QueryResult<OrderEvent> {
    let data = serde_json::json!({ "text": text });
    diesel::insert_into(order_events::table)
        .values(NewEvent::new(order_id, EventKind::Note, data, origin))
        .returning(OrderEvent::as_returning())
        .get_result(conn)
        .await
}

/// The whole timeline, oldest first.
pub async fn events(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Vec<OrderEvent>> {
    order_events::table
        .filter(order_events::order_id.eq(order_id))
        .order((order_events::created_at, order_events::id))
        .select(OrderEvent::as_select())
        .load(conn)
        .await
}
