//! Applies discounts.

use super::apportion::{apportion, narrow};
use super::{Discount, DiscountValue, PricingError};
use crate::money::total;

/// Amounts from which discounts are taken off, one after the other.
pub(super) struct Discountable {
    full: Vec<i64>,
    left: Vec<i64>,
}

impl Discountable {
    pub(super) fn new(amounts: Vec<i64>) -> Self {
        Self { left: amounts.clone(), full: amounts }
    }

    /// Takes a discount off what remains of the amounts at these positions. Returns how much it took off.
    pub(super) fn take_off(
        &mut self,
        discount: &Discount,
        covers: impl Fn(usize) -> bool,
    ) -> Result<i64, PricingError> {
        let covered: Vec<i64> =
            (0..).zip(&self.left).map(|(position, left)| if covers(position) { *left } else { 0 }).collect();
        let off_minor = discount.of(total(covered.iter().copied())?)?;
        for (left, share) in self.left.iter_mut().zip(apportion(off_minor, &covered)?) {
            *left -= share;
        }
        Ok(off_minor)
    }

    /// What remains of each amount.
    pub(super) fn left(&self) -> &[i64] {
        &self.left
    }

    /// Each original amount, with its discount.
    pub(super) fn with_discounts(&self) -> impl Iterator<Item = (i64, i64)> {
        self.full.iter().zip(&self.left).map(|(full, left)| (*full, full - left))
    }
}

impl Discount {
    /// The discount on a sum. It is never more than the sum.
    fn of(&self, sum_minor: i64) -> Result<i64, PricingError> {
        let wished = match self.value {
            DiscountValue::Percentage(rate) => narrow(rate.of(sum_minor))?,
            DiscountValue::Amount(amount_minor) => amount_minor,
        };
        let capped = self.max_minor.map_or(wished, |max_minor| wished.min(max_minor));
        if capped < 0 { Err(PricingError::Negative) } else { Ok(capped.min(sum_minor)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::Rate;

    fn percentage(ppm: u32, max_minor: Option<i64>) -> Discount {
        let value = DiscountValue::Percentage(Rate::from_ppm(ppm).unwrap());
        Discount { label: String::new(), value, max_minor }
    }

    fn amount(amount_minor: i64) -> Discount {
        Discount { label: String::new(), value: DiscountValue::Amount(amount_minor), max_minor: None }
    }

    #[test]
    fn a_percentage_is_computed_once_on_the_sum() {
        // If it were computed for each line, it would be 0 + 0 + 0: half of a third of a cent.
        let mut lines = Discountable::new(vec![3, 3, 3]);
        assert_eq!(lines.take_off(&percentage(150_000, None), |_| true), Ok(1));
        assert_eq!(lines.left(), [2, 3, 3]);
    }

    #[test]
    fn each_discount_applies_to_what_the_ones_before_it_left() {
        let mut lines = Discountable::new(vec![1000, 500]);
        assert_eq!(lines.take_off(&percentage(500_000, None), |position| position == 0), Ok(500));
        assert_eq!(lines.take_off(&percentage(500_000, None), |_| true), Ok(500));
        assert_eq!(lines.left(), [250, 250]);
        assert_eq!(lines.with_discounts().collect::<Vec<_>>(), [(1000, 750), (500, 250)]);
    }

    #[test]
    fn no_discount_takes_more_than_is_there_or_than_it_may() {
        let mut lines = Discountable::new(vec![300, 100]);
        assert_eq!(lines.take_off(&percentage(500_000, Some(60)), |_| true), Ok(60));
        assert_eq!(lines.take_off(&amount(1_000), |_| true), Ok(340));
        assert_eq!(lines.take_off(&amount(1_000), |_| true), Ok(0));
        assert_eq!(lines.left(), [0, 0]);
        assert_eq!(lines.take_off(&amount(-1), |_| true), Err(PricingError::Negative));
        assert_eq!(lines.take_off(&percentage(1, Some(-1)), |_| true), Err(PricingError::Negative));
    }
}
