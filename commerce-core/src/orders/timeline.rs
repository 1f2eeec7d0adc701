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
    pub enum EventKind {
        Placed = "placed",
        PaymentStarted = "payment_started",
        PaymentSucceeded = "payment_succeeded",
        PaymentFailed = "payment_failed",
        PaymentExpired = "payment_expired",
        /// What a provider took is not what it was asked to take.
        PaymentMismatch = "payment_mismatch",
        Paid = "paid",
        Processing = "processing",
        Shipped = "shipped",
        Delivered = "delivered",
        Cancelled = "cancelled",
        StockReleased = "stock_released",
        /// A late payment brought it back.
        Reinstated = "reinstated",
        /// A late payment could not bring it back, because its stock is gone.
        ReinstatementRefused = "reinstatement_refused",
        RefundRequested = "refund_requested",
        RefundSucceeded = "refund_succeeded",
        RefundFailed = "refund_failed",
        /// The provider took it up and will tell later.
        RefundProcessing = "refund_processing",
        /// One of the staff has it tried once more.
        RefundRetried = "refund_retried",
        /// One of the staff paid it back without the provider.
        RefundPaidByHand = "refund_paid_by_hand",
        /// The provider says that a refund went through which the shop had given up and replaced.
        RefundMismatch = "refund_mismatch",
        Note = "note",
    }
}

/// One entry of a timeline.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = order_events)]
pub struct OrderEvent {
    pub id: OrderEventId,
    pub kind: EventKind,
    pub data: serde_json::Value,
    /// `user:<id>`, `guest` or `system`.
    pub actor: String,
    pub request_id: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// Writes an entry, in the transaction of what it tells of.
pub async fn record(
    conn: &AsyncPgConnection,
    order_id: OrderId,
    kind: EventKind,
    data: serde_json::Value,
    origin: &Origin,
) -> QueryResult<()> {
    diesel::insert_into(order_events::table)
        .values((
            order_events::id.eq(OrderEventId::new()),
            order_events::order_id.eq(order_id),
            order_events::kind.eq(kind),
            order_events::data.eq(data),
            order_events::actor.eq(origin.actor.to_string()),
            order_events::request_id.eq(origin.request_id.as_deref()),
        ))
        .execute(&mut &*conn)
        .await?;
    Ok(())
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
