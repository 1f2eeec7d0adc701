//! Applies what a provider said about an attempt. It is safe in any order and any number of times: the money
//! is counted once.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::authorization::{authorization_ended, authorized};
use super::cancel_order::{CancelChoices, cancel_locked};
use super::excess_payment::give_back_excess;
use super::late_payment::settle_late;
use super::watch_payment::{check_later, end_at_provider};
use crate::db::{Retryable, current_time};
use crate::ids::PaymentId;
use crate::inventory;
use crate::money::Money;
use crate::notifications::{
    NewEmail, Template, enqueue_alert, enqueue_email, enqueue_email_after, recipient_of,
};
use crate::orders::{self, CancelReason, EventKind, LockedOrder, Order, OrderStatus, Received};
use crate::payments::{
    self, AttemptStatus, Authorization, Capture, CaptureMethod, LockedPayment, Outcome, Payment,
    RequiredAction,
};
use crate::request::Origin;
use crate::settings::{PaymentFailurePolicy, ShopSettings};

/// Why nothing was settled. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SettlePaymentError {
    /// There is no payment with this id.
    #[error("there is no payment {0}")]
    NotFound(PaymentId),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for SettlePaymentError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Applies an outcome to its payment and order. It locks the order and the payment, and also the stock if
/// stock must be reserved again or released.
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
        let was_authorized = payment.status == AttemptStatus::Authorized;
        match outcome {
            Outcome::Authorized(authorization) => {
                if counts(&order, &payment, authorization.authorized) {
                    authorized(conn, &mut order, &mut payment, &authorization, origin).await?;
                } else {
                    let Authorization { reference, authorized, .. } = authorization;
                    uncounted(conn, shop, &mut payment, &Capture::new(reference, authorized), origin).await?;
                    end_at_provider(conn, payment_id).await?;
                }
            }
            Outcome::Succeeded(capture) => {
                succeeded(conn, shop, &mut order, &mut payment, &capture, origin).await?
            }
            Outcome::Failed { reference, code } => {
                failed(conn, shop, &mut order, &mut payment, reference, code, origin).await?
            }
            Outcome::Expired => expired(conn, &order, &mut payment, origin).await?,
            Outcome::RequiresAction { reference, action } => {
                goes_on(conn, &mut payment, reference, Some(action)).await?
            }
            Outcome::Processing { reference } => goes_on(conn, &mut payment, reference, None).await?,
        }
        if was_authorized && payment.status != AttemptStatus::Authorized {
            authorization_ended(conn, shop, &mut order).await?;
        }
        Ok(payment.into_payment())
    })
    .await
}

/// The attempt continues. What was settled before stays: an outdated answer changes nothing.
async fn goes_on(
    conn: &mut AsyncPgConnection,
    payment: &mut LockedPayment,
    reference: String,
    action: Option<RequiredAction>,
) -> QueryResult<()> {
    if !payment.status.is_open() || payment.status == AttemptStatus::Authorized {
        return Ok(());
    }
    payment.go_on(conn, reference, action).await?;
    check_later(conn, payment).await
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
    if !payment.status.is_open() {
        return Ok(());
    }
    payment.fail(conn, reference, &code).await?;
    let data = json!({ "payment_id": payment.id, "failure_code": code });
    orders::record(conn, order.id, EventKind::PaymentFailed, data, origin).await?;
    if let Some(alert_email) = &shop.alert_email {
        let amount = Money::new(payment.amount_minor, payment.currency).to_string();
        let data =
            json!({ "order_id": order.id, "provider": payment.provider, "amount": amount, "code": code });
        enqueue_alert(conn, Template::PaymentFailedAlert, alert_email, data).await?;
    }
    let gives_up = shop.payment_failure == PaymentFailurePolicy::Cancel
        && order.status == OrderStatus::PendingPayment
        && payments::list_open(conn, order.id).await?.is_empty();
    if gives_up {
        cancel_locked(conn, order, CancelReason::PaymentFailed, CancelChoices::default(), origin).await?;
    } else if order.status == OrderStatus::PendingPayment {
        tell_failed(conn, shop, order).await?;
    }
    Ok(())
}

/// Mails the shopper, once for the order and after some time, because most of them see it and try again at once.
async fn tell_failed(conn: &mut AsyncPgConnection, shop: &ShopSettings, order: &Order) -> QueryResult<()> {
    let mail = NewEmail::about_order(Template::PaymentFailed, order.id, &order.email);
    let mail = mail.limited_for(&recipient_of(conn, order).await?);
    enqueue_email_after(conn, shop.order_mail_delay, mail).await
}

