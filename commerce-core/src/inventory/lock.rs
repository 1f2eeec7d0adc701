//! The row locks on stock.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::future::try_join;

use crate::ids::{LocationId, VariantId};
use crate::schema::{stock_levels, stock_locations};

/// Levels whose rows this transaction has locked. Every write through it keeps its numbers up to date.
#[derive(Debug)]
#[must_use = "a lock is taken to read or change what it guards"]
pub struct LockedStock {
    /// Sorted by variant, then by the location's priority, then by its age.
    pub(super) levels: Vec<LockedLevel>,
}

#[derive(Debug, Clone)]
pub(super) struct LockedLevel {
    pub variant_id: VariantId,
    pub location_id: LocationId,
    pub priority: i32,
    /// Whether the location supplies orders.
    pub active: bool,
    pub on_hand: i64,
    pub reserved: i64,
}

impl LockedStock {
    /// Units that can still be reserved, over all active locations. 0 for a variant without a level.
    pub fn available(&self, variant_id: VariantId) -> i64 {
        self.levels
            .iter()
            .filter(|level| level.variant_id == variant_id && level.active)
            .map(|level| level.on_hand - level.reserved)
            .sum()
    }

    /// The index of a level among the locked ones. `None` if it is not locked.
    pub(super) fn place(&self, variant_id: VariantId, location_id: LocationId) -> Option<usize> {
        self.levels
            .iter()
            .position(|level| level.variant_id == variant_id && level.location_id == location_id)
    }

    pub(super) fn level_mut(
        &mut self,
        variant_id: VariantId,
        location_id: LocationId,
    ) -> Option<&mut LockedLevel> {
        let first = self.levels.partition_point(|level| level.variant_id < variant_id);
        let of_variant =
            self.levels.iter_mut().skip(first).take_while(|level| level.variant_id == variant_id);
        { of_variant }.find(|level| level.location_id == location_id)
    }
}

/// Locks every level of these variants until the transaction ends. Levels are locked in one global order
/// (variant, location), so that two carts with the same variants cannot deadlock. This is the last step of
/// the lock order.
///
/// A shared borrow of the connection is enough, so that the lock can be requested together with writes that
/// it does not guard.
pub async fn lock(
    conn: &AsyncPgConnection,
    variants: impl IntoIterator<Item = VariantId>,
) -> QueryResult<LockedStock> {
    let variants: Vec<VariantId> = variants.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let locked = async {
        stock_levels::table
            .filter(stock_levels::variant_id.eq_any(variants))
            .order((stock_levels::variant_id, stock_levels::location_id))
            .select((
                stock_levels::variant_id,
                stock_levels::location_id,
                stock_levels::on_hand,
                stock_levels::reserved,
            ))
            .for_update()
            .load::<(VariantId, LocationId, i64, i64)>(&mut { conn })
            .await
    };
    // After the lock, so that a location that was switched off while this waited supplies nothing.
    let active = async {
        stock_locations::table
            .filter(stock_locations::active)
            .select((stock_locations::id, stock_locations::priority))
            .load::<(LocationId, i32)>(&mut { conn })
            .await
    };
    let (locked, active) = try_join(locked, active).await?;
    let priority_of = |id| active.iter().find(|(location, _)| *location == id).map(|(_, rank)| *rank);
    let mut levels: Vec<_> = locked
        .into_iter()
        .map(|(variant_id, location_id, on_hand, reserved)| {
            let priority = priority_of(location_id);
            LockedLevel {
                variant_id,
                location_id,
                priority: priority.unwrap_or(i32::MAX),
                active: priority.is_some(),
                on_hand,
                reserved,
            }
        })
        .collect();
    levels.sort_by_key(|level| (level.variant_id, level.priority, level.location_id));
    Ok(LockedStock { levels })
}
