//! What each line of an order cost, with its part of discounts and taxes.

use std::collections::BTreeMap;

use super::{Order, OrderLine};
use crate::ids::OrderLineId;
use crate::pricing::apportion;

/// What each line of an order cost, in minor units. It is the line's share of the total without shipping, so that
/// discounts and taxes are divided over the lines, and the costs add up. `lines` are all lines of the order.
pub fn line_costs(order: &Order, lines: &[OrderLine]) -> BTreeMap<OrderLineId, i64> {
    let weights: Vec<i64> = lines.iter().map(|line| line.line_total_minor).collect();
    let goods_minor = (order.total_minor - order.shipping_minor).max(0);
    // Lines that cost nothing have no share of anything.
    let costs = apportion(goods_minor, &weights).unwrap_or(weights);
    lines.iter().map(|line| line.id).zip(costs).collect()
}
