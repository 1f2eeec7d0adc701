//! The life of a reservation: held → committed (paid) → consumed (shipped), or held → released | expired, or
//! committed → released. `hold.rs` explains how long a cart's hold lasts, and who gets its units afterwards.
//!
//! A reservation belongs to an order, for a variant at a location, and not to a line. Two lines with the same
//! variant share its reservations, and each line counts how much of it was shipped. A line whose variant was
//! not counted when it was ordered has none (`order_lines.track_inventory`), even if it is counted today.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db::clock;
use crate::ids::{CartId, LocationId, OrderId, ReservationId, VariantId};
use crate::schema::{order_lines, stock_reservations};
use crate::text_enum::text_enum;

text_enum! {
    /// The status of a reservation. `held` and `committed` count as reserved.
    pub enum ReservationStatus {
        /// Reserved for a cart, or for an order that is not paid yet.
        Held = "held",
        /// Its order is paid.
        Committed = "committed",
        /// Its units were shipped.
        Consumed = "consumed",
        /// Released again.
        Released = "released",
        /// A cart's hold that lapsed.
        Expired = "expired",
    }
}

/// Reserved units of a level.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = stock_reservations)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// The reserved units.
    pub quantity: i64,
    /// The status of the reservation.
    pub status: ReservationStatus,
    /// The cart that holds the units, as long as it is open.
    pub cart_id: Option<CartId>,
    /// The order that the units are for, once there is one.
    pub order_id: Option<OrderId>,
    /// When a cart's hold lapses. `None` for an order.
    pub expires_at: Option<DateTime<Utc>>,
}

pub(super) const LIVE: [ReservationStatus; 2] = [ReservationStatus::Held, ReservationStatus::Committed];

/// Those of these variants that the order has without reservations, because they were not counted when it was
/// placed. All lines of an order with the same variant agree on it.
pub(super) async fn uncounted_in_order(
    conn: &AsyncPgConnection,
    order_id: OrderId,
    variants: impl IntoIterator<Item = VariantId>,
) -> QueryResult<Vec<VariantId>> {
    order_lines::table
        .filter(order_lines::order_id.eq(order_id))
        .filter(order_lines::variant_id.eq_any(variants))
        .filter(diesel::dsl::not(order_lines::track_inventory))
        .select(order_lines::variant_id)
        .load(&mut { conn })
        .await
}

/// The live reservations of an order. Call it under the order's lock, because only the holder of that lock
/// ends them.
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

/// Commits an order's reservations after payment. The units now belong to the order until they are shipped.
/// Needs the order's lock. No level changes.
pub(crate) async fn commit_for_order(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<usize> {
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
