//! The rows of refunds. One a payment and reason: that is what makes an automatic refund happen exactly once.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Payment;
use crate::db::clock;
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::schema::refunds;
use crate::text_enum::text_enum;

text_enum! {
    /// Why money goes back.
    pub enum RefundReason {
        OrderCancelled = "order_cancelled",
        /// More came in than the order's total.
        Excess = "excess",
        /// It came after the order was cancelled, and the order could not be brought back.
        LatePayment = "late_payment",
    }
}

text_enum! {
    /// Where a refund stands.
    pub enum RefundStatus {
        /// A job asks the provider.
        Pending = "pending",
        Succeeded = "succeeded",
        /// The provider refused: a person must see to it.
        Failed = "failed",
    }
}

/// Money that goes back.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = refunds)]
pub struct Refund {
    pub id: RefundId,
    pub payment_id: PaymentId,
    pub order_id: OrderId,
    pub amount_minor: i64,
    pub reason: RefundReason,
    pub status: RefundStatus,
    pub provider_reference: Option<String>,
    pub failure_code: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// Promises to give money back; `None` if that was promised for this reason before. Needs the payment's order locked.
pub async fn insert_refund(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    amount_minor: i64,
    reason: RefundReason,
) -> QueryResult<Option<Refund>> {
    diesel::insert_into(refunds::table)
        .values((
            refunds::id.eq(RefundId::new()),
            refunds::payment_id.eq(payment.id),
            refunds::order_id.eq(payment.order_id),
            refunds::amount_minor.eq(amount_minor),
            refunds::reason.eq(reason),
        ))
        .on_conflict((refunds::payment_id, refunds::reason))
        .do_nothing()
        .returning(Refund::as_returning())
        .get_result(conn)
        .await
        .optional()
}

/// A refund by id.
pub async fn find_refund(conn: &mut AsyncPgConnection, id: RefundId) -> QueryResult<Option<Refund>> {
    refunds::table.find(id).select(Refund::as_select()).first(conn).await.optional()
}

/// Locks a refund's row; order and payment must be locked already.
pub async fn lock_refund(conn: &mut AsyncPgConnection, id: RefundId) -> QueryResult<Refund> {
    refunds::table.find(id).select(Refund::as_select()).for_update().first(conn).await
}

/// What has gone back or is promised to, of each payment of an order: an entry a refund. Refunds that failed do not count.
pub async fn promised_by_payment(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> QueryResult<Vec<(PaymentId, i64)>> {
    refunds::table
        .filter(refunds::order_id.eq(order_id))
        .filter(refunds::status.ne(RefundStatus::Failed))
        .select((refunds::payment_id, refunds::amount_minor))
        .load(conn)
        .await
}

/// Writes how a refund ended.
pub async fn update_refund(conn: &mut AsyncPgConnection, refund: &Refund) -> QueryResult<()> {
    diesel::update(refunds::table.find(refund.id))
        .set((
            refunds::status.eq(refund.status),
            refunds::provider_reference.eq(&refund.provider_reference),
            refunds::failure_code.eq(&refund.failure_code),
            refunds::updated_at.eq(clock()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
