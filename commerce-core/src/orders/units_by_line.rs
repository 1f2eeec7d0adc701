//! Units of lines, added up.

use std::collections::BTreeMap;

use crate::ids::OrderLineId;

/// The units of each line, where a line may be named several times.
pub(crate) fn units_by_line(
    units: impl IntoIterator<Item = (OrderLineId, i64)>,
) -> BTreeMap<OrderLineId, i64> {
    let mut sums: BTreeMap<OrderLineId, i64> = BTreeMap::new();
    for (line, quantity) in units {
        let sum = sums.entry(line).or_default();
        *sum = sum.saturating_add(quantity);
    }
    sums
}
