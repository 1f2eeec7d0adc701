//! The timeline of an order: what happened, when, who did it and in which request. It is append-only.

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::ids::{OrderEventId, OrderId, PaymentId};
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
        /// A provider holds money for the order and has not taken it yet.
        PaymentAuthorized = "payment_authorized",
        /// A provider soon lets go of the money that it holds.
        AuthorizationLapses = "authorization_lapses",
        /// Authorized money is being captured.
        CaptureRequested = "capture_requested",
        /// Authorized money is being let go.
        VoidRequested = "void_requested",
        /// A payment brought money in.
        PaymentSucceeded = "payment_succeeded",
        /// The provider refused a payment.
        PaymentFailed = "payment_failed",
        /// A payment was not completed in time.
        PaymentExpired = "payment_expired",
        /// The captured amount differs from the requested amount.
        PaymentMismatch = "payment_mismatch",
        /// The shopper's bank disputes a payment, or has decided about a dispute.
        PaymentDisputed = "payment_disputed",
        /// Payments now cover the total.
        Paid = "paid",
        /// Staff began to process it.
        Processing = "processing",
        /// A parcel is being packed.
        ShipmentCreated = "shipment_created",
        /// A parcel was shipped.
        Shipped = "shipped",
        /// A parcel is on its way, came back, was lost, or is not sent. Its `status` says which.
        ShipmentMoved = "shipment_moved",
        /// A parcel has arrived.
        Delivered = "delivered",
        /// Units of the order were cancelled.
        LinesCancelled = "lines_cancelled",
        /// The order was cancelled.
        Cancelled = "cancelled",
        /// Its stock was released.
        StockReleased = "stock_released",
        /// A late payment restored it.
        Reinstated = "reinstated",
        /// A late payment could not restore it, because its stock is gone.
        ReinstatementRefused = "reinstatement_refused",
        /// A refund was requested.
        RefundRequested = "refund_requested",
        /// A refund succeeded.
        RefundSucceeded = "refund_succeeded",
        /// The provider refused a refund.
        RefundFailed = "refund_failed",
        /// The provider accepted a refund and will report later.
        RefundProcessing = "refund_processing",
        /// Staff retried a refund.
        RefundRetried = "refund_retried",
        /// Staff paid a refund without the provider.
        RefundPaidByHand = "refund_paid_by_hand",
        /// The provider reports that a refund succeeded that the shop had given up and replaced.
        RefundMismatch = "refund_mismatch",
        /// Staff changed the status, and said why.
        StatusChanged = "status_changed",
        /// The shopper wants to give goods back.
        ReturnRequested = "return_requested",
        /// Staff approved a return.
        ReturnApproved = "return_approved",
        /// The goods of a return are back.
        ReturnReceived = "return_received",
        /// The money of a return is refunded.
        ReturnRefunded = "return_refunded",
        /// Staff rejected a return.
        ReturnRejected = "return_rejected",
        /// Somebody declared the withdrawal from the contract.
        WithdrawalDeclared = "withdrawal_declared",
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
    /// Facts about the event, as a JSON object. They depend on the kind.
    pub data: serde_json::Value,
    /// `user:<id>`, `guest` or `system`.
    pub actor: String,
    /// The request that caused it, if one did.
    pub request_id: Option<String>,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

#[derive(Insertable)]
// An optional value would give the statement two texts, and Diesel would prepare neither.
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

/// Writes an event, in the transaction of the change that it describes.
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

/// Whether an event of this kind was recorded with this text in this field of its data.
pub(crate) async fn was_recorded(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    kind: EventKind,
    (field, text): (&'static str, String),
) -> QueryResult<bool> {
    let about_it = sql::<Bool>("data ->> ").bind::<Text, _>(field).sql(" = ").bind::<Text, _>(text);
    let recorded = order_events::table
        .filter(order_events::order_id.eq(order_id))
        .filter(order_events::kind.eq(kind))
        .filter(about_it);
    diesel::select(exists(recorded)).get_result(conn).await
}

/// How much of a payment's authorized money the shop asked for last, in minor units. `None` if it did not ask.
pub(crate) async fn requested_capture(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    payment_id: PaymentId,
) -> QueryResult<Option<i64>> {
    order_events::table
        .filter(order_events::order_id.eq(order_id))
        .filter(order_events::kind.eq(EventKind::CaptureRequested))
        .filter(sql::<Bool>("data ->> 'payment_id' = ").bind::<Text, _>(payment_id.to_string()))
        .order((order_events::created_at.desc(), order_events::id.desc()))
        .select(sql::<BigInt>("(data ->> 'amount_minor')::bigint"))
        .first(conn)
        .await
        .optional()
}

/// Writes a note of staff, and returns the event.
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
