//! The life of a reservation: held → committed (paid) → consumed (shipped), or held → released | expired, or
//! committed → released. A lapsed hold is never revived: its units are taken anew under the lock.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::ledger::{LevelChange, MovementKind};
use super::lock::{LockedStock, lock};
use crate::db::clock;
use crate::ids::{CartId, LocationId, OrderId, ReservationId, VariantId};
use crate::request::Origin;
use crate::schema::stock_reservations;
use crate::text_enum::text_enum;

text_enum! {
    /// Where a reservation stands. `held` and `committed` count as reserved.
    pub enum ReservationStatus {
        Held = "held",
        /// Its order is paid.
        Committed = "committed",
        /// Its units were shipped.
        Consumed = "consumed",
        /// Given back.
        Released = "released",
        /// A cart's hold that lapsed.
        Expired = "expired",
    }
}

/// Units of a level set aside.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = stock_reservations)]
pub struct Reservation {
    pub id: ReservationId,
    pub variant_id: VariantId,
    pub location_id: LocationId,
    pub quantity: i64,
    pub status: ReservationStatus,
    pub cart_id: Option<CartId>,
    pub order_id: Option<OrderId>,
    pub expires_at: Option<DateTime<Utc>>,
}

const LIVE: [ReservationStatus; 2] = [ReservationStatus::Held, ReservationStatus::Committed];

/// The live reservations of an order. Call it under the order's lock: only its holder ends them.
pub async fn list_for_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> QueryResult<Vec<Reservation>> {
    stock_reservations::table
        .filter(stock_reservations::order_id.eq(order_id))
        .filter(stock_reservations::status.eq_any(LIVE))
        .select(Reservation::as_select())
        .order(stock_reservations::id)
        .load(conn)
        .await
}

/// The order is paid: its units now belong to it until they are shipped. Needs the order's lock; no level changes.
pub async fn commit_for_order(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<usize> {
    let held = stock_reservations::table
        .filter(stock_reservations::order_id.eq(order_id))
        .filter(stock_reservations::status.eq(ReservationStatus::Held));
    diesel::update(held)
        .set((
            stock_reservations::status.eq(ReservationStatus::Committed),
            stock_reservations::updated_at.eq(clock()),
        ))
        .execute(conn)
        .await
}

/// Gives back all that an order still has reserved. Needs the order's lock; takes the stock's.
pub async fn release_for_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    reason: &str,
    origin: &Origin,
) -> QueryResult<()> {
    let reservations = list_for_order(conn, order_id).await?;
    let mut stock = lock(conn, reservations.iter().map(|reservation| reservation.variant_id)).await?;
    end(conn, &mut stock, &reservations, ReservationStatus::Released, Some(reason), origin).await
}

/// The order's units leave the house. Needs the order's lock; takes the stock's.
pub async fn consume_for_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    origin: &Origin,
) -> QueryResult<()> {
    let reservations = list_for_order(conn, order_id).await?;
    let mut stock = lock(conn, reservations.iter().map(|reservation| reservation.variant_id)).await?;
    end(conn, &mut stock, &reservations, ReservationStatus::Consumed, None, origin).await
}

/// Gives back what a cart holds of locked stock: before it is held anew in another quantity, or ordered. Lapsed holds of this
/// cart go the same way.
pub async fn release_cart_holds(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    cart_id: CartId,
    origin: &Origin,
) -> QueryResult<()> {
    let holds: Vec<Reservation> = stock_reservations::table
        .filter(stock_reservations::cart_id.eq(cart_id))
        .filter(stock_reservations::status.eq(ReservationStatus::Held))
        .filter(stock_reservations::variant_id.eq_any(stock.levels.iter().map(|level| level.variant_id)))
        .select(Reservation::as_select())
        .load(&mut { conn })
        .await?;
    end(conn, stock, &holds, ReservationStatus::Released, Some("cart changed or ordered"), origin).await
}

/// Ends the lapsed holds of any cart on locked stock.
pub(super) async fn expire_lapsed_holds(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    origin: &Origin,
) -> QueryResult<()> {
    let lapsed: Vec<Reservation> = stock_reservations::table
        .filter(stock_reservations::variant_id.eq_any(stock.levels.iter().map(|level| level.variant_id)))
        .filter(stock_reservations::status.eq(ReservationStatus::Held))
        .filter(stock_reservations::cart_id.is_not_null())
        .filter(stock_reservations::expires_at.le(clock().nullable()))
        .select(Reservation::as_select())
        .load(&mut { conn })
        .await?;
    end(conn, stock, &lapsed, ReservationStatus::Expired, Some("hold lapsed"), origin).await
}

/// The sweep: ends up to `holds_max` holds that have lapsed, oldest first, and returns how many it looked at. Safe to run in
/// several processes at once.
pub async fn release_lapsed_holds(conn: &mut AsyncPgConnection, holds_max: i64) -> QueryResult<usize> {
    conn.transaction(async |conn| {
        let variants: Vec<VariantId> = stock_reservations::table
            .filter(stock_reservations::status.eq(ReservationStatus::Held))
            .filter(stock_reservations::cart_id.is_not_null())
            .filter(stock_reservations::expires_at.le(clock().nullable()))
            .order(stock_reservations::expires_at)
            .limit(holds_max)
            .select(stock_reservations::variant_id)
            .load(conn)
            .await?;
        let count = variants.len();
        let mut stock = lock(conn, variants).await?;
        expire_lapsed_holds(conn, &mut stock, &Origin::system()).await?;
        Ok(count)
    })
    .await
}

/// Ends reservations whose levels are locked: status, level and ledger in step.
async fn end(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    reservations: &[Reservation],
    status: ReservationStatus,
    reason: Option<&str>,
    origin: &Origin,
) -> QueryResult<()> {
    if reservations.is_empty() {
        return Ok(());
    }
    let (kind, takes_on_hand) = match status {
        ReservationStatus::Consumed => (MovementKind::Consume, 1),
        _ => (MovementKind::Release, 0),
    };
    let changes: Vec<LevelChange> = reservations
        .iter()
        .map(|reservation| LevelChange {
            variant_id: reservation.variant_id,
            location_id: reservation.location_id,
            kind,
            on_hand_delta: -reservation.quantity * takes_on_hand,
            reserved_delta: -reservation.quantity,
            reason: reason.map(str::to_owned),
            reservation_id: Some(reservation.id),
            order_id: reservation.order_id,
        })
        .collect();
    let ids = reservations.iter().map(|reservation| reservation.id);
    diesel::update(stock_reservations::table.filter(stock_reservations::id.eq_any(ids)))
        .set((stock_reservations::status.eq(status), stock_reservations::updated_at.eq(clock())))
        .execute(&mut { conn })
        .await?;
    stock.write(conn, &changes, origin).await
}
