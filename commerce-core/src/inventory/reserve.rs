//! Setting stock aside for a cart or an order.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::future::{try_join, try_join_all};

use super::LockedStock;
use super::ledger::{LevelChange, MovementKind};
use super::lock::LockedLevel;
use super::reservation::{ReservationStatus, expire_lapsed_holds};
use crate::db::Retryable;
use crate::ids::{CartId, LocationId, OrderId, ReservationId, VariantId};
use crate::request::Origin;
use crate::schema::stock_reservations;

/// So many units of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    pub variant_id: VariantId,
    pub quantity: i64,
}

/// A variant of which there is less than was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    pub variant_id: VariantId,
    /// Units that were asked for.
    pub requested: i64,
    /// Units that could still be had.
    pub available: i64,
}

/// For whom stock is set aside.
#[derive(Debug, Clone, Copy)]
pub enum Holder {
    /// Until the hold lapses.
    Cart { id: CartId, expires_at: DateTime<Utc> },
    /// Until the order is shipped or cancelled.
    Order { id: OrderId, status: ReservationStatus },
}

/// Why nothing was reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    #[error("not enough in stock")]
    OutOfStock(Vec<Shortage>),
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ReserveError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Reserves all of `wanted` from locked stock, or nothing. Where it falls short, holds of carts that have lapsed are
/// reclaimed first, so that a late sweeper never costs a sale.
///
/// A shared borrow of the connection is enough, so that other writes can travel with it.
pub async fn reserve(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    wanted: &[Demand],
    holder: Holder,
    origin: &Origin,
) -> Result<(), ReserveError> {
    let wanted = merge(wanted);
    let mut allocations = allocate(&stock.levels, &wanted);
    if allocations.is_err() {
        expire_lapsed_holds(conn, stock, origin).await?;
        allocations = allocate(&stock.levels, &wanted);
    }
    let allocations = allocations.map_err(ReserveError::OutOfStock)?;
    let changes: Vec<LevelChange> =
        allocations.iter().map(|allocation| allocation.level_change(holder)).collect();
    let reservations =
        try_join_all(allocations.iter().map(|allocation| insert_reservation(conn, allocation, holder)));
    try_join(reservations, stock.write(conn, &changes, origin)).await?;
    Ok(())
}

/// Units taken from one level.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allocation {
    reservation_id: ReservationId,
    variant_id: VariantId,
    location_id: LocationId,
    quantity: i64,
}

impl Allocation {
    fn level_change(&self, holder: Holder) -> LevelChange {
        LevelChange {
            variant_id: self.variant_id,
            location_id: self.location_id,
            kind: MovementKind::Reserve,
            on_hand_delta: 0,
            reserved_delta: self.quantity,
            reason: None,
            reservation_id: Some(self.reservation_id),
            order_id: match holder {
                Holder::Order { id, .. } => Some(id),
                Holder::Cart { .. } => None,
            },
        }
    }
}

/// One demand a variant.
fn merge(wanted: &[Demand]) -> BTreeMap<VariantId, i64> {
    let mut merged = BTreeMap::new();
    for demand in wanted {
        let quantity: &mut i64 = merged.entry(demand.variant_id).or_default();
        *quantity = quantity.saturating_add(demand.quantity);
    }
    merged
}

/// Which level gives how much: locations by priority, a demand split over several when it must be. Names every variant
/// that falls short.
fn allocate(
    levels: &[LockedLevel],
    wanted: &BTreeMap<VariantId, i64>,
) -> Result<Vec<Allocation>, Vec<Shortage>> {
    let mut allocations = Vec::new();
    let mut shortages = Vec::new();
    for (&variant_id, &requested) in wanted {
        let mut missing = requested;
        for level in levels.iter().filter(|level| level.variant_id == variant_id) {
            let quantity = missing.min(level.on_hand - level.reserved);
            if quantity > 0 {
                let location_id = level.location_id;
                allocations.push(Allocation {
                    reservation_id: ReservationId::new(),
                    variant_id,
                    location_id,
                    quantity,
                });
                missing -= quantity;
            }
        }
        if missing > 0 {
            shortages.push(Shortage { variant_id, requested, available: requested - missing });
        }
    }
    if shortages.is_empty() { Ok(allocations) } else { Err(shortages) }
}

async fn insert_reservation(
    conn: &AsyncPgConnection,
    allocation: &Allocation,
    holder: Holder,
) -> QueryResult<usize> {
    let (cart_id, order_id, expires_at, status) = match holder {
        Holder::Cart { id, expires_at } => (Some(id), None, Some(expires_at), ReservationStatus::Held),
        Holder::Order { id, status } => (None, Some(id), None, status),
    };
    diesel::insert_into(stock_reservations::table)
        .values((
            stock_reservations::id.eq(allocation.reservation_id),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn level(
        variant: VariantId,
        location: LocationId,
        priority: i32,
        on_hand: i64,
        reserved: i64,
    ) -> LockedLevel {
        LockedLevel { variant_id: variant, location_id: location, priority, on_hand, reserved }
    }

    #[test]
    fn a_demand_is_taken_by_priority_and_split_when_it_must_be() {
        let (variant, near, far) = (VariantId::new(), LocationId::new(), LocationId::new());
        let levels = [level(variant, near, 1, 5, 3), level(variant, far, 2, 10, 0)];
        let taken = allocate(&levels, &BTreeMap::from([(variant, 6)])).unwrap();
        let taken: Vec<_> =
            taken.iter().map(|allocation| (allocation.location_id, allocation.quantity)).collect();
        assert_eq!(taken, [(near, 2), (far, 4)]);
    }

    #[test]
    fn every_short_variant_is_named_and_nothing_is_taken() {
        let (a, b, place) = (VariantId::new(), VariantId::new(), LocationId::new());
        let levels = [level(a, place, 1, 2, 0)];
        let shortages = allocate(&levels, &BTreeMap::from([(a, 3), (b, 1)])).unwrap_err();
        assert_eq!(
            shortages,
            [
                Shortage { variant_id: a, requested: 3, available: 2 },
                Shortage { variant_id: b, requested: 1, available: 0 }
            ]
        );
    }

    #[test]
    fn demands_for_the_same_variant_count_together() {
        let variant_id = VariantId::new();
        let merged = merge(&[Demand { variant_id, quantity: 2 }, Demand { variant_id, quantity: i64::MAX }]);
        assert_eq!(merged, BTreeMap::from([(variant_id, i64::MAX)]));
    }
}
