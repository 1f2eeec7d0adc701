//! Staff change the status of an order: processing, shipped, delivered or cancelled.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::cancel_order::{CancelChoices, CancelOrderError, cancel_with};
use super::capture_payment::CapturePaymentError;
use super::ship_order::{AdvanceOrderError, Dispatch, deliver_order, process_order, ship_order};
use crate::accounts::{Permission, Role};
use crate::audit_log::{self, Author, Subject};
use crate::db::Retryable;
use crate::ids::OrderId;
use crate::orders::{self, CancelledBy, EventKind, Order};
use crate::text::filled_text;

/// A step that staff take.
#[derive(Debug, Clone)]
pub enum OrderStep {
    /// The shop begins to process the order. Its customer can no longer cancel it.
    Process,
    /// The whole order leaves in one parcel.
    Ship(Dispatch),
    /// The parcel has arrived.
    Deliver,
    /// The order is cancelled.
    Cancel(CancelChoices),
}

impl OrderStep {
    /// The permission that the step needs beside the permission to change orders.
    fn permission(&self, order: &Order) -> Option<Permission> {
        match self {
            Self::Process => None,
            Self::Ship(_) | Self::Deliver => Some(Permission::ShipmentsWrite),
            Self::Cancel(choices) => orders::permission_to_cancel(order).filter(|_| choices.refund),
        }
    }
}

/// A request to move an order on.
#[derive(Debug, Clone)]
pub struct MoveOrder {
    /// The order.
    pub order_id: OrderId,
    /// The step.
    pub step: OrderStep,
    /// Why, for colleagues.
    pub reason: Option<String>,
    /// The order's version that the caller saw. Another version is refused. `None` accepts any.
    pub expected_version: Option<i32>,
    /// The caller's role. It must be one that may change orders.
    pub role: Role,
    /// For the audit log, the timeline and the stock ledger.
    pub author: Author,
}

/// Why an order was not moved on. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum MoveOrderError {
    /// No order has this id.
    #[error("there is no such order")]
    NotFound,
    /// The step needs another permission, which the role does not have.
    #[error("the role {0} does not include {1}")]
    MayNot(Role, Permission),
    /// Somebody else changed the order in the meantime.
    #[error("the order has changed since it was read")]
    VersionMismatch,
    /// The order could not be processed, shipped or delivered.
    #[error(transparent)]
    Advance(#[from] AdvanceOrderError),
    /// The authorized money could not be captured before the order is shipped.
    #[error(transparent)]
    Capture(#[from] CapturePaymentError),
    /// The order could not be cancelled.
    #[error(transparent)]
    Cancel(#[from] CancelOrderError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for MoveOrderError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::NotFound | Self::MayNot(..) | Self::VersionMismatch => false,
            Self::Advance(error) => error.is_retryable(),
            Self::Capture(error) => error.is_retryable(),
            Self::Cancel(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
        }
    }
}

/// Takes the step and records it in the audit log, and a reason in the timeline. The order stays locked from the checks
/// to the step, so what was checked remains true.
pub async fn move_order(conn: &mut AsyncPgConnection, wish: MoveOrder) -> Result<Order, MoveOrderError> {
    let MoveOrder { order_id, step, reason, expected_version, role, author } = wish;
    let reason = filled_text(reason.as_deref());
    conn.transaction(async |conn| {
        let order = orders::lock(conn, order_id).await?.ok_or(MoveOrderError::NotFound)?;
        if let Some(permission) = step.permission(&order)
            && !role.may(permission)
        {
            return Err(MoveOrderError::MayNot(role, permission));
        }
        if expected_version.is_some_and(|expected| expected != order.version) {
            return Err(MoveOrderError::VersionMismatch);
        }
        let from = order.status;
        let before = audit_log::snapshot(conn, Subject::Order(order_id)).await?;
        let origin = &author.origin;
        let order = match &step {
            OrderStep::Process => process_order(conn, order_id, origin).await?,
            OrderStep::Ship(dispatch) => ship_order(conn, order_id, dispatch, origin).await?,
            OrderStep::Deliver => deliver_order(conn, order_id, origin).await?,
            OrderStep::Cancel(choices) => {
                cancel_with(conn, order_id, CancelledBy::Admin, *choices, origin).await?
            }
        };
        if let Some(reason) = reason {
            let data = json!({ "from": from, "to": order.status, "reason": reason });
            orders::record(conn, order_id, EventKind::StatusChanged, data, origin).await?;
        }
        audit_log::record(conn, &author, "admin_move_order", Subject::Order(order_id), before).await?;
        Ok(order)
    })
    .await
}
