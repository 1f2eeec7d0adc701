//! Units of a line that are paid back: because they were refunded, or because they were cancelled. Both are priced in
//! one way, so that all of them together are paid back exactly what the line cost, in whatever parts and order.

use crate::orders::OrderLine;
use crate::payments::RefundedUnits;
use crate::pricing::share_of_returned;

/// What was refunded and cancelled of a line so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct GoneUnits {
    /// Units of the line.
    quantity: i64,
    /// What the line cost, with its part of discounts and taxes.
    cost_minor: i64,
    refunded: RefundedUnits,
    cancelled: i64,
    cancelled_minor: i64,
}

impl GoneUnits {
    pub(super) fn of(line: &OrderLine, cost_minor: i64, refunded: RefundedUnits) -> Self {
        let &OrderLine { quantity, cancelled_quantity: cancelled, cancelled_minor, .. } = line;
        Self { quantity, cost_minor, refunded, cancelled, cancelled_minor }
    }

    /// Units that were neither refunded nor cancelled.
    pub(super) fn left(&self) -> i64 {
        (self.quantity - self.refunded.quantity - self.cancelled).max(0)
    }

    /// Units that were refunded first and cancelled later.
    fn both(&self) -> i64 {
        (self.refunded.quantity + self.cancelled - self.quantity).max(0)
    }

    /// What refunded units cost that are cancelled later, too.
    fn both_minor(&self, units: i64) -> i64 {
        let RefundedUnits { quantity, amount_minor, .. } = self.refunded;
        share_of_returned(amount_minor, quantity, 0, units).unwrap_or(0)
    }

    /// What the next units cost, of those that are left.
    pub(super) fn price(&self, units: i64) -> i64 {
        let gone = self.refunded.quantity + self.cancelled - self.both();
        let gone_minor = self.refunded.amount_minor + self.cancelled_minor - self.both_minor(self.both());
        // A failed refund leaves a gap, so what is gone is subtracted as it is.
        let then_minor = share_of_returned(self.cost_minor, self.quantity, 0, gone + units);
        (then_minor.unwrap_or(gone_minor) - gone_minor).max(0)
    }

    /// What these units cost that are to be cancelled, and the part of it that was not refunded before.
    pub(super) fn price_of_cancelled(&self, units: i64) -> (i64, i64) {
        let after = Self { cancelled: self.cancelled + units, ..*self };
        let again = after.both() - self.both();
        let again_minor = after.both_minor(after.both()) - self.both_minor(self.both());
        let fresh_minor = self.price(units - again);
        (fresh_minor + again_minor, fresh_minor)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    #[test]
    fn any_mix_of_refunds_and_cancellations_pays_back_what_the_line_cost() {
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..5_000 {
            let quantity = random.random_range(1..12);
            let cost_minor = random.random_range(0..200);
            let refunded = RefundedUnits::default();
            let mut gone = GoneUnits { quantity, cost_minor, refunded, cancelled: 0, cancelled_minor: 0 };
            let mut paid_back = 0;
            while gone.cancelled < quantity {
                let refunds = gone.left() > 0 && random.random_bool(0.4);
                if refunds {
                    let units = random.random_range(1..=gone.left());
                    let price = gone.price(units);
                    gone.refunded.quantity += units;
                    gone.refunded.amount_minor += price;
                    paid_back += price;
                } else {
                    let units = random.random_range(1..=quantity - gone.cancelled);
                    let (value, fresh) = gone.price_of_cancelled(units);
                    gone.cancelled += units;
                    gone.cancelled_minor += value;
                    paid_back += fresh;
                }
                assert!(paid_back <= cost_minor, "{gone:?}: {paid_back}");
            }
            // Everything is cancelled now, whatever was refunded before.
            assert_eq!((paid_back, gone.cancelled_minor), (cost_minor, cost_minor), "{gone:?}");
        }
    }
}
