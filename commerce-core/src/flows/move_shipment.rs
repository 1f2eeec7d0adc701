//! A parcel moves on: by staff, or by a checkpoint that its carrier reports.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::capture_payment::CapturePaymentError;
use super::ship_parcel::{
    Packed, Sighting, announce, consume, contents, facts, follow, hand_over, take_step, write_checkpoint,
};
use crate::audit_log::{self, Author, Subject};
use crate::db::{Retryable, current_time};
use crate::ids::ShipmentId;
use crate::inventory::{self, Demand, EndReservationError, ReturnError};
use crate::orders::{self, LockedOrder, Order, OrderLine, OrderStatus};
use crate::page::storable_time;
use crate::shipments::{
    self, CHECKPOINTS_MAX, Checkpoint, FindShipmentError, LockedShipment, MoveError, Shipment,
    ShipmentAddress, ShipmentStatus, ShipmentTransitionError,
};

/// A request of staff to set the status of a parcel.
#[derive(Debug, Clone)]
pub struct MoveShipment {
    /// The parcel.
    pub address: ShipmentAddress,
    /// The wanted status.
    pub to: ShipmentStatus,
    /// Where and when, for the checkpoint.
    pub sighting: Sighting,
    /// Whether units that come back can be sold again. Only for [`ShipmentStatus::Returned`].
    pub restock: bool,
    /// The version that the caller saw. Another version is refused. `None` accepts any.
    pub expected_version: Option<i32>,
    /// For the audit log, the timeline and the stock ledger.
    pub author: Author,
}

/// A checkpoint that a carrier has reported.
#[derive(Debug, Clone)]
pub struct AddCheckpoint {
    /// The parcel.
    pub address: ShipmentAddress,
    /// What happened.
    pub status: ShipmentStatus,
    /// Where and when.
    pub sighting: Sighting,
    /// For the audit log and the timeline.
    pub author: Author,
}

