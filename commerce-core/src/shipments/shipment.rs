//! The rows of shipments.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db::clock;
use crate::ids::{OrderId, ShipmentId};
use crate::orders::OrderLine;
use crate::schema::{shipment_lines, shipments};
use crate::text_enum::text_enum;

text_enum! {
    /// The status of a shipment.
    pub enum ShipmentStatus {
        /// It is being packed.
        Pending = "pending",
        /// The carrier has it.
        Shipped = "shipped",
        /// It is on its way between two places of the carrier.
        InTransit = "in_transit",
        /// It is in the delivery vehicle.
        OutForDelivery = "out_for_delivery",
        /// It has arrived.
        Delivered = "delivered",
        /// The delivery failed. The carrier will try again.
        FailedAttempt = "failed_attempt",
        /// It came back.
        Returned = "returned",
        /// It was never sent.
        Cancelled = "cancelled",
    }
}

/// A parcel.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = shipments)]
pub struct Shipment {
    /// Its id.
    pub id: ShipmentId,
    /// The order.
    pub order_id: OrderId,
    /// The status.
    pub status: ShipmentStatus,
    /// The name of the carrier.
    pub carrier: Option<String>,
    /// The carrier's tracking number.
    pub tracking_number: Option<String>,
    /// When it was handed over to the carrier.
    pub shipped_at: Option<DateTime<Utc>>,
    /// When it arrived.
    pub delivered_at: Option<DateTime<Utc>>,
}

/// Creates one parcel with everything that is not shipped yet. Needs the order's lock.
pub async fn insert_whole(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    lines: &[OrderLine],
    carrier: Option<&str>,
    tracking_number: Option<&str>,
) -> QueryResult<Shipment> {
    let shipment: Shipment = diesel::insert_into(shipments::table)
        .values((
            shipments::id.eq(ShipmentId::new()),
            shipments::order_id.eq(order_id),
            shipments::status.eq(ShipmentStatus::Shipped),
            shipments::carrier.eq(carrier),
            shipments::tracking_number.eq(tracking_number),
            shipments::shipped_at.eq(clock().nullable()),
        ))
        .returning(Shipment::as_returning())
        .get_result(conn)
        .await?;
    let rows: Vec<_> = lines
        .iter()
        .filter(|line| line.quantity > line.shipped_quantity)
        .map(|line| {
            (
                shipment_lines::shipment_id.eq(shipment.id),
                shipment_lines::order_line_id.eq(line.id),
                shipment_lines::quantity.eq(line.quantity - line.shipped_quantity),
            )
        })
        .collect();
    diesel::insert_into(shipment_lines::table).values(rows).execute(conn).await?;
    Ok(shipment)
}

/// Marks all shipments of an order as delivered. Needs the order's lock.
pub async fn mark_delivered(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<()> {
    diesel::update(shipments::table.filter(shipments::order_id.eq(order_id)))
        .set((
            shipments::status.eq(ShipmentStatus::Delivered),
            shipments::delivered_at.eq(clock().nullable()),
            shipments::updated_at.eq(clock()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
