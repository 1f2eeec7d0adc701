//! Applies what a provider said about a refund. It is safe in any order and any number of times: the money is
//! counted once.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use crate::db::{Retryable, current_time};
use crate::ids::RefundId;
use crate::notifications::{NewEmail, Template, enqueue_alert, enqueue_email};
use crate::orders::{self, EventKind, LockedOrder};
use crate::payments::{self, LockedPayment, LockedRefund, Refund, RefundOutcome, RefundStatus};
use crate::request::Origin;
use crate::settings::ShopSettings;

/// Why nothing was written. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CompleteRefundError {
    /// There is no refund with this id.
    #[error("there is no refund {0}")]
    NotFound(RefundId),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for CompleteRefundError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Records the state of a refund. Doing so a second time changes nothing. It locks the order, the payment and
/// the refund.
pub async fn complete_refund(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    refund_id: RefundId,
    outcome: &RefundOutcome,
    origin: &Origin,
) -> Result<Refund, CompleteRefundError> {
    conn.transaction(async |conn| {
        let locked = lock_refund_of_order(conn, refund_id).await?;
        let mut locked = locked.ok_or(CompleteRefundError::NotFound(refund_id))?;
        match outcome {
            RefundOutcome::Succeeded { reference } => {
                succeeded(conn, shop, &mut locked, reference, origin).await?
            }
            RefundOutcome::Pending { reference } => {
                pending(conn, &mut locked.refund, reference, origin).await?
            }
            RefundOutcome::Failed { reference, code } => {
                failed(conn, shop, &mut locked.refund, reference.as_deref(), code, origin).await?
            }
        }
        Ok(locked.refund.into_refund())
    })
    .await
}

/// A refund, with the payment and order that it changes.
pub(super) struct LockedRefundOfOrder {
    pub order: LockedOrder,
    pub payment: LockedPayment,
    pub refund: LockedRefund,
}

/// Locks the order, the payment and the refund, in this order.
pub(super) async fn lock_refund_of_order(
    conn: &mut AsyncPgConnection,
    refund_id: RefundId,
) -> QueryResult<Option<LockedRefundOfOrder>> {
    let Some(refund) = payments::find_refund(conn, refund_id).await? else { return Ok(None) };
    let Some(order) = orders::lock(conn, refund.order_id).await? else { return Ok(None) };
    let payment = payments::lock(conn, refund.payment_id).await?;
    let refund = payments::lock_refund(conn, refund_id).await?;
    Ok(Some(LockedRefundOfOrder { order, payment, refund }))
}

async fn succeeded(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    locked: &mut LockedRefundOfOrder,
    reference: &str,
    origin: &Origin,
) -> QueryResult<()> {
    let LockedRefundOfOrder { payment, refund, .. } = &mut *locked;
    let paid_otherwise = match refund.status {
        RefundStatus::Pending | RefundStatus::Processing => false,
        RefundStatus::Succeeded if refund.by_hand_note.is_none() => return Ok(()),
        RefundStatus::Succeeded => true,
        RefundStatus::Failed => !payments::has_room(conn, payment, refund).await?,
    };
    if paid_otherwise {
        return paid_twice(conn, shop, refund, reference, origin).await;
    }
    refund.succeed(conn, reference).await?;
    let data = json!({ "refund_id": refund.id, "amount_minor": refund.amount_minor });
    count_refund(conn, locked, EventKind::RefundSucceeded, data, origin).await
}

/// The refund has succeeded: payment and order count it, and the shopper gets a mail.
pub(super) async fn count_refund(
    conn: &mut AsyncPgConnection,
    locked: &mut LockedRefundOfOrder,
    kind: EventKind,
    data: serde_json::Value,
    origin: &Origin,
) -> QueryResult<()> {
    let LockedRefundOfOrder { order, payment, refund } = locked;
    payment.give_back(conn, refund.amount_minor).await?;
    order.give_back(refund.amount_minor);
    orders::update(conn, order).await?;
    orders::record(conn, order.id, kind, data, origin).await?;
    enqueue_email(conn, NewEmail::about_refund(refund.id, &order.email)).await
}

/// The provider refunded money that the shop had meanwhile refunded in another way. Only a person can resolve
/// that.
async fn paid_twice(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    refund: &mut LockedRefund,
    reference: &str,
    origin: &Origin,
) -> QueryResult<()> {
    if refund.is_noted_paid_twice() {
        return Ok(());
    }
    refund.note_paid_twice(conn, reference).await?;
    let data = json!({ "refund_id": refund.id, "amount_minor": refund.amount_minor, "reference": reference });
    orders::record(conn, refund.order_id, EventKind::RefundMismatch, data, origin).await?;
    let Some(alert_email) = &shop.alert_email else { return Ok(()) };
    enqueue_alert(conn, Template::RefundMismatchAlert, alert_email, json!({ "refund_id": refund.id })).await
}

/// The provider has accepted the refund but not finished it.
async fn pending(
    conn: &mut AsyncPgConnection,
    refund: &mut LockedRefund,
    reference: &str,
    origin: &Origin,
) -> QueryResult<()> {
    if !refund.status.is_under_way() || refund.provider_reference.as_deref() == Some(reference) {
        return Ok(());
    }
    let now = current_time(conn).await?;
    refund.wait(conn, reference, now).await?;
    let data = json!({ "refund_id": refund.id, "amount_minor": refund.amount_minor });
    orders::record(conn, refund.order_id, EventKind::RefundProcessing, data, origin).await
}

async fn failed(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    refund: &mut LockedRefund,
    reference: Option<&str>,
    code: &str,
    origin: &Origin,
) -> QueryResult<()> {
    // A report about an abandoned attempt says nothing about the next attempt.
    let of_another =
        reference.zip(refund.provider_reference.as_deref()).is_some_and(|(told, own)| told != own);
    if refund.status != RefundStatus::Processing || of_another {
        return Ok(());
    }
    refund.fail(conn, code).await?;
    let data = json!({ "refund_id": refund.id, "amount_minor": refund.amount_minor, "failure_code": code });
    orders::record(conn, refund.order_id, EventKind::RefundFailed, data, origin).await?;
    let Some(alert_email) = &shop.alert_email else { return Ok(()) };
    enqueue_alert(conn, Template::RefundFailedAlert, alert_email, json!({ "refund_id": refund.id })).await
}
