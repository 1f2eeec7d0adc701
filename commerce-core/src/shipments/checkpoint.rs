//! Where a parcel was. Checkpoints are only added, and each event of the carrier is one, however often it is reported.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::ShipmentStatus;
use crate::ids::{CheckpointId, ShipmentId};
use crate::schema::shipment_checkpoints;

/// The checkpoints that a shipment may have.
pub const CHECKPOINTS_MAX: i64 = 500;

/// What happened to a parcel on its way.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = shipment_checkpoints)]
pub struct Checkpoint {
    /// Its id.
    pub id: CheckpointId,
    /// The parcel.
    pub shipment_id: ShipmentId,
    /// What happened.
    pub status: ShipmentStatus,
    /// Where.
    pub location: Option<String>,
    /// What the carrier says about it.
    pub message: Option<String>,
    /// When. Checkpoints may be reported late and in any order.
    pub occurred_at: DateTime<Utc>,
}

/// A checkpoint that is about to be written.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = shipment_checkpoints)]
pub(crate) struct NewCheckpoint {
    pub id: CheckpointId,
    pub shipment_id: ShipmentId,
    pub status: ShipmentStatus,
    pub location: Option<String>,
    pub message: Option<String>,
    pub occurred_at: DateTime<Utc>,
    /// Tells this event of the carrier from others.
    pub event_key: String,
}

/// Writes a checkpoint. `Err` with the one that was written before, if the event is known. Needs the shipment's lock.
pub(crate) async fn insert_checkpoint(
    conn: &mut AsyncPgConnection,
    checkpoint: NewCheckpoint,
) -> QueryResult<Result<Checkpoint, Checkpoint>> {
    let known = shipment_checkpoints::table
        .filter(shipment_checkpoints::shipment_id.eq(checkpoint.shipment_id))
        .filter(shipment_checkpoints::event_key.eq(checkpoint.event_key.clone()))
        .select(Checkpoint::as_select());
    if let Some(known) = known.first(conn).await.optional()? {
        return Ok(Err(known));
    }
    let written = diesel::insert_into(shipment_checkpoints::table)
        .values(checkpoint)
        .returning(Checkpoint::as_returning())
        .get_result(conn)
        .await?;
    Ok(Ok(written))
}

/// How many checkpoints a shipment has, and when the newest of them happened.
pub(crate) async fn count_checkpoints(
    conn: &mut AsyncPgConnection,
    shipment_id: ShipmentId,
) -> QueryResult<(i64, Option<DateTime<Utc>>)> {
    shipment_checkpoints::table
        .filter(shipment_checkpoints::shipment_id.eq(shipment_id))
        .select((
            diesel::dsl::count(shipment_checkpoints::id),
            diesel::dsl::max(shipment_checkpoints::occurred_at),
        ))
        .first(conn)
        .await
}

/// The checkpoints of these shipments, by the time at which they happened.
pub async fn checkpoints(
    conn: &mut AsyncPgConnection,
    shipment_ids: &[ShipmentId],
) -> QueryResult<Vec<Checkpoint>> {
    shipment_checkpoints::table
        .filter(shipment_checkpoints::shipment_id.eq_any(shipment_ids))
        .order((
            shipment_checkpoints::shipment_id,
            shipment_checkpoints::occurred_at,
            shipment_checkpoints::id,
        ))
        .select(Checkpoint::as_select())
        .load(conn)
        .await
}
