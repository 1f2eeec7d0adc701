//! Goods that come back from an order.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::MAIN_LOCATION;
use super::adjust::ensure_levels;
use super::allocate::{Demand, merge};
use super::ledger::{LevelChange, MovementKind};
use super::limits::ON_HAND_MAX;
use super::lock::{LockedStock, lock};
use super::reservation::uncounted_in_order;
use crate::db::Retryable;
use crate::ids::{LocationId, OrderId, VariantId};
use crate::request::Origin;
use crate::schema::{stock_locations, stock_movements};

/// Units of a variant that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReturnedUnits {
    /// The variant.
    pub variant_id: VariantId,
    /// The location where they arrived. The variant must have a level there.
    pub location_id: LocationId,
    /// The units, at least 1.
    pub quantity: i64,
    /// Whether the units can be sold again. If not, they are written off at once, also in the ledger.
    pub restock: bool,
}

/// A variant of which more units came back than were shipped and are not back yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotShipped {
    /// The variant.
    pub variant_id: VariantId,
    /// The units that came back.
    pub returned: i64,
    /// The units of the order that the shopper has.
    pub shipped: i64,
}

/// Why nothing was taken back. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReturnError {
    /// Every variant of which fewer units were shipped.
    #[error("fewer units were shipped")]
    NotShipped(Vec<NotShipped>),
    /// A quantity is below 1.
    #[error("{quantity} units of variant {variant_id} cannot come back", variant_id = .0.variant_id, quantity = .0.quantity)]
    NoUnits(ReturnedUnits),
    /// The variant has no level at the location, the level is not among the locked ones, or the location is
    /// deleted.
    #[error("variant {0} has no stock level at this location")]
    UnknownLevel(VariantId),
    /// The level would exceed the highest number.
    #[error("variant {0} would have more than {ON_HAND_MAX} units on hand")]
    TooLarge(VariantId),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ReturnError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Takes back units of an order that were shipped: all of them, or none. Call it under the order's lock, so
/// that the same units cannot come back twice. Variants that were not counted when they were ordered are
/// skipped: nothing left the stock for them, and nothing comes back into it.
pub async fn return_units(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    order_id: OrderId,
    units: &[ReturnedUnits],
    reason: &str,
    origin: &Origin,
) -> Result<(), ReturnError> {
    if let Some(none) = units.iter().find(|units| units.quantity < 1) {
        return Err(ReturnError::NoUnits(*none));
    }
    let uncounted = uncounted_in_order(conn, order_id, units.iter().map(|units| units.variant_id)).await?;
    let counted = || units.iter().filter(|units| !uncounted.contains(&units.variant_id));
    let open = open_locations(conn, counted().map(|units| units.location_id)).await?;
    let mut returned: BTreeMap<VariantId, i64> = BTreeMap::new();
    for &ReturnedUnits { variant_id, location_id, quantity, .. } in counted() {
        if !open.contains(&location_id) {
            return Err(ReturnError::UnknownLevel(variant_id));
        }
        let sum = returned.entry(variant_id).or_default();
        *sum = sum.saturating_add(quantity);
        let level = stock.level_mut(variant_id, location_id).ok_or(ReturnError::UnknownLevel(variant_id))?;
        if level.on_hand.saturating_add(*sum) > ON_HAND_MAX {
            return Err(ReturnError::TooLarge(variant_id));
        }
    }
    let with_shopper = with_shopper(conn, order_id, returned.keys().copied().collect()).await?;
    let short = |(variant_id, returned): (VariantId, i64)| {
        let shipped = with_shopper.get(&variant_id).copied().unwrap_or(0);
        (returned > shipped).then_some(NotShipped { variant_id, returned, shipped })
    };
    let short: Vec<NotShipped> = returned.into_iter().filter_map(short).collect();
    if !short.is_empty() {
        return Err(ReturnError::NotShipped(short));
    }
    let changes: Vec<LevelChange> =
        counted().flat_map(|units| level_changes(*units, order_id, reason)).collect();
    Ok(stock.write(conn, &changes, origin).await?)
}

/// Takes units of an order that were shipped back into stock, at the locations that they left: all of them, or
/// none. Units that left a location that is deleted by now go to the main location. Units that cannot be sold again are
/// written off at once. Needs the order's lock, and locks the stock. Variants that were not counted when they were ordered
/// are skipped.
pub(crate) async fn return_to_stock(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    units: &[Demand],
    restock: bool,
    reason: &str,
    origin: &Origin,
) -> Result<(), ReturnError> {
    let units: Vec<(Demand, bool)> = units.iter().map(|demand| (*demand, restock)).collect();
    return_each_to_stock(conn, order_id, &units, reason, origin).await
}

