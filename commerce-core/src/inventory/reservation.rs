//! The life of a reservation: held → committed (paid) → consumed (shipped), or held → released | expired, or
//! committed → released. How long a cart holds, and who gets it then, is told in `hold.rs`.
//!
//! A reservation is an order's, of a variant at a location, and knows no line: two lines of one variant share what is reserved
//! of it, and each line counts for itself what of it was shipped.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db::clock;
use crate::ids::{CartId, LocationId, OrderId, ReservationId, VariantId};
use crate::schema::stock_reservations;
use crate::text_enum::text_enum;

text_enum! {
    /// Where a reservation stands. `held` and `committed` count as reserved.
    pub enum ReservationStatus {
        /// Set aside for a cart, or for an order that is not paid yet.
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
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = stock_reservations)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// The variant.
    pub variant_id: VariantId,
    /// Where the units are kept.
    pub location_id: LocationId,
    /// Units set aside.
    pub quantity: i64,
    /// What has become of them.
    pub status: ReservationStatus,
    /// The cart that holds them, while it is open.
    pub cart_id: Option<CartId>,
    /// The order that they are for, once there is one.
    pub order_id: Option<OrderId>,
    /// When a cart's hold lapses; none for an order.
    pub expires_at: Option<DateTime<Utc>>,
}

pub(super) const LIVE: [ReservationStatus; 2] = [ReservationStatus::Held, ReservationStatus::Committed];

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
