//! Which location supplies how many units. Pure functions.

use std::collections::BTreeMap;

use super::lock::LockedLevel;
use crate::ids::{LocationId, VariantId};

/// A quantity of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The variant wanted.
    pub variant_id: VariantId,
    /// Units wanted, more than zero.
    pub quantity: i64,
}

/// A variant of which less is available than was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The variant that is short.
    pub variant_id: VariantId,
    /// The requested units.
    pub requested: i64,
    /// The available units.
    pub available: i64,
}

/// Units taken from one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allocation {
    pub variant_id: VariantId,
    pub location_id: LocationId,
    pub quantity: i64,
}

/// Merges the demands of the same variant.
pub(super) fn merge(wanted: &[Demand]) -> BTreeMap<VariantId, i64> {
    let mut merged = BTreeMap::new();
    for demand in wanted {
        let quantity: &mut i64 = merged.entry(demand.variant_id).or_default();
        *quantity = quantity.saturating_add(demand.quantity);
    }
    merged
}

/// How many units each level supplies. Active locations are used by priority, and a demand is split over several
/// of them if necessary. The error lists every variant that is short.
pub(super) fn allocate(
    levels: &[LockedLevel],
    wanted: &BTreeMap<VariantId, i64>,
) -> Result<Vec<Allocation>, Vec<Shortage>> {
    let mut allocations = Vec::new();
    let mut shortages = Vec::new();
    for (&variant_id, &requested) in wanted {
        let mut missing = requested;
        for level in levels.iter().filter(|level| level.variant_id == variant_id && level.active) {
            let quantity = missing.min(level.on_hand - level.reserved);
            if quantity > 0 {
                allocations.push(Allocation { variant_id, location_id: level.location_id, quantity });
                missing -= quantity;
            }
        }
        if missing > 0 {
            shortages.push(Shortage { variant_id, requested, available: requested - missing });
        }
    }
    if shortages.is_empty() { Ok(allocations) } else { Err(shortages) }
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
        LockedLevel { variant_id: variant, location_id: location, priority, active: true, on_hand, reserved }
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
    fn an_inactive_location_supplies_nothing() {
        let (variant, closed, open) = (VariantId::new(), LocationId::new(), LocationId::new());
        let closed = LockedLevel { active: false, ..level(variant, closed, 1, 9, 0) };
        let levels = [closed, level(variant, open, 2, 3, 0)];
        let taken = allocate(&levels, &BTreeMap::from([(variant, 3)])).unwrap();
        assert_eq!(taken, [Allocation { variant_id: variant, location_id: open, quantity: 3 }]);
        let shortages = allocate(&levels, &BTreeMap::from([(variant, 4)])).unwrap_err();
        assert_eq!(shortages, [Shortage { variant_id: variant, requested: 4, available: 3 }]);
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