/// Why a parcel was not moved on. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum MoveShipmentError {
    /// No shipment has this address, or several have it.
    #[error(transparent)]
    Address(FindShipmentError),
    /// Somebody else changed the shipment in the meantime.
    #[error("the shipment has changed since it was read")]
    VersionMismatch,
    /// The shipment's status does not allow the step.
    #[error(transparent)]
    Transition(#[from] ShipmentTransitionError),
    /// The order is not paid, or was cancelled. The value is its status.
    #[error("nothing can be sent of an order that is {0}")]
    OrderState(OrderStatus),
    /// Another parcel brings its units, so it is no longer waited for.
    #[error("another shipment replaces it")]
    Replaced,
    /// A parcel that has not left has no checkpoints. The value is its status.
    #[error("a shipment that is {0} has no checkpoints: set it to shipped first")]
    NotShipped(ShipmentStatus),
    /// It happened later than now.
    #[error("a checkpoint cannot be in the future")]
    InFuture,
    /// The shipment has as many checkpoints as it may have.
    #[error("a shipment can have at most {CHECKPOINTS_MAX} checkpoints")]
    TooManyCheckpoints,
    /// The authorized money could not be captured before the parcel leaves.
    #[error(transparent)]
    Capture(#[from] CapturePaymentError),
    /// The order's stock is not as its lines say.
    #[error(transparent)]
    Stock(EndReservationError),
    /// The units could not come back into stock.
    #[error(transparent)]
    Return(ReturnError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for MoveShipmentError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

impl From<FindShipmentError> for MoveShipmentError {
    fn from(error: FindShipmentError) -> Self {
        match error {
            FindShipmentError::Database(error) => Self::Database(error),
            other => Self::Address(other),
        }
    }
}

impl From<MoveError> for MoveShipmentError {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Transition(error) => Self::Transition(error),
            MoveError::Database(error) => Self::Database(error),
        }
    }
}

impl From<EndReservationError> for MoveShipmentError {
    fn from(error: EndReservationError) -> Self {
        match error {
            EndReservationError::Database(error) => Self::Database(error),
            other => Self::Stock(other),
        }
    }
}

impl From<ReturnError> for MoveShipmentError {
    fn from(error: ReturnError) -> Self {
        match error {
            ReturnError::Database(error) => Self::Database(error),
            other => Self::Return(other),
        }
    }
}

/// Clocks of carriers may be in another time zone than they say.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);

/// Sets the status of a parcel. A parcel that has it already stays as it is.
pub async fn move_shipment(
    conn: &mut AsyncPgConnection,
    wish: MoveShipment,
) -> Result<Shipment, MoveShipmentError> {
    conn.transaction(async |conn| {
        let (mut order, mut shipment) = lock(conn, &wish.address).await?;
        if wish.expected_version.is_some_and(|expected| expected != shipment.version) {
            return Err(MoveShipmentError::VersionMismatch);
        }
        if shipment.status == wish.to {
            return Ok(shipment.into_shipment());
        }
        check_step(conn, &order, &shipment, wish.to, order.paid_at.is_some()).await?;
        let (now, sighting) = timed(conn, &wish.sighting).await?;
        let origin = &wish.author.origin;
        let before = facts(&shipment);
        let lines = orders::lines(conn, &[order.id]).await?;
        let packed = contents(conn, &shipment, &lines).await?;
        if wish.to == ShipmentStatus::Shipped {
            hand_over(conn, &order, &mut shipment, &packed, &sighting, now, origin).await?;
        } else {
            take_step(conn, &order, &mut shipment, wish.to, &sighting, now, origin).await?;
        }
        follow(conn, &mut order, origin).await?;
        let (subject, after) = (Subject::Order(order.id), Some(facts(&shipment)));
        audit_log::record_facts(conn, &wish.author, "move_shipment", subject, Some(before), after).await?;
        // Stock comes last in the lock order.
        let units = Packed::demands(&packed);
        match wish.to {
            ShipmentStatus::Shipped => consume(conn, &order, &units, origin).await?,
            ShipmentStatus::Returned => {
                let back = still_out(conn, &order, &lines, &units).await?;
                inventory::return_to_stock(conn, order.id, &back, wish.restock, "undeliverable", origin)
                    .await?;
            }
            // What it would have brought again was taken from the stock for it alone.
            ShipmentStatus::Cancelled if shipment.replaces.is_some() => {
                let mut stock = inventory::lock(conn, units.iter().map(|demand| demand.variant_id)).await?;
                inventory::release(conn, &mut stock, order.id, &units, "not sent again", origin).await?;
            }
            _ => {}
        }
        Ok(shipment.into_shipment())
    })
    .await
}

/// Of units that come back, those that are not in stock already. Staff may have restocked some with a refund while the
/// parcel was still on its way. What a carrier has lost does not come back.
async fn still_out(
    conn: &mut AsyncPgConnection,
    order: &Order,
    lines: &[OrderLine],
    units: &[Demand],
) -> Result<Vec<Demand>, QueryError> {
    let variants = units.iter().map(|demand| demand.variant_id).collect();
    let mut out = inventory::with_shopper(conn, order.id, variants).await?;
    for (line, lost) in shipments::lost_units(conn, order.id).await? {
        if let Some(line) = lines.iter().find(|of_order| of_order.id == line) {
            *out.entry(line.variant_id).or_default() -= lost;
        }
    }
    let mut back = Vec::new();
    for &Demand { variant_id, quantity } in units {
        let out = out.entry(variant_id).or_default();
        let quantity = quantity.min(*out);
        if quantity > 0 {
            *out -= quantity;
            back.push(Demand { variant_id, quantity });
        }
    }
    Ok(back)
}

/// Whether the parcel could leave now, if the order were paid. A shop that takes money when it ships asks this first.
/// Returns the parcel.
pub async fn check_move(
    conn: &mut AsyncPgConnection,
    wish: &MoveShipment,
) -> Result<Shipment, MoveShipmentError> {
    conn.transaction(async |conn| {
        let (order, shipment) = lock(conn, &wish.address).await?;
        if wish.expected_version.is_some_and(|expected| expected != shipment.version) {
            return Err(MoveShipmentError::VersionMismatch);
        }
        if shipment.status != wish.to {
            check_step(conn, &order, &shipment, wish.to, order.is_covered()).await?;
            timed(conn, &wish.sighting).await?;
        }
        Ok(shipment.into_shipment())
    })
    .await
}

/// Adds a checkpoint, unless its event is known. The parcel moves on with it if nothing newer is known, except that
/// staff decide when a parcel came back or is lost.
pub async fn add_checkpoint(
    conn: &mut AsyncPgConnection,
    wish: AddCheckpoint,
) -> Result<Checkpoint, MoveShipmentError> {
    conn.transaction(async |conn| {
        let (mut order, mut shipment) = lock(conn, &wish.address).await?;
        if !shipment.status.has_left() || !wish.status.has_left() {
            return Err(MoveShipmentError::NotShipped(shipment.status));
        }
        let (now, sighting) = timed(conn, &wish.sighting).await?;
        let (count, newest) = shipments::count_checkpoints(conn, shipment.id).await?;
        let checkpoint = match write_checkpoint(conn, &shipment, wish.status, &sighting, now).await? {
            Ok(written) => written,
            Err(known) => return Ok(known),
        };
        if count >= CHECKPOINTS_MAX {
            return Err(MoveShipmentError::TooManyCheckpoints);
        }
        let is_newest = newest.is_none_or(|newest| checkpoint.occurred_at >= newest);
        let before = facts(&shipment);
        if moves_on(&shipment, wish.status, is_newest) && !is_replaced(conn, shipment.id).await? {
            let origin = &wish.author.origin;
            shipment.move_to(conn, wish.status, checkpoint.occurred_at).await?;
            announce(conn, &order, &shipment, origin).await?;
            follow(conn, &mut order, origin).await?;
        }
        let mut after = facts(&shipment);
        if let Some(after) = after.as_object_mut() {
            let told = json!({ "status": checkpoint.status, "occurred_at": checkpoint.occurred_at });
            after.insert("checkpoint".to_owned(), told);
        }
        let subject = Subject::Order(order.id);
        audit_log::record_facts(conn, &wish.author, "add_checkpoint", subject, Some(before), Some(after))
            .await?;
        Ok(checkpoint)
    })
    .await
}

/// Whether a checkpoint moves the parcel on. Nothing comes after the arrival, so it counts even if it is told late.
fn moves_on(shipment: &Shipment, to: ShipmentStatus, is_newest: bool) -> bool {
    let is_carriers = match to {
        ShipmentStatus::InTransit | ShipmentStatus::OutForDelivery | ShipmentStatus::FailedAttempt => {
            is_newest
        }
        ShipmentStatus::Delivered => true,
        _ => false,
    };
    is_carriers && shipment.status.allows(to)
}

/// Locks the order, then the shipment.
async fn lock(
    conn: &mut AsyncPgConnection,
    address: &ShipmentAddress,
) -> Result<(LockedOrder, LockedShipment), MoveShipmentError> {
    let Shipment { id, order_id, .. } = shipments::find(conn, address, None).await?;
    let order = orders::lock(conn, order_id).await?;
    let order = order.ok_or(MoveShipmentError::Address(FindShipmentError::NotFound))?;
    Ok((order, shipments::lock(conn, id).await?))
}

async fn check_step(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    shipment: &Shipment,
    to: ShipmentStatus,
    is_paid: bool,
) -> Result<(), MoveShipmentError> {
    shipment.status.check(to)?;
    if to == ShipmentStatus::Shipped && (!is_paid || order.status == OrderStatus::Cancelled) {
        return Err(MoveShipmentError::OrderState(order.status));
    }
    if shipment.status.is_undeliverable() && is_replaced(conn, shipment.id).await? {
        return Err(MoveShipmentError::Replaced);
    }
    Ok(())
}

async fn is_replaced(conn: &mut AsyncPgConnection, id: ShipmentId) -> Result<bool, QueryError> {
    Ok(!shipments::replaced_units(conn, id).await?.is_empty())
}

/// Now, and the sighting with a time that can be stored and is not in the future.
async fn timed(
    conn: &mut AsyncPgConnection,
    sighting: &Sighting,
) -> Result<(DateTime<Utc>, Sighting), MoveShipmentError> {
    let now = current_time(conn).await?;
    let occurred_at = sighting.occurred_at.map(storable_time);
    if occurred_at.is_some_and(|at| at > now + AHEAD_MAX) {
        return Err(MoveShipmentError::InFuture);
    }
    Ok((now, Sighting { occurred_at, ..sighting.clone() }))
}
