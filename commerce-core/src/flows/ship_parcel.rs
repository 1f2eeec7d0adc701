//! The steps of a parcel that all flows have in common: what is written when it leaves the shop, moves on, or arrives,
//! and how its order follows. Each needs the locks of the order and of the shipment.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use serde_json::json;

use crate::ids::{CheckpointId, OrderLineId};
use crate::inventory::{self, Demand, EndReservationError};
use crate::notifications::{NewEmail, Template, enqueue_email};
use crate::orders::{
    self, EventKind, FulfilledUnits, LockedOrder, Order, OrderLine, derive_fulfillment_status,
};
use crate::request::Origin;
use crate::shipments::{
    self, Checkpoint, LockedShipment, MoveError, NewCheckpoint, Shipment, ShipmentStatus,
};
use crate::text::{filled_line, filled_text};

/// What is known about a step of a parcel.
#[derive(Debug, Clone, Default)]
pub struct Sighting {
    /// Where the parcel was.
    pub location: Option<String>,
    /// What the carrier, or staff, say about it.
    pub message: Option<String>,
    /// When it happened. Now, if it is not said.
    pub occurred_at: Option<DateTime<Utc>>,
    /// The carrier's own id of the event. The same event is written once.
    pub event_id: Option<String>,
}

/// Units of an order's line in a parcel.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub line: OrderLine,
    pub quantity: i64,
}

impl Packed {
    pub(super) fn demands(packed: &[Self]) -> Vec<Demand> {
        packed
            .iter()
            .map(|units| Demand { variant_id: units.line.variant_id, quantity: units.quantity })
            .collect()
    }

    /// The units of each line.
    pub(super) fn units(packed: &[Self]) -> Vec<(OrderLineId, i64)> {
        packed.iter().map(|units| (units.line.id, units.quantity)).collect()
    }
}

/// What is in a parcel. `lines` are those of its order.
pub(super) async fn contents(
    conn: &mut AsyncPgConnection,
    shipment: &Shipment,
    lines: &[OrderLine],
) -> QueryResult<Vec<Packed>> {
    let units = shipments::lines(conn, &[shipment.id]).await?;
    let packed = units.iter().filter_map(|units| {
        let line = lines.iter().find(|line| line.id == units.order_line_id)?;
        Some(Packed { line: line.clone(), quantity: units.quantity })
    });
    Ok(packed.collect())
}

/// The parcel leaves the shop. Its units count as shipped, unless they were shipped before. The caller lets the order
/// follow, and takes the units out of stock.
pub(super) async fn hand_over(
    conn: &mut AsyncPgConnection,
    order: &Order,
    shipment: &mut LockedShipment,
    packed: &[Packed],
    sighting: &Sighting,
    now: DateTime<Utc>,
    origin: &Origin,
) -> Result<(), MoveError> {
    take_step(conn, order, shipment, ShipmentStatus::Shipped, sighting, now, origin).await?;
    if shipment.replaces.is_none() {
        orders::count_shipped(conn, &Packed::units(packed)).await?;
    }
    Ok(())
}

/// The parcel takes a step: its status, its checkpoint, the order's timeline, and the mail to the shopper.
pub(super) async fn take_step(
    conn: &mut AsyncPgConnection,
    order: &Order,
    shipment: &mut LockedShipment,
    to: ShipmentStatus,
    sighting: &Sighting,
    now: DateTime<Utc>,
    origin: &Origin,
) -> Result<(), MoveError> {
    shipment.move_to(conn, to, sighting.occurred_at.unwrap_or(now)).await?;
    if to.has_left() {
        // The same step may have been reported before.
        write_checkpoint(conn, shipment, to, sighting, now).await?.ok();
    }
    announce(conn, order, shipment, origin).await?;
    Ok(())
}

/// Writes the step that a parcel has taken into the order's timeline, and mails the shopper when it is sent and when it
/// has arrived.
pub(super) async fn announce(
    conn: &mut AsyncPgConnection,
    order: &Order,
    shipment: &Shipment,
    origin: &Origin,
) -> QueryResult<()> {
    let (kind, mail) = match shipment.status {
        ShipmentStatus::Shipped => (EventKind::Shipped, Some(Template::OrderShipped)),
        ShipmentStatus::Delivered => (EventKind::Delivered, Some(Template::OrderDelivered)),
        _ => (EventKind::ShipmentMoved, None),
    };
    orders::record(conn, order.id, kind, facts(shipment), origin).await?;
    if let Some(template) = mail {
        let mail = NewEmail::about_shipment(template, shipment.id, order.id, &order.email);
        enqueue_email(conn, mail).await?;
    }
    Ok(())
}

/// A parcel, for timelines and the audit log.
pub(super) fn facts(shipment: &Shipment) -> serde_json::Value {
    json!({
        "shipment_id": shipment.id, "status": shipment.status, "carrier": shipment.carrier,
        "tracking_number": shipment.tracking_number,
    })
}

/// Writes a checkpoint. `Err` with the one that is there, if this event is known.
pub(super) async fn write_checkpoint(
    conn: &mut AsyncPgConnection,
    shipment: &Shipment,
    status: ShipmentStatus,
    sighting: &Sighting,
    now: DateTime<Utc>,
) -> QueryResult<Result<Checkpoint, Checkpoint>> {
    let location = filled_line(sighting.location.as_deref());
    let message = filled_text(sighting.message.as_deref());
    let occurred_at = sighting.occurred_at.unwrap_or(now);
    let event_key = match filled_line(sighting.event_id.as_deref()) {
        Some(id) => format!("id:{id}"),
        None => {
            let place = location.as_deref().unwrap_or_default();
            format!("at:{}:{status}:{place}", occurred_at.timestamp_micros())
        }
    };
    let (id, shipment_id) = (CheckpointId::new(), shipment.id);
    let checkpoint = NewCheckpoint { id, shipment_id, status, location, message, occurred_at, event_key };
    shipments::insert_checkpoint(conn, checkpoint).await
}

/// The order follows its parcels and its cancelled units, and is written.
pub(super) async fn follow(
    conn: &mut AsyncPgConnection,
    order: &mut LockedOrder,
    origin: &Origin,
) -> QueryResult<()> {
    let lines = orders::lines(conn, &[order.id]).await?;
    let parcels = shipments::parcel_units(conn, order.id).await?;
    let mut units = FulfilledUnits::default();
    for line in &lines {
        units.wanted += line.wanted();
        units.shipped += line.shipped_quantity;
        units.came_back += line.returned_quantity;
    }
    for parcel in parcels.values() {
        units.delivered += parcel.delivered;
        units.came_back += parcel.came_back;
    }
    let has_parcels = units.shipped > 0 || parcels.values().any(|parcel| parcel.packed > 0);
    if order.follow_parcels(derive_fulfillment_status(units), has_parcels) {
        orders::record(conn, order.id, EventKind::Processing, json!({}), origin).await?;
    }
    orders::update(conn, order).await
}

/// Takes the units of parcels that left out of stock. Stock comes last in the lock order.
pub(super) async fn consume(
    conn: &mut AsyncPgConnection,
    order: &Order,
    units: &[Demand],
    origin: &Origin,
) -> Result<(), EndReservationError> {
    let mut stock = inventory::lock(conn, units.iter().map(|demand| demand.variant_id)).await?;
    inventory::consume(conn, &mut stock, order.id, units, origin).await
}
