//! Levels that differ from the ledger or from the reservations, as after a change by hand in the database.
//!
//! - **What is on hand is what the ledger says**: it has a reason for every unit, and a level is only its sum.
//! - **What is reserved is what live reservations say**: orders are shipped and released by them. The level follows
//!   them, and so does the ledger, by an entry of the kind `repair`.
//!
//! A level whose ledger has fewer units than its reservations, or less than none, is not mended: only somebody who
//! counts the goods knows what is there.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::ledger::MovementKind;
use super::limits::ON_HAND_MAX;
use super::lock::lock;
use crate::db::clock;
use crate::ids::{LocationId, MovementId, VariantId};
use crate::request::Origin;
use crate::schema::{stock_levels, stock_movements};

/// A level that differs from the ledger or from its reservations.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize)]
pub struct Drift {
    /// The variant.
    #[diesel(sql_type = SqlUuid)]
    pub variant_id: VariantId,
    /// The location.
    #[diesel(sql_type = SqlUuid)]
    pub location_id: LocationId,
    /// Units on hand, as the level has them.
    #[diesel(sql_type = BigInt)]
    pub on_hand: i64,
    /// Units on hand, as the ledger has them.
    #[diesel(sql_type = BigInt)]
    pub ledger_on_hand: i64,
    /// Reserved units, as the level has them.
    #[diesel(sql_type = BigInt)]
    pub reserved: i64,
    /// Reserved units, as the ledger has them.
    #[diesel(sql_type = BigInt)]
    pub ledger_reserved: i64,
    /// The units of live reservations.
    #[diesel(sql_type = BigInt)]
    pub live_reserved: i64,
}

impl Drift {
    /// Whether it is certain what the level must be.
    pub fn can_be_mended(&self) -> bool {
        (self.live_reserved..=ON_HAND_MAX).contains(&self.ledger_on_hand)
    }
}

/// Every level that drifted, or that of a variant.
pub async fn find_drift(
    conn: &mut AsyncPgConnection,
    variant_id: Option<VariantId>,
) -> QueryResult<Vec<Drift>> {
    let query = "SELECT l.variant_id, l.location_id, l.on_hand, l.reserved,
                coalesce(m.on_hand, 0)::bigint AS ledger_on_hand, coalesce(m.reserved, 0)::bigint AS ledger_reserved,
                coalesce(r.quantity, 0)::bigint AS live_reserved
         FROM commerce.stock_levels AS l
         LEFT JOIN (SELECT variant_id, location_id, sum(on_hand_delta) AS on_hand, sum(reserved_delta) AS reserved
                    FROM commerce.stock_movements WHERE $1 IS NULL OR variant_id = $1 GROUP BY 1, 2) AS m
             USING (variant_id, location_id)
         LEFT JOIN (SELECT variant_id, location_id, sum(quantity) AS quantity FROM commerce.stock_reservations
                    WHERE status IN ('held', 'committed') AND ($1 IS NULL OR variant_id = $1) GROUP BY 1, 2) AS r
             USING (variant_id, location_id)
         WHERE ($1 IS NULL OR l.variant_id = $1)
           AND (l.on_hand <> coalesce(m.on_hand, 0) OR l.reserved <> coalesce(m.reserved, 0)
                OR l.reserved <> coalesce(r.quantity, 0))
         ORDER BY l.variant_id, l.location_id";
    diesel::sql_query(query).bind::<Nullable<SqlUuid>, _>(variant_id).load(conn).await
}

/// Locks the levels of a variant and mends those that can be mended. Returns all that drifted, as they were.
pub(crate) async fn mend(
    conn: &mut AsyncPgConnection,
    variant_id: VariantId,
    origin: &Origin,
) -> QueryResult<Vec<Drift>> {
    // The lock also guards the reservations and the ledger of these levels.
    let _stock = lock(conn, [variant_id]).await?;
    let drifted = find_drift(conn, Some(variant_id)).await?;
    for drift in drifted.iter().filter(|drift| drift.can_be_mended()) {
        let missing = drift.live_reserved - drift.ledger_reserved;
        if missing != 0 {
            diesel::insert_into(stock_movements::table)
                .values((
                    stock_movements::id.eq(MovementId::new()),
                    stock_movements::variant_id.eq(variant_id),
                    stock_movements::location_id.eq(drift.location_id),
                    stock_movements::kind.eq(MovementKind::Repair),
                    stock_movements::on_hand_delta.eq(0_i64),
                    stock_movements::reserved_delta.eq(missing),
                    stock_movements::reason.eq("as many as live reservations have"),
                    stock_movements::actor.eq(origin.actor.to_string()),
                ))
                .execute(conn)
                .await?;
        }
        diesel::update(stock_levels::table.find((variant_id, drift.location_id)))
            .set((
                stock_levels::on_hand.eq(drift.ledger_on_hand),
                stock_levels::reserved.eq(drift.live_reserved),
                stock_levels::updated_at.eq(clock()),
            ))
            .execute(conn)
            .await?;
    }
    Ok(drifted)
}
