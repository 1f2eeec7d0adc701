//! The ledger: one row for each change of a level, so that every unit can be accounted for.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::future::{try_join, try_join_all};

use super::LockedStock;
use crate::db::{Prepared, clock};
use crate::ids::{LocationId, MovementId, OrderId, ReservationId, VariantId};
use crate::request::Origin;
use crate::schema::{stock_levels, stock_movements};
use crate::text_enum::text_enum;

text_enum! {
    /// What a movement does to its level.
    pub enum MovementKind {
        /// Goods were counted, received or written off. This changes `on_hand`.
        Adjust = "adjust",
        /// Units went from one location to another. Each has an entry.
        Transfer = "transfer",
        /// Units were reserved for a cart or an order.
        Reserve = "reserve",
        /// Reserved units were released.
        Release = "release",
        /// Units left with a shipment.
        Consume = "consume",
        /// Units came back with a return.
        Return = "return",
        /// The ledger differed from the reservations, and was mended.
        Repair = "repair",
    }
}

/// One row of the ledger.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = stock_movements)]
pub struct Movement {
    /// Its id.
    pub id: MovementId,
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// What happened.
    pub kind: MovementKind,
    /// Units that came in (positive) or went out (negative).
    pub on_hand_delta: i64,
    /// Units that were reserved (positive) or freed (negative).
    pub reserved_delta: i64,
    /// The reason that was given for an adjustment.
    pub reason: Option<String>,
    /// The order that caused the movement.
    pub order_id: Option<OrderId>,
    /// `user:<id>`, `guest` or `system`.
    pub actor: String,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

/// A change of one level that is about to be written.
#[derive(Debug, Clone)]
pub(super) struct LevelChange {
    pub variant_id: VariantId,
    pub location_id: LocationId,
    pub kind: MovementKind,
    pub on_hand_delta: i64,
    pub reserved_delta: i64,
    pub reason: Option<String>,
    pub reservation_id: Option<ReservationId>,
    pub order_id: Option<OrderId>,
}

impl LockedStock {
    /// Writes levels and ledger together. The rows are already locked. The statements of a few changes, as of
    /// a cart, are sent all at once. Many changes, as of a delivery or an import, are written by a few
    /// statements, so that the locks are held only briefly.
    pub(super) async fn write(
        &mut self,
        conn: &AsyncPgConnection,
        changes: &[LevelChange],
        origin: &Origin,
    ) -> QueryResult<()> {
        for change in changes {
            if let Some(level) = self.level_mut(change.variant_id, change.location_id) {
                level.on_hand += change.on_hand_delta;
                level.reserved += change.reserved_delta;
            }
        }
        if changes.len() > CHANGES_ONE_BY_ONE_MAX {
            for batch in changes.chunks(CHANGES_AT_ONCE_MAX) {
                try_join(write_levels(conn, batch), write_movements(conn, batch, origin)).await?;
            }
            return Ok(());
        }
        let levels = try_join_all(changes.iter().map(|change| write_level(conn, change)));
        let movements = try_join_all(changes.iter().map(|change| write_movement(conn, change, origin)));
        try_join(levels, movements).await?;
        Ok(())
    }
}

/// Up to this number, a prepared statement for each change is as fast as one for all.
const CHANGES_ONE_BY_ONE_MAX: usize = 16;
/// Limits the size of a statement.
const CHANGES_AT_ONCE_MAX: usize = 10_000;

async fn write_levels(conn: &AsyncPgConnection, changes: &[LevelChange]) -> QueryResult<usize> {
    // An UPDATE changes each level once, and several changes may be of the same level.
    let mut sums: BTreeMap<(VariantId, LocationId), (i64, i64)> = BTreeMap::new();
    for change in changes {
        let (on_hand, reserved) = sums.entry((change.variant_id, change.location_id)).or_default();
        *on_hand += change.on_hand_delta;
        *reserved += change.reserved_delta;
    }
    let update = diesel::sql_query(
        "UPDATE commerce.stock_levels AS level
         SET on_hand = level.on_hand + change.on_hand, reserved = level.reserved + change.reserved,
             updated_at = commerce.clock()
         FROM unnest($1, $2, $3, $4) AS change (variant_id, location_id, on_hand, reserved)
         WHERE level.variant_id = change.variant_id AND level.location_id = change.location_id",
    )
    .bind::<Array<Uuid>, _>(sums.keys().map(|(variant_id, _)| variant_id.0).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(sums.keys().map(|(_, location_id)| location_id.0).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(sums.values().map(|(on_hand, _)| *on_hand).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(sums.values().map(|(_, reserved)| *reserved).collect::<Vec<_>>());
    Prepared(update).execute(&mut &*conn).await
}

async fn write_movements(
    conn: &AsyncPgConnection,
    changes: &[LevelChange],
    origin: &Origin,
) -> QueryResult<usize> {
    let column = changes.iter();
    let insert = diesel::sql_query(
        "INSERT INTO commerce.stock_movements
             (id, variant_id, location_id, kind, on_hand_delta, reserved_delta, reason, reservation_id, order_id, actor)
         SELECT change.*, $10 FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS change",
    )
    .bind::<Array<Uuid>, _>(column.clone().map(|_| MovementId::new().0).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(column.clone().map(|change| change.variant_id.0).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(column.clone().map(|change| change.location_id.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(column.clone().map(|change| change.kind.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column.clone().map(|change| change.on_hand_delta).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column.clone().map(|change| change.reserved_delta).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(column.clone().map(|change| change.reason.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Uuid>>, _>(
        column.clone().map(|change| change.reservation_id.map(|id| id.0)).collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Uuid>>, _>(column.map(|change| change.order_id.map(|id| id.0)).collect::<Vec<_>>())
    .bind::<Text, _>(origin.actor.to_string());
    Prepared(insert).execute(&mut &*conn).await
}

async fn write_level(conn: &AsyncPgConnection, change: &LevelChange) -> QueryResult<usize> {
    let update = diesel::update(stock_levels::table.find((change.variant_id, change.location_id))).set((
        stock_levels::on_hand.eq(stock_levels::on_hand + change.on_hand_delta),
        stock_levels::reserved.eq(stock_levels::reserved + change.reserved_delta),
        stock_levels::updated_at.eq(clock()),
    ));
    Prepared(update).execute(&mut &*conn).await
}

async fn write_movement(
    conn: &AsyncPgConnection,
    change: &LevelChange,
    origin: &Origin,
) -> QueryResult<usize> {
    diesel::insert_into(stock_movements::table)
        .values((
            stock_movements::id.eq(MovementId::new()),
            stock_movements::variant_id.eq(change.variant_id),
            stock_movements::location_id.eq(change.location_id),
            stock_movements::kind.eq(change.kind),
            stock_movements::on_hand_delta.eq(change.on_hand_delta),
            stock_movements::reserved_delta.eq(change.reserved_delta),
            stock_movements::reason.eq(change.reason.as_deref()),
            stock_movements::reservation_id.eq(change.reservation_id.map(|id| id.0)),
            stock_movements::order_id.eq(change.order_id),
            stock_movements::actor.eq(origin.actor.to_string()),
        ))
        .execute(&mut &*conn)
        .await
}