/// Like [`return_to_stock`], with the word for each whether its units can be sold again.
pub(crate) async fn return_each_to_stock(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    units: &[(Demand, bool)],
    reason: &str,
    origin: &Origin,
) -> Result<(), ReturnError> {
    let variants = units.iter().map(|(demand, _)| demand.variant_id);
    let uncounted = uncounted_in_order(conn, order_id, variants).await?;
    let (mut resold, mut written_off) = (Vec::new(), Vec::new());
    for (demand, restock) in units.iter().filter(|(demand, _)| !uncounted.contains(&demand.variant_id)) {
        if *restock { &mut resold } else { &mut written_off }.push(*demand);
    }
    let wanted = merge(&[resold.as_slice(), &written_off].concat());
    let mut stock = lock(conn, wanted.keys().copied()).await?;
    let mut left_from = with_shopper_by_location(conn, order_id, wanted.keys().copied().collect()).await?;
    let (mut returned, mut short) = (Vec::new(), BTreeMap::new());
    for (demands, restock) in [(merge(&resold), true), (merge(&written_off), false)] {
        for (variant_id, quantity) in demands {
            let mut missing = quantity;
            for (&(_, location_id), there) in left_from.iter_mut().filter(|((of, _), _)| *of == variant_id) {
                let quantity = missing.min(*there);
                if quantity > 0 {
                    missing -= quantity;
                    *there -= quantity;
                    returned.push(ReturnedUnits { variant_id, location_id, quantity, restock });
                }
            }
            *short.entry(variant_id).or_default() += missing;
        }
    }
    let short: Vec<NotShipped> = wanted
        .iter()
        .map(|(&variant_id, &returned)| (variant_id, returned, short.get(&variant_id).copied().unwrap_or(0)))
        .filter(|(.., missing)| *missing > 0)
        .map(|(variant_id, returned, missing)| NotShipped {
            variant_id,
            returned,
            shipped: returned - missing,
        })
        .collect();
    if !short.is_empty() {
        return Err(ReturnError::NotShipped(short));
    }
    let open = open_locations(conn, returned.iter().map(|units| units.location_id)).await?;
    let mut is_moved = false;
    for units in returned.iter_mut().filter(|units| !open.contains(&units.location_id)) {
        (units.location_id, is_moved) = (MAIN_LOCATION, true);
    }
    if is_moved {
        ensure_levels(conn, wanted.keys().map(|variant_id| (*variant_id, MAIN_LOCATION))).await?;
        stock = lock(conn, wanted.keys().copied()).await?;
    }
    return_units(conn, &mut stock, order_id, &returned, reason, origin).await
}

/// Those of these locations that are not deleted. None of them is deleted while this transaction has levels locked
/// there, because a deletion locks every level of its location.
async fn open_locations(
    conn: &AsyncPgConnection,
    locations: impl IntoIterator<Item = LocationId>,
) -> QueryResult<BTreeSet<LocationId>> {
    let wanted: BTreeSet<LocationId> = locations.into_iter().collect();
    let open = stock_locations::table
        .filter(stock_locations::id.eq_any(wanted))
        .filter(stock_locations::deleted_at.is_null())
        .select(stock_locations::id);
    Ok(open.load::<LocationId>(&mut { conn }).await?.into_iter().collect())
}

/// Units that cannot be sold come in and go out again, so that the ledger shows both.
fn level_changes(units: ReturnedUnits, order_id: OrderId, reason: &str) -> Vec<LevelChange> {
    let change = |kind, on_hand_delta| LevelChange {
        variant_id: units.variant_id,
        location_id: units.location_id,
        kind,
        on_hand_delta,
        reserved_delta: 0,
        reason: Some(reason.to_owned()),
        reservation_id: None,
        order_id: Some(order_id),
    };
    let mut changes = vec![change(MovementKind::Return, units.quantity)];
    if !units.restock {
        changes.push(change(MovementKind::Adjust, -units.quantity));
    }
    changes
}

/// The units of an order that were shipped and are not back, according to the ledger.
pub(crate) async fn with_shopper(
    conn: &AsyncPgConnection,
    order_id: OrderId,
    variants: Vec<VariantId>,
) -> QueryResult<BTreeMap<VariantId, i64>> {
    let mut left = BTreeMap::new();
    for ((variant_id, _), units) in with_shopper_by_location(conn, order_id, variants).await? {
        *left.entry(variant_id).or_default() += units;
    }
    Ok(left)
}

/// The same by the location that they left. It is negative where more came back than had left.
async fn with_shopper_by_location(
    conn: &AsyncPgConnection,
    order_id: OrderId,
    variants: Vec<VariantId>,
) -> QueryResult<BTreeMap<(VariantId, LocationId), i64>> {
    let moved: Vec<(VariantId, LocationId, i64)> = stock_movements::table
        .filter(stock_movements::order_id.eq(order_id))
        .filter(stock_movements::variant_id.eq_any(variants))
        .filter(stock_movements::kind.eq_any([MovementKind::Consume, MovementKind::Return]))
        .select((stock_movements::variant_id, stock_movements::location_id, stock_movements::on_hand_delta))
        .load(&mut { conn })
        .await?;
    let mut left = BTreeMap::new();
    for (variant_id, location_id, on_hand_delta) in moved {
        *left.entry((variant_id, location_id)).or_default() -= on_hand_delta;
    }
    Ok(left)
}
