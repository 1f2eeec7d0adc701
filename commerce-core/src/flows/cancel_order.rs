//! Cancels an order before it was shipped. Its stock is released, and its money is refunded.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::refund_payment::request_refund;
use super::refund_sources::unpromised;
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

/// What becomes of the money and of the units of an order that is cancelled. Staff may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelChoices {
    /// Whether what was paid is refunded. If not, the shop keeps it.
    pub refund: bool,
    /// Whether the units can be sold to others. If not, they are written off.
    pub restock: bool,
}

impl Default for CancelChoices {
    fn default() -> Self {
        Self { refund: true, restock: true }
    }
}

/// Cancels an order for good. A late payment does not restore it. What was paid is refunded, and the stock is released.
pub async fn cancel_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    by: CancelledBy,
    origin: &Origin,
) -> Result<Order, CancelOrderError> {
    cancel_with(conn, order_id, by, CancelChoices::default(), origin).await
}

/// Like [`cancel_order`], with choices.
pub(super) async fn cancel_with(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    by: CancelledBy,
    choices: CancelChoices,
    origin: &Origin,
) -> Result<Order, CancelOrderError> {
    conn.transaction(async |conn| {
        if let CancelledBy::Customer(access) = by {
            orders::find_accessible(conn, order_id, access).await?.ok_or(CancelOrderError::NotFound)?;
        }
        let mut order = orders::lock(conn, order_id).await?.ok_or(CancelOrderError::NotFound)?;
        let reason = by.reason(&order).ok_or(CancelOrderError::TooLate(order.status))?;
        cancel_locked(conn, &mut order, reason, choices, origin).await?;
        Ok(order.into_order())
    })
    .await
}

/// Cancels an order that is locked and whose status allows it: closes its open attempts, requests the refunds or keeps
/// the money, cancels its parcels that are being packed, mails the shopper, and releases its stock or writes it off.
pub(super) async fn cancel_locked(
    conn: &mut AsyncPgConnection,
    order: &mut LockedOrder,
    reason: CancelReason,
    choices: CancelChoices,
    origin: &Origin,
) -> QueryResult<()> {
    let id = order.id;
    let now = current_time(conn).await?;
    let unpromised = unpromised(conn, id).await?;
    order.cancel(reason, now);
    let mut data = json!({ "reason": reason });
    if !choices.refund {
        order.keep(unpromised.iter().map(|(_, left_minor)| left_minor).sum());
        data = json!({ "reason": reason, "refund": false, "kept_minor": order.kept_minor });
    }
    orders::update(conn, order).await?;
    orders::record(conn, id, EventKind::Cancelled, data, origin).await?;

    let closed_as = match reason {
        CancelReason::Expired => AttemptStatus::Expired,
        _ => AttemptStatus::Cancelled,
    };
    for payment in payments::list_open(conn, id).await? {
        end_at_provider(conn, payment.id).await?;
    }
    payments::close_open(conn, id, closed_as).await?;
    if choices.refund {
        for (payment, left_minor) in unpromised.iter().filter(|(_, left_minor)| *left_minor > 0) {
            request_refund(conn, payment, *left_minor, RefundReason::OrderCancelled, origin).await?;
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
    if choices.restock {
        inventory::release_for_order(conn, id, reason.as_str(), origin).await
    } else {
        inventory::write_off_for_order(conn, id, reason.as_str(), origin).await
    }
}
