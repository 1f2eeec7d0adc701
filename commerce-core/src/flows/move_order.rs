//! One of the staff moves an order on: processed, shipped, delivered or cancelled.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::cancel_order::{CancelOrderError, cancel_order};
use super::ship_order::{AdvanceOrderError, Dispatch, deliver_order, process_order, ship_order};
use crate::accounts::{Permission, Role};
use crate::audit_log::{self, Author, Subject};
use crate::db::Retryable;
use crate::ids::OrderId;
use crate::orders::{self, CancelledBy, Order};

/// A step that staff take by hand.
#[derive(Debug, Clone)]
pub enum OrderStep {
    /// The shop has begun to see to it: its customer can no longer cancel it.
    Process,
    /// All of it leaves in one parcel.
    Ship(Dispatch),
    /// It has arrived.
    Deliver,
    /// It ends; what was paid goes back.
    Cancel,
}

impl OrderStep {
    /// What the step takes besides the permission to change orders.
    fn permission(&self, order: &Order) -> Option<Permission> {
        match self {
            Self::Process => None,
            Self::Ship(_) | Self::Deliver => Some(Permission::ShipmentsWrite),
            Self::Cancel => orders::permission_to_cancel(order),
        }
    }
}

/// The wish to move an order on.
#[derive(Debug, Clone)]
pub struct MoveOrder {
    /// Which order.
    pub order_id: OrderId,
    /// Where to.
    pub step: OrderStep,
    /// The order's version that was looked at; another one is refused. `None`: whichever it is.
    pub expected_version: Option<i32>,
    /// The role of whoever does it. It must be one that may change orders.
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
    /// This step needs more than the permission to change orders.
    #[error("the role {0} does not include {1}")]
    MayNot(Role, Permission),
    /// Somebody else changed it meanwhile.
    #[error("the order has changed since it was read")]
    VersionMismatch,
    /// It could not be processed, shipped or delivered.
    #[error(transparent)]
    Advance(#[from] AdvanceOrderError),
    /// It could not be cancelled.
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
            Self::Cancel(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
        }
    }
}

/// Takes the step, with an entry in the audit log. The order's lock is kept from the checks to the step, so what is checked
/// holds.
pub async fn move_order(conn: &mut AsyncPgConnection, wish: MoveOrder) -> Result<Order, MoveOrderError> {
    let MoveOrder { order_id, step, expected_version, role, author } = wish;
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
        let before = audit_log::snapshot(conn, Subject::Order(order_id)).await?;
        let origin = &author.origin;
        let order = match &step {
            OrderStep::Process => process_order(conn, order_id, origin).await?,
            OrderStep::Ship(dispatch) => ship_order(conn, order_id, dispatch, origin).await?,
            OrderStep::Deliver => deliver_order(conn, order_id, origin).await?,
            OrderStep::Cancel => cancel_order(conn, order_id, CancelledBy::Admin, origin).await?,
        };
        audit_log::record(conn, &author, "admin_move_order", Subject::Order(order_id), before).await?;
        Ok(order)
    })
    .await
}
