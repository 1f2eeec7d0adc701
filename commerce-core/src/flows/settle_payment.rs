//! What a provider said of an attempt takes effect. Safe in any order and any number of times: money counts once.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::cancel_order::cancel_locked;
use super::refund_payment::request_refund;
use crate::db::{Retryable, current_time};
use crate::ids::PaymentId;
use crate::inventory::{self, Demand, Holder, ReservationStatus, ReserveError};
use crate::notifications::{NewEmail, Template, enqueue_email};
use crate::orders::{self, CancelReason, EventKind, LockedOrder, Order, OrderStatus, Received};
use crate::payments::{self, LockedPayment, Outcome, Payment, PaymentStatus, RefundReason};
use crate::request::Origin;
use crate::settings::{PaymentFailurePolicy, ShopSettings};

/// Why nothing was settled. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SettlePaymentError {
    #[error("there is no payment {0}")]
    NotFound(PaymentId),
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for SettlePaymentError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Applies an outcome to its payment and order. Locks the order, the payment, and, where stock must be found again or given
/// back, the stock.
pub async fn settle_payment(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    payment_id: PaymentId,
    outcome: Outcome,
    origin: &Origin,
) -> Result<Payment, SettlePaymentError> {
    conn.transaction(async |conn| {
        let order_id =
            payments::order_of(conn, payment_id).await?.ok_or(SettlePaymentError::NotFound(payment_id))?;
        let mut order =
            orders::lock(conn, order_id).await?.ok_or(SettlePaymentError::NotFound(payment_id))?;
        let mut payment = payments::lock(conn, payment_id).await?;
        match outcome {
            Outcome::Succeeded { reference } => {
                succeeded(conn, shop, &mut order, &mut payment, reference, origin).await?
            }
            Outcome::Failed { reference, code } => {
                failed(conn, shop, &mut order, &mut payment, reference, code, origin).await?
            }
            Outcome::Expired => expired(conn, &order, &mut payment, origin).await?,
            Outcome::RequiresAction { reference, action } => {
                let action = serde_json::to_value(action)
                    .map_err(|error| QueryError::SerializationError(error.into()))?;
                open(conn, &mut payment, PaymentStatus::RequiresAction, reference, Some(action)).await?
            }
            Outcome::Processing { reference } => {
                open(conn, &mut payment, PaymentStatus::Processing, reference, None).await?
            }
        }
        Ok(payment.0)
    })
    .await
}

/// The attempt goes on. What was settled before stays: an answer that was overtaken changes nothing.
async fn open(
    conn: &mut AsyncPgConnection,
    payment: &mut LockedPayment,
    status: PaymentStatus,
    reference: String,
    action: Option<serde_json::Value>,
) -> QueryResult<()> {
    if !payment.0.status.is_open() {
        return Ok(());
    }
    payment.0.status = status;
    payment.0.provider_reference = Some(reference);
    payment.0.action = action;
    payments::update(conn, payment).await
}

async fn failed(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    order: &mut LockedOrder,
    payment: &mut LockedPayment,
    reference: Option<String>,
    code: String,
    origin: &Origin,
) -> QueryResult<()> {
    if !payment.0.status.is_open() {
        return Ok(());
    }
    payment.0.status = PaymentStatus::Failed;
    payment.0.provider_reference = reference.or(payment.0.provider_reference.take());
    payment.0.action = None;
    payment.0.failure_code = Some(code.clone());
    payments::update(conn, payment).await?;
    let data = json!({ "payment_id": payment.0.id, "failure_code": code });
    orders::record(conn, order.id, EventKind::PaymentFailed, data, origin).await?;
    let gives_up = shop.payment_failure == PaymentFailurePolicy::Cancel
        && order.status == OrderStatus::PendingPayment
        && payments::list_open(conn, order.id).await?.is_empty();
    if gives_up {
        cancel_locked(conn, order, CancelReason::PaymentFailed, origin).await?;
    }
    Ok(())
}

async fn expired(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    payment: &mut LockedPayment,
    origin: &Origin,
) -> QueryResult<()> {
    if !payment.0.status.is_open() {
        return Ok(());
    }
    payment.0.status = PaymentStatus::Expired;
    payment.0.action = None;
    payments::update(conn, payment).await?;
    let data = json!({ "payment_id": payment.0.id });
    orders::record(conn, order.id, EventKind::PaymentExpired, data, origin).await
}

