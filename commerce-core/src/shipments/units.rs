//! Which units of an order's lines are in parcels, and what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::ShipmentStatus;
use crate::db::time_before;
use crate::ids::{OrderId, OrderLineId, ShipmentId};
use crate::orders;
use crate::schema::{shipment_lines, shipments};

/// Units of a line by what became of them. A unit that is sent again counts in its last parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParcelUnits {
    /// Packed for the first time, and still in the shop.
    pub packed: i64,
    /// Packed to be sent again, and still in the shop.
    pub packed_again: i64,
    /// On their way to the shopper.
    pub under_way: i64,
    /// Arrived.
    pub delivered: i64,
    /// Came back to the shop without having arrived, and not packed again.
    pub came_back: i64,
    /// Lost by a carrier, and not packed again.
    pub lost: i64,
}

impl ParcelUnits {
    /// Units that have arrived or are on their way.
    pub fn with_shopper(&self) -> i64 {
        self.under_way + self.delivered
    }

    /// Where the units of a parcel in this status are counted, if anywhere.
    fn place(&mut self, status: ShipmentStatus, is_again: bool) -> Option<&mut i64> {
        match status {
            ShipmentStatus::Pending if is_again => Some(&mut self.packed_again),
            ShipmentStatus::Pending => Some(&mut self.packed),
            ShipmentStatus::Shipped
            | ShipmentStatus::InTransit
            | ShipmentStatus::OutForDelivery
            | ShipmentStatus::FailedAttempt => Some(&mut self.under_way),
            ShipmentStatus::Delivered => Some(&mut self.delivered),
            ShipmentStatus::Returned => Some(&mut self.came_back),
            ShipmentStatus::Lost => Some(&mut self.lost),
            ShipmentStatus::Cancelled => None,
        }
    }
}

/// The units of each line of an order that are or were in parcels. Under the order's lock they are the present ones.
/// `delivered` are those that a shopper can give back.
pub async fn parcel_units(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> QueryResult<BTreeMap<OrderLineId, ParcelUnits>> {
    type Row = (ShipmentId, OrderLineId, i64, ShipmentStatus, Option<ShipmentId>);
    let rows: Vec<Row> = shipment_lines::table
        .inner_join(shipments::table)
        .filter(shipments::order_id.eq(order_id))
        .select((
            shipments::id,
            shipment_lines::order_line_id,
            shipment_lines::quantity,
            shipments::status,
            shipments::replaces,
        ))
        .load(conn)
        .await?;
    let statuses: BTreeMap<ShipmentId, ShipmentStatus> =
        rows.iter().map(|(id, _, _, status, _)| (*id, *status)).collect();
    let mut units: BTreeMap<OrderLineId, ParcelUnits> = BTreeMap::new();
    for (_, line, quantity, status, replaces) in rows {
        let of_line = units.entry(line).or_default();
        let Some(place) = of_line.place(status, replaces.is_some()) else { continue };
        *place += quantity;
        let former = replaces.and_then(|id| statuses.get(&id));
        if let Some(place) = former.and_then(|status| of_line.place(*status, false)) {
            *place -= quantity;
        }
    }
    Ok(units)
}

/// The units of each line that carriers have lost, whether or not they were sent again.
pub(crate) async fn lost_units(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> QueryResult<BTreeMap<OrderLineId, i64>> {
    let rows: Vec<(OrderLineId, i64)> = shipment_lines::table
        .inner_join(shipments::table)
        .filter(shipments::order_id.eq(order_id))
        .filter(shipments::status.eq(ShipmentStatus::Lost))
        .select((shipment_lines::order_line_id, shipment_lines::quantity))
        .load(conn)
        .await?;
    Ok(orders::units_by_line(rows))
}

/// The units of each line that other parcels bring instead of this one.
pub(crate) async fn replaced_units(
    conn: &mut AsyncPgConnection,
    shipment_id: ShipmentId,
) -> QueryResult<BTreeMap<OrderLineId, i64>> {
    let rows: Vec<(OrderLineId, i64)> = shipment_lines::table
        .inner_join(shipments::table)
        .filter(shipments::replaces.eq(shipment_id))
        .filter(shipments::status.ne(ShipmentStatus::Cancelled))
        .select((shipment_lines::order_line_id, shipment_lines::quantity))
        .load(conn)
        .await?;
    Ok(orders::units_by_line(rows))
}

/// The units of each line of an order that have arrived within this time.
pub(crate) async fn delivered_within(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    window: Duration,
) -> QueryResult<BTreeMap<OrderLineId, i64>> {
    let rows: Vec<(OrderLineId, i64)> = shipment_lines::table
        .inner_join(shipments::table)
        .filter(shipments::order_id.eq(order_id))
        .filter(shipments::status.eq(ShipmentStatus::Delivered))
        .filter(shipments::delivered_at.gt(time_before(window).nullable()))
        .select((shipment_lines::order_line_id, shipment_lines::quantity))
        .load(conn)
        .await?;
    Ok(orders::units_by_line(rows))
}
