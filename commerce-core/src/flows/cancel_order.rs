//! Cancels an order before it was shipped. Its stock is released, and its money is refunded.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::refund_payment::request_refund;
use super::ship_parcel::facts;
use super::watch_payment::end_at_provider;
use crate::db::{Retryable, current_time};
use crate::ids::OrderId;
use crate::inventory;
use crate::notifications::{NewEmail, Template, enqueue_email};
use crate::orders::{self, CancelReason, CancelledBy, EventKind, LockedOrder, Order, OrderStatus};
use crate::payments::{self, AttemptStatus, RefundReason};
use crate::request::Origin;
use crate::shipments::{self, ShipmentStatus};

/// Why the order was not cancelled. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CancelOrderError {
    /// This owner has no such order.
    #[error("there is no such order")]
    NotFound,
    /// The order is too far along or already cancelled. The value is its status.
    #[error("an order that is {0} can no longer be cancelled")]
    TooLate(OrderStatus),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for CancelOrderError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Cancels an order for good. A late payment does not restore it.
pub async fn cancel_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    by: CancelledBy,
    origin: &Origin,
) -> Result<Order, CancelOrderError> {
    conn.transaction(async |conn| {
        if let CancelledBy::Customer(access) = by {
            orders::find_accessible(conn, order_id, access).await?.ok_or(CancelOrderError::NotFound)?;
        }
        let mut order = orders::lock(conn, order_id).await?.ok_or(CancelOrderError::NotFound)?;
        let reason = by.reason(&order).ok_or(CancelOrderError::TooLate(order.status))?;
        cancel_locked(conn, &mut order, reason, true, origin).await?;
        Ok(order.into_order())
    })
    .await
}

/// Cancels an order that is locked and whose status allows it: closes its open attempts, requests the refunds, cancels
/// its parcels that are being packed, mails the shopper, and releases its stock, or writes it off unless it is to be
/// restocked.
pub(super) async fn cancel_locked(
    conn: &mut AsyncPgConnection,
    order: &mut LockedOrder,
    reason: CancelReason,
    restock: bool,
    origin: &Origin,
) -> QueryResult<()> {
    let id = order.id;
    let now = current_time(conn).await?;
    order.cancel(reason, now);
    orders::update(conn, order).await?;
    orders::record(conn, id, EventKind::Cancelled, json!({ "reason": reason }), origin).await?;

    let closed_as = match reason {
        CancelReason::Expired => AttemptStatus::Expired,
        _ => AttemptStatus::Cancelled,
    };
    for payment in payments::list_open(conn, id).await? {
        end_at_provider(conn, payment.id).await?;
    }
    payments::close_open(conn, id, closed_as).await?;
    let promised = payments::promised_by_payment(conn, id).await?;
    for payment in
        payments::list_for_order(conn, id).await?.iter().filter(|payment| payment.succeeded_at.is_some())
    {
        let given_back: i64 =
            promised.iter().filter(|(of, _)| *of == payment.id).map(|(_, amount_minor)| amount_minor).sum();
        let remaining_minor = payment.captured_minor - given_back;
        if remaining_minor > 0 {
            request_refund(conn, payment, remaining_minor, RefundReason::OrderCancelled, origin).await?;
        }
    }
    for packed in shipments::list_for_order(conn, id).await? {
        if packed.status == ShipmentStatus::Pending {
            let mut shipment = shipments::lock(conn, packed.id).await?;
            shipment.cancel(conn).await?;
            orders::record(conn, id, EventKind::ShipmentMoved, facts(&shipment), origin).await?;
        }
    }
    let mail = NewEmail::about_order(Template::OrderCancelled, id, &order.email);
    enqueue_email(conn, mail.once_a_version(order.version)).await?;

    // Stock comes last in the lock order.
    orders::record(conn, id, EventKind::StockReleased, json!({ "reason": reason }), origin).await?;
    if restock {
        inventory::release_for_order(conn, id, reason.as_str(), origin).await
    } else {
        inventory::write_off_for_order(conn, id, reason.as_str(), origin).await
    }
}
