//! The rows of shipments and of their lines.

use std::ops::Deref;

use chrono::{DateTime, Utc};
use diesel::dsl::{AsExprOf, exists, sql};
use diesel::expression::{SqlLiteral, UncheckedBind};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{ShipmentStatus, ShipmentTransitionError};
use crate::db::clock;
use crate::ids::{OrderId, OrderLineId, ShipmentId};
use crate::schema::{shipment_lines, shipments};

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
    /// The name of the carrier. `None` if the shop brings it itself, or does not say.
    pub carrier: Option<String>,
    /// The carrier's tracking number, or one of the shop's own. A carrier has one parcel with it.
    pub tracking_number: String,
    /// The parcel that was lost or came back, whose units this one brings again.
    pub replaces: Option<ShipmentId>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was handed over to the carrier.
    pub shipped_at: Option<DateTime<Utc>>,
    /// When it arrived.
    pub delivered_at: Option<DateTime<Utc>>,
    /// Grows with every change.
    pub version: i32,
}

/// Units of an order's line in a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = shipment_lines)]
pub struct ShipmentLine {
    /// The parcel.
    pub shipment_id: ShipmentId,
    /// The line.
    pub order_line_id: OrderLineId,
    /// The units.
    pub quantity: i64,
}

/// A parcel that is about to be written. It is being packed.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = shipments)]
pub(crate) struct NewShipment {
    pub id: ShipmentId,
    pub order_id: OrderId,
    pub status: ShipmentStatus,
    pub carrier: Option<String>,
    pub tracking_number: String,
    pub replaces: Option<ShipmentId>,
}

/// A shipment whose row this transaction has locked. Its order's row was locked before.
#[derive(Debug)]
#[must_use = "a lock is taken to read or change what it guards"]
pub struct LockedShipment(Shipment);

impl Deref for LockedShipment {
    type Target = Shipment;

    fn deref(&self) -> &Shipment {
        &self.0
    }
}

impl LockedShipment {
    /// The shipment as it was last read or written.
    pub fn into_shipment(self) -> Shipment {
        self.0
    }

    /// Takes a step of the state machine, and writes it.
    pub(crate) async fn move_to(
        &mut self,
        conn: &mut AsyncPgConnection,
        next: ShipmentStatus,
        at: DateTime<Utc>,
    ) -> Result<(), MoveError> {
        self.status.check(next)?;
        self.0.status = next;
        if next == ShipmentStatus::Shipped {
            self.0.shipped_at = Some(at);
        }
        self.0.delivered_at = (next == ShipmentStatus::Delivered).then_some(at);
        Ok(self.write(conn).await?)
    }

    /// Cancels a parcel that has not left, because its order was cancelled.
    pub(crate) async fn cancel(&mut self, conn: &mut AsyncPgConnection) -> QueryResult<()> {
        self.0.status = ShipmentStatus::Cancelled;
        self.write(conn).await
    }

    async fn write(&mut self, conn: &mut AsyncPgConnection) -> QueryResult<()> {
        self.0 = diesel::update(shipments::table.find(self.id))
            .set((
                shipments::status.eq(self.status),
                shipments::shipped_at.eq(self.shipped_at),
                shipments::delivered_at.eq(self.delivered_at),
                shipments::updated_at.eq(clock()),
                shipments::version.eq(shipments::version + 1),
            ))
            .returning(Shipment::as_returning())
            .get_result(conn)
            .await?;
        Ok(())
    }
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    #[error(transparent)]
    Transition(#[from] ShipmentTransitionError),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// Writes a parcel with its lines. `None` if its carrier has another parcel with this number. Needs the order's lock.
pub(crate) async fn insert(
    conn: &mut AsyncPgConnection,
    shipment: NewShipment,
    lines: &[(OrderLineId, i64)],
) -> QueryResult<Option<LockedShipment>> {
    let shipment: Option<Shipment> = diesel::insert_into(shipments::table)
        .values(shipment)
        .on_conflict_do_nothing()
        .returning(Shipment::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    let Some(shipment) = shipment else { return Ok(None) };
    let row = |&(order_line_id, quantity): &(OrderLineId, i64)| ShipmentLine {
        shipment_id: shipment.id,
        order_line_id,
        quantity,
    };
    let rows: Vec<ShipmentLine> = lines.iter().map(row).collect();
    diesel::insert_into(shipment_lines::table).values(rows).execute(conn).await?;
    Ok(Some(LockedShipment(shipment)))
}

/// Whether the carrier has a parcel with this number.
pub(crate) async fn is_taken(
    conn: &mut AsyncPgConnection,
    carrier: Option<&str>,
    number: &str,
) -> QueryResult<bool> {
    let of_carrier = is_of_carrier(carrier.unwrap_or_default().to_owned());
    let taken = shipments::table.filter(shipments::tracking_number.eq(number)).filter(of_carrier);
    diesel::select(exists(taken)).get_result(conn).await
}

/// Whether the shipment of the row has this carrier, in whatever case it is written. A unique index has the same
/// expression.
pub(super) fn is_of_carrier(
    name: String,
) -> SqlLiteral<Bool, UncheckedBind<SqlLiteral<Bool>, AsExprOf<String, Text>>> {
    sql::<Bool>("lower(coalesce(carrier, '')) = lower(").bind::<Text, String>(name).sql(")")
}

/// Locks a shipment's row. The order must be locked already.
pub(crate) async fn lock(conn: &mut AsyncPgConnection, id: ShipmentId) -> QueryResult<LockedShipment> {
    let shipment = shipments::table.find(id).select(Shipment::as_select()).for_update().first(conn).await?;
    Ok(LockedShipment(shipment))
}

/// The shipments of an order, the oldest first. Those under the order's lock are the present ones.
pub async fn list_for_order(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Vec<Shipment>> {
    shipments::table
        .filter(shipments::order_id.eq(order_id))
        .order((shipments::created_at, shipments::id))
        .select(Shipment::as_select())
        .load(conn)
        .await
}

/// The lines of these shipments.
pub async fn lines(
    conn: &mut AsyncPgConnection,
    shipment_ids: &[ShipmentId],
) -> QueryResult<Vec<ShipmentLine>> {
    shipment_lines::table
        .filter(shipment_lines::shipment_id.eq_any(shipment_ids))
        .order((shipment_lines::shipment_id, shipment_lines::order_line_id))
        .select(ShipmentLine::as_select())
        .load(conn)
        .await
}
