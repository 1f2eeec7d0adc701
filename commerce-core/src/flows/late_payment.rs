//! Money for an order that was cancelled before the payment came.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use serde_json::json;

use super::excess_payment::unpromised_minor;
use super::refund_payment::request_refund;
use crate::inventory::{self, Demand, ReservationStatus, ReserveError, ReservedFor, availability};
use crate::notifications::{Template, enqueue_alert};
use crate::orders::{self, CancelReason, EventKind, LockedOrder};
use crate::payments::{LockedPayment, RefundReason};
use crate::request::Origin;
use crate::settings::ShopSettings;

/// Whether a late payment may restore an order. It may not if somebody cancelled the order on purpose.
fn allows_reinstatement(reason: CancelReason) -> bool {
    matches!(reason, CancelReason::Expired | CancelReason::PaymentFailed)
}

/// Restores the order if that is allowed, the total is covered, and all its stock is available again. Returns
/// `true` if it did. Otherwise the money is refunded, and the shop gets an alert.
pub(super) async fn settle_late(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    order: &mut LockedOrder,
    payment: &LockedPayment,
    origin: &Origin,
) -> QueryResult<bool> {
    let may_return = order.cancel_reason.is_some_and(allows_reinstatement);
    if may_return && unpromised_minor(conn, order).await? >= order.payable_minor() {
        if reserve_again(conn, order, origin).await? {
            order.reinstate();
            orders::update(conn, order).await?;
            let data = json!({ "payment_id": payment.id });
            orders::record(conn, order.id, EventKind::Reinstated, data, origin).await?;
            return Ok(true);
        }
        let data = json!({ "payment_id": payment.id, "reason": "out_of_stock" });
        orders::record(conn, order.id, EventKind::ReinstatementRefused, data, origin).await?;
    }
    orders::update(conn, order).await?;
    request_refund(conn, payment, payment.captured_minor, RefundReason::LatePayment, origin).await?;
    // Stock may be locked by now. Whoever has the row of this kind of alert ends without waiting for anything.
    if let Some(alert_email) = &shop.alert_email {
        let data = json!({ "order_id": order.id, "by_hand": payment.is_manual() });
        enqueue_alert(conn, Template::LatePaymentAlert, alert_email, data).await?;
    }
    Ok(false)
}

/// Reserves the order's stock again, of the variants that are counted now. `false` if some of it is gone.
async fn reserve_again(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    origin: &Origin,
) -> QueryResult<bool> {
    let lines = orders::lines(conn, &[order.id]).await?;
    let counted = availability::counted(conn, lines.iter().map(|line| line.variant_id)).await?;
    orders::recount(conn, order, &counted).await?;
    let wanted: Vec<Demand> = lines
        .iter()
        .filter(|line| counted.contains(&line.variant_id) && line.wanted() > 0)
        .map(|line| Demand { variant_id: line.variant_id, quantity: line.wanted() })
        .collect();
    let mut stock = inventory::lock(conn, wanted.iter().map(|demand| demand.variant_id)).await?;
    let reserved_for = ReservedFor::Order { id: order.id, status: ReservationStatus::Committed };
    match inventory::reserve(conn, &mut stock, &wanted, reserved_for, origin).await {
        Ok(()) => Ok(true),
        Err(ReserveError::OutOfStock(_)) => Ok(false),
        Err(ReserveError::Database(error)) => Err(error),
    }
}