async fn succeeded(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    order: &mut LockedOrder,
    payment: &mut LockedPayment,
    reference: String,
    origin: &Origin,
) -> QueryResult<()> {
    if payment.0.succeeded_at.is_some() {
        return Ok(());
    }
    let now = current_time(conn).await?;
    payment.0.status = PaymentStatus::Succeeded;
    payment.0.provider_reference = Some(reference);
    payment.0.action = None;
    payment.0.failure_code = None;
    payment.0.succeeded_at = Some(now);
    payments::update(conn, payment).await?;
    let data = json!({ "payment_id": payment.0.id, "amount_minor": payment.0.amount_minor });
    orders::record(conn, order.id, EventKind::PaymentSucceeded, data, origin).await?;

    match order.receive(payment.0.amount_minor, now) {
        Received::TooLate => late(conn, shop, order, payment, origin).await,
        Received::BecamePaid => {
            orders::update(conn, order).await?;
            inventory::commit_for_order(conn, order.id).await?;
            tell_paid(conn, order, origin).await?;
            give_back_excess(conn, order, payment, origin).await
        }
        Received::Counted => {
            orders::update(conn, order).await?;
            give_back_excess(conn, order, payment, origin).await
        }
    }
}

async fn tell_paid(conn: &mut AsyncPgConnection, order: &Order, origin: &Origin) -> QueryResult<()> {
    orders::record(conn, order.id, EventKind::Paid, json!({ "paid_minor": order.paid_minor }), origin)
        .await?;
    enqueue_email(conn, NewEmail::about_order(Template::OrderConfirmed, order.id, &order.email)).await
}

/// Money beyond the total goes back: of this payment, for it was the one too many.
async fn give_back_excess(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    payment: &LockedPayment,
    origin: &Origin,
) -> QueryResult<()> {
    let excess_minor = (kept_minor(conn, order).await? - order.total_minor).min(payment.0.amount_minor);
    if excess_minor > 0 && order.paid_at.is_some() {
        request_refund(conn, &payment.0, excess_minor, RefundReason::Excess, origin).await?;
    }
    Ok(())
}

/// What came in and is not promised back.
async fn kept_minor(conn: &mut AsyncPgConnection, order: &Order) -> QueryResult<i64> {
    let promised = payments::promised_by_payment(conn, order.id).await?;
    Ok(order.paid_minor - promised.iter().map(|(_, amount_minor)| amount_minor).sum::<i64>())
}

/// Money for an order that was cancelled: the order comes back if it was not meant to end, is covered, and all its stock can be
/// had again. Otherwise the money goes back, and the shop is told.
async fn late(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    order: &mut LockedOrder,
    payment: &LockedPayment,
    origin: &Origin,
) -> QueryResult<()> {
    let may_return = order.cancel_reason.is_some_and(CancelReason::allows_reinstatement);
    if may_return && kept_minor(conn, order).await? >= order.total_minor {
        if reserve_again(conn, order, origin).await? {
            order.reinstate();
            orders::update(conn, order).await?;
            let data = json!({ "payment_id": payment.0.id });
            orders::record(conn, order.id, EventKind::Reinstated, data, origin).await?;
            tell_paid(conn, order, origin).await?;
            return give_back_excess(conn, order, payment, origin).await;
        }
        let data = json!({ "payment_id": payment.0.id, "reason": "out_of_stock" });
        orders::record(conn, order.id, EventKind::ReinstatementRefused, data, origin).await?;
    }
    orders::update(conn, order).await?;
    request_refund(conn, &payment.0, payment.0.amount_minor, RefundReason::LatePayment, origin).await?;
    if let Some(alert_email) = &shop.alert_email {
        let mut alert = NewEmail::about_order(Template::LatePaymentAlert, order.id, alert_email);
        alert.dedupe_key = format!("{}:{}", alert.template, payment.0.id);
        enqueue_email(conn, alert).await?;
    }
    Ok(())
}

/// Takes the order's stock anew; `false` if some of it is gone.
async fn reserve_again(conn: &mut AsyncPgConnection, order: &Order, origin: &Origin) -> QueryResult<bool> {
    let lines = orders::lines(conn, &[order.id]).await?;
    let wanted: Vec<Demand> =
        lines.iter().map(|line| Demand { variant_id: line.variant_id, quantity: line.quantity }).collect();
    let mut stock = inventory::lock(conn, wanted.iter().map(|demand| demand.variant_id)).await?;
    let holder = Holder::Order { id: order.id, status: ReservationStatus::Committed };
    match inventory::reserve(conn, &mut stock, &wanted, holder, origin).await {
        Ok(()) => Ok(true),
        Err(ReserveError::OutOfStock(_)) => Ok(false),
        Err(ReserveError::Database(error)) => Err(error),
    }
}
