//! Reserves stock for a cart or an order.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::future::{try_join, try_join_all};

use super::LockedStock;
use super::allocate::{Allocation, Demand, Shortage, allocate, merge};
use super::hold::expire_lapsed_holds;
use super::ledger::{LevelChange, MovementKind};
use super::reservation::ReservationStatus;
use crate::db::Retryable;
use crate::ids::{CartId, OrderId, ReservationId};
use crate::request::Origin;
use crate::schema::stock_reservations;

/// For whom stock is reserved.
#[derive(Debug, Clone, Copy)]
pub enum ReservedFor {
    /// A cart, until the hold lapses.
    Cart {
        /// The cart.
        id: CartId,
        /// When the hold lapses.
        expires_at: DateTime<Utc>,
    },
    /// An order, until it is shipped or cancelled.
    Order {
        /// The order.
        id: OrderId,
        /// The first status of the reservation: held until the order is paid, or committed at once.
        status: ReservationStatus,
    },
}

/// Why nothing was reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// Too few units are available. Every variant that is short is listed.
    #[error("not enough in stock")]
    OutOfStock(Vec<Shortage>),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ReserveError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Reserves all of `wanted` from locked stock, or nothing. If stock is short, lapsed holds of carts are
/// reclaimed first, so that a late sweep never costs a sale.
///
/// A shared borrow of the connection is enough, so that other writes can be sent together with it.
pub async fn reserve(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    wanted: &[Demand],
    reserved_for: ReservedFor,
    origin: &Origin,
) -> Result<(), ReserveError> {
    let wanted = merge(wanted);
    let mut allocations = allocate(&stock.levels, &wanted);
    if allocations.is_err() {
        expire_lapsed_holds(conn, stock, origin).await?;
        allocations = allocate(&stock.levels, &wanted);
    }
    let allocations = allocations.map_err(ReserveError::OutOfStock)?;
    let allocations: Vec<_> =
        allocations.into_iter().map(|allocation| (ReservationId::new(), allocation)).collect();
    let changes: Vec<LevelChange> =
        allocations.iter().map(|(id, allocation)| level_change(*id, allocation, reserved_for)).collect();
    let reservations =
        allocations.iter().map(|(id, allocation)| insert_reservation(conn, *id, allocation, reserved_for));
    let reservations = try_join_all(reservations);
    try_join(reservations, stock.write(conn, &changes, origin)).await?;
    Ok(())
}

/// The ledger entry for units that are reserved from a level.
fn level_change(id: ReservationId, allocation: &Allocation, reserved_for: ReservedFor) -> LevelChange {
    LevelChange {
        variant_id: allocation.variant_id,
        location_id: allocation.location_id,
        kind: MovementKind::Reserve,
        on_hand_delta: 0,
        reserved_delta: allocation.quantity,
        reason: None,
        reservation_id: Some(id),
        order_id: match reserved_for {
            ReservedFor::Order { id, .. } => Some(id),
            ReservedFor::Cart { .. } => None,
        },
    }
}

async fn insert_reservation(
    conn: &AsyncPgConnection,
    id: ReservationId,
    allocation: &Allocation,
    reserved_for: ReservedFor,
) -> QueryResult<usize> {
    let (cart_id, order_id, expires_at, status) = match reserved_for {
        ReservedFor::Cart { id, expires_at } => (Some(id), None, Some(expires_at), ReservationStatus::Held),
        ReservedFor::Order { id, status } => (None, Some(id), None, status),
    };
    diesel::insert_into(stock_reservations::table)
        .values((
            stock_reservations::id.eq(id),
            stock_reservations::variant_id.eq(allocation.variant_id),
            stock_reservations::location_id.eq(allocation.location_id),
            stock_reservations::quantity.eq(allocation.quantity),
            stock_reservations::status.eq(status),
            stock_reservations::cart_id.eq(cart_id),
            stock_reservations::order_id.eq(order_id),
            stock_reservations::expires_at.eq(expires_at),
        ))
        .execute(&mut { conn })
        .await
}
