//! The holds of carts in mode `cart`: how long they last, and who gets their units afterwards.
//!
//! A hold lasts for `ShopSettings::cart_hold_ttl` from the last change of its item, by the database's clock.
//! When it lapses, its units count as available. They still count as reserved until somebody reclaims them:
//!
//! - anybody who would otherwise fall short, in [`super::reserve`], so that a late sweep never costs a sale
//! - the sweep, [`release_lapsed_holds`]
//! - its own cart, when the cart is changed or ordered, in [`release_cart_holds`]
//!
//! A lapsed hold is never revived. Its units are reserved anew under the lock.
//!
//! A hold of a variant that is no longer counted lasts until it lapses, even if its cart is ordered meanwhile.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::end_reservation::{Part, end};
use super::lock::{LockedStock, lock};
use super::reservation::{Reservation, ReservationStatus};
use crate::db::clock;
use crate::ids::{CartId, VariantId};
use crate::request::Origin;
use crate::schema::stock_reservations;

/// Releases what a cart holds of locked stock, before another quantity is held or the cart is ordered. Lapsed
/// holds of this cart are released too.
pub(crate) async fn release_cart_holds(
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
    let holds = holds.into_iter().map(Part::from).collect();
    end(conn, stock, holds, ReservationStatus::Released, Some("cart changed or ordered"), origin).await
}

/// Ends the lapsed holds of all carts on locked stock.
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
    let lapsed = lapsed.into_iter().map(Part::from).collect();
    end(conn, stock, lapsed, ReservationStatus::Expired, Some("hold lapsed"), origin).await
}

/// The sweep: ends up to `holds_max` lapsed holds, oldest first, and returns how many it looked at. It is
/// safe to run in several processes at once.
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