async fn expired(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    payment: &mut LockedPayment,
    origin: &Origin,
) -> QueryResult<()> {
    if !payment.status.is_open() {
        return Ok(());
    }
    payment.expire(conn).await?;
    let data = json!({ "payment_id": payment.id });
    orders::record(conn, order.id, EventKind::PaymentExpired, data, origin).await
}

async fn succeeded(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    order: &mut LockedOrder,
    payment: &mut LockedPayment,
    capture: &Capture,
    origin: &Origin,
) -> QueryResult<()> {
    if payment.succeeded_at.is_some() {
        return Ok(());
    }
    if !counts(order, payment, capture.captured) {
        return uncounted(conn, shop, payment, capture, origin).await;
    }
    let now = current_time(conn).await?;
    payment.succeed(conn, capture, now).await?;
    let data = json!({ "payment_id": payment.id, "amount_minor": payment.captured_minor });
    orders::record(conn, order.id, EventKind::PaymentSucceeded, data, origin).await?;
    let asked_minor = asked_minor(conn, payment).await?;
    if payment.captured_minor != asked_minor {
        tell_mismatch(conn, shop, payment, (asked_minor, capture.captured), true, origin).await?;
    }

    match order.receive(payment.captured_minor, now) {
        Received::TooLate => {
            if settle_late(conn, shop, order, payment, origin).await? {
                tell_paid(conn, order, origin).await?;
                give_back_excess(conn, order, payment, origin).await?;
            }
            Ok(())
        }
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

/// The amount that the provider was asked to take. Of authorized money, the shop may have asked for a part.
async fn asked_minor(conn: &mut AsyncPgConnection, payment: &Payment) -> QueryResult<i64> {
    let requested = match payment.capture_method {
        CaptureMethod::Automatic => None,
        CaptureMethod::Manual => orders::requested_capture(conn, payment.order_id, payment.id).await?,
    };
    Ok(requested.unwrap_or(payment.amount_minor))
}

/// Whether the amount is positive, in the order's currency, and can be added.
fn counts(order: &Order, payment: &Payment, captured: Money) -> bool {
    captured.currency == payment.currency
        && captured.amount_minor > 0
        && order.paid_minor.checked_add(captured.amount_minor).is_some()
}

/// The failure code of an attempt that took money which cannot be counted.
const NOT_COUNTED: &str = "captured_amount_not_counted";

/// The money cannot be counted, for example because of its currency. The attempt ends, and a person must deal
/// with the money.
async fn uncounted(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    payment: &mut LockedPayment,
    capture: &Capture,
    origin: &Origin,
) -> QueryResult<()> {
    if payment.failure_code.as_deref() == Some(NOT_COUNTED) {
        return Ok(());
    }
    payment.fail(conn, Some(capture.reference.clone()), NOT_COUNTED).await?;
    tell_mismatch(conn, shop, payment, (payment.amount_minor, capture.captured), false, origin).await
}

/// The captured amount differs from the requested amount. The timeline says so, and the shop gets an alert.
async fn tell_mismatch(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    payment: &Payment,
    (asked_minor, captured): (i64, Money),
    counted: bool,
    origin: &Origin,
) -> QueryResult<()> {
    let asked = Money::new(asked_minor, payment.currency);
    let data = json!({ "payment_id": payment.id, "asked": asked, "captured": captured, "counted": counted });
    orders::record(conn, payment.order_id, EventKind::PaymentMismatch, data, origin).await?;
    let Some(alert_email) = &shop.alert_email else { return Ok(()) };
    let data = json!({
        "order_id": payment.order_id, "asked": asked.to_string(), "captured": captured.to_string(), "counted": counted,
    });
    enqueue_alert(conn, Template::PaymentMismatchAlert, alert_email, data).await
}

/// Records that the order is paid, and mails the shopper.
pub(super) async fn tell_paid(
    conn: &mut AsyncPgConnection,
    order: &Order,
    origin: &Origin,
) -> QueryResult<()> {
    orders::record(conn, order.id, EventKind::Paid, json!({ "paid_minor": order.paid_minor }), origin)
        .await?;
    enqueue_email(conn, NewEmail::about_order(Template::OrderConfirmed, order.id, &order.email)).await
}
