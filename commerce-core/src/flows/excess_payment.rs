//! Refunds money beyond an order's total.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::refund_payment::request_refund;
use crate::orders::{LockedOrder, Order};
use crate::payments::{self, LockedPayment, RefundReason};
use crate::request::Origin;

/// Refunds what the order has beyond its total, from this payment, because it was the one too many.
pub(super) async fn give_back_excess(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    payment: &LockedPayment,
    origin: &Origin,
) -> QueryResult<()> {
    let excess_minor =
        (unpromised_minor(conn, order).await? - order.payable_minor()).min(payment.captured_minor);
    if excess_minor > 0 && order.paid_at.is_some() {
        request_refund(conn, payment, excess_minor, RefundReason::Excess, origin).await?;
    }
    Ok(())
}

/// What came in and is not being refunded.
pub(super) async fn unpromised_minor(conn: &mut AsyncPgConnection, order: &Order) -> QueryResult<i64> {
    let promised = payments::promised_by_payment(conn, order.id).await?;
    Ok(order.paid_minor - promised.iter().map(|(_, amount_minor)| amount_minor).sum::<i64>())
}
