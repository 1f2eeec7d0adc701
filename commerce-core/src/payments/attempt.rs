//! The rows of payment attempts.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::ProviderName;
use crate::db::clock;
use crate::ids::{OrderId, PaymentId};
use crate::money::Currency;
use crate::schema::payments;
use crate::text_enum::text_enum;

text_enum! {
    /// Where an attempt stands.
    pub enum PaymentStatus {
        /// Written down; the provider may not know of it yet.
        Pending = "pending",
        /// The shopper must do something.
        RequiresAction = "requires_action",
        /// The provider will tell later.
        Processing = "processing",
        Succeeded = "succeeded",
        Failed = "failed",
        Expired = "expired",
        Cancelled = "cancelled",
        PartiallyRefunded = "partially_refunded",
        Refunded = "refunded",
    }
}

impl PaymentStatus {
    /// Statuses in which the provider may still take money.
    pub const OPEN: [PaymentStatus; 3] = [Self::Pending, Self::RequiresAction, Self::Processing];

    /// Whether the provider may still take money for it.
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

/// One attempt to pay an order, or a part of it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = payments)]
pub struct Payment {
    pub id: PaymentId,
    pub order_id: OrderId,
    pub provider: ProviderName,
    /// The provider's own id of it.
    pub provider_reference: Option<String>,
    /// The shopper's part of the request, as the provider understands it.
    pub request: serde_json::Value,
    /// What the attempt is over.
    pub amount_minor: i64,
    /// What of it was given back.
    pub refunded_minor: i64,
    pub currency: Currency,
    pub status: PaymentStatus,
    /// The provider's word for why it failed.
    pub failure_code: Option<String>,
    /// What the shopper must do, as JSON of [`super::RequiredAction`].
    pub action: Option<serde_json::Value>,
    /// When the money counted towards the order; set once.
    pub succeeded_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A payment whose row this transaction has locked. Its order's row was locked before.
#[derive(Debug)]
pub struct LockedPayment(pub Payment);

/// An attempt about to be written.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = payments)]
pub struct NewPayment {
    pub id: PaymentId,
    pub order_id: OrderId,
    pub provider: ProviderName,
    pub request: serde_json::Value,
    pub amount_minor: i64,
    pub currency: Currency,
    /// Identifies the request that began it; the same request finds it again.
    pub request_key: Option<Vec<u8>>,
}

/// Writes an attempt that was not yet brought to its provider.
pub async fn insert(conn: &mut AsyncPgConnection, payment: NewPayment) -> QueryResult<Payment> {
    diesel::insert_into(payments::table)
        .values(payment)
        .returning(Payment::as_returning())
        .get_result(conn)
        .await
}

/// A payment by id.
pub async fn find(conn: &mut AsyncPgConnection, id: PaymentId) -> QueryResult<Option<Payment>> {
    payments::table.find(id).select(Payment::as_select()).first(conn).await.optional()
}

/// The attempt that this request began.
pub async fn find_by_request(
    conn: &mut AsyncPgConnection,
    request_key: &[u8; 32],
) -> QueryResult<Option<Payment>> {
    let row = payments::table.filter(payments::request_key.eq(request_key.as_slice()));
    row.select(Payment::as_select()).first(conn).await.optional()
}

/// The order that a payment is for; it never changes. Read it to lock the order before the payment.
pub async fn order_of(conn: &mut AsyncPgConnection, id: PaymentId) -> QueryResult<Option<OrderId>> {
    payments::table.find(id).select(payments::order_id).first(conn).await.optional()
}

/// Locks a payment's row until the transaction ends. The order's row must be locked already.
pub async fn lock(conn: &mut AsyncPgConnection, id: PaymentId) -> QueryResult<LockedPayment> {
    let payment = payments::table.find(id).select(Payment::as_select()).for_update().first(conn).await?;
    Ok(LockedPayment(payment))
}

/// The attempts of an order, oldest first.
pub async fn list_for_order(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Vec<Payment>> {
    payments::table
        .filter(payments::order_id.eq(order_id))
        .order((payments::created_at, payments::id))
        .select(Payment::as_select())
        .load(conn)
        .await
}

/// The attempts of an order with which a provider may still take money.
pub async fn list_open(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Vec<Payment>> {
    payments::table
        .filter(payments::order_id.eq(order_id))
        .filter(payments::status.eq_any(PaymentStatus::OPEN))
        .order((payments::created_at, payments::id))
        .select(Payment::as_select())
        .load(conn)
        .await
}

/// The shop no longer waits for the order's open attempts. Should one succeed all the same, it is settled as a late payment.
pub async fn close_open(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    status: PaymentStatus,
) -> QueryResult<usize> {
    let open = payments::table
        .filter(payments::order_id.eq(order_id))
        .filter(payments::status.eq_any(PaymentStatus::OPEN));
    diesel::update(open)
        .set((payments::status.eq(status), payments::updated_at.eq(clock())))
        .execute(conn)
        .await
}

/// Writes what changed in a locked payment.
pub async fn update(conn: &mut AsyncPgConnection, payment: &mut LockedPayment) -> QueryResult<()> {
    let changed = &mut payment.0;
    *changed = diesel::update(payments::table.find(changed.id))
        .set((
            payments::status.eq(changed.status),
            payments::provider_reference.eq(&changed.provider_reference),
            payments::refunded_minor.eq(changed.refunded_minor),
            payments::failure_code.eq(&changed.failure_code),
            payments::action.eq(&changed.action),
            payments::succeeded_at.eq(changed.succeeded_at),
            payments::updated_at.eq(clock()),
        ))
        .returning(Payment::as_returning())
        .get_result(conn)
        .await?;
    Ok(())
}
