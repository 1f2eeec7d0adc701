//! Where the money of a refund is taken from: the payments of an order, the oldest first.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use crate::ids::{OrderId, PaymentId};
use crate::orders::LockedOrder;
use crate::payments::{self, LockedPayment, NewRefund, Payment, Refund, RefundReason};

/// A payment, and what of it can still be refunded.
pub(super) struct Source {
    payment: LockedPayment,
    pub left_minor: i64,
}

/// The payments of an order that brought money in, and what of each is not promised back. Needs the order's lock.
pub(super) async fn unpromised(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> QueryResult<Vec<(Payment, i64)>> {
    let promised = payments::promised_by_payment(conn, order_id).await?;
    let left_minor = |payment: &Payment| {
        let of_payment = promised.iter().filter(|(id, _)| *id == payment.id);
        (payment.captured_minor - of_payment.map(|(_, amount_minor)| amount_minor).sum::<i64>()).max(0)
    };
    let payments = payments::list_for_order(conn, order_id).await?.into_iter();
    let with_money = payments.filter(|payment| payment.succeeded_at.is_some());
    let with_left = with_money.map(|payment| {
        let left_minor = left_minor(&payment);
        (payment, left_minor)
    });
    Ok(with_left.collect())
}

/// Locks the payments of an order that brought money in, or one of them.
pub(super) async fn lock_sources(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    only: Option<PaymentId>,
) -> QueryResult<Vec<Source>> {
    let mut sources = Vec::new();
    for (payment, left_minor) in unpromised(conn, order.id).await? {
        if only.is_none_or(|id| payment.id == id) {
            sources.push(Source { payment: payments::lock(conn, payment.id).await?, left_minor });
        }
    }
    Ok(sources)
}

/// What all of them have left.
pub(super) fn left_minor(sources: &[Source]) -> i64 {
    sources.iter().map(|source| source.left_minor).sum()
}

/// Writes a refund for each payment that gives a part of the amount.
pub(super) async fn spread(
    conn: &mut AsyncPgConnection,
    sources: &[Source],
    amount_minor: i64,
    reason: RefundReason,
    note: Option<&str>,
) -> QueryResult<Vec<Refund>> {
    let mut missing_minor = amount_minor;
    let mut refunds: Vec<Refund> = Vec::new();
    for Source { payment, left_minor } in sources {
        let part_minor = missing_minor.min(*left_minor);
        if part_minor <= 0 {
            continue;
        }
        missing_minor -= part_minor;
        let refund = NewRefund {
            note: note.map(str::to_owned),
            part_of: refunds.first().map(|first| first.id),
            ..NewRefund::new(payment, part_minor, reason)
        };
        // Its key is its own id, so no other refund has it.
        refunds.extend(payments::insert_refund(conn, refund).await?);
    }
    Ok(refunds)
}
