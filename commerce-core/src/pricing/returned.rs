//! The part of a line's amount that is refunded with some of its units.

use super::PricingError;
use super::apportion::narrow;
use super::rate::half_up;

/// The part of an amount of a line (its price, discount or tax) for the next `returning` of its `quantity`
/// units, after `returned` units have come back.
///
/// It is the difference of two rounded sums, so that any sequence of returns adds up exactly to the amount.
///
/// It fails if the amount or a count is negative, or if more would come back than there is.
pub fn share_of_returned(
    amount_minor: i64,
    quantity: i64,
    returned: i64,
    returning: i64,
) -> Result<i64, PricingError> {
    if amount_minor < 0 || returned < 0 || returning < 0 {
        return Err(PricingError::Negative);
    }
    let returned_then = returned.checked_add(returning).ok_or(PricingError::AmountOverflow)?;
    if returned_then > quantity || quantity == 0 {
        return Err(PricingError::MoreThanThereIs);
    }
    let share = |units: i64| half_up(i128::from(amount_minor) * i128::from(units), i128::from(quantity));
    narrow(share(returned_then) - share(returned))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    #[test]
    fn three_returns_of_one_add_up_to_the_whole() {
        let shares: Vec<_> = (0..3).map(|returned| share_of_returned(100, 3, returned, 1).unwrap()).collect();
        assert_eq!(shares, [33, 34, 33]);
        assert_eq!(share_of_returned(100, 3, 1, 2), Ok(67));
        assert_eq!(share_of_returned(i64::MAX, i64::MAX, 0, i64::MAX), Ok(i64::MAX));
    }

    #[test]
    fn more_than_there_is_cannot_go_back() {
        assert_eq!(share_of_returned(100, 3, 2, 2), Err(PricingError::MoreThanThereIs));
        assert_eq!(share_of_returned(0, 0, 0, 0), Err(PricingError::MoreThanThereIs));
        assert_eq!(share_of_returned(100, i64::MAX, i64::MAX, 1), Err(PricingError::AmountOverflow));
        assert_eq!(share_of_returned(100, 3, -1, 1), Err(PricingError::Negative));
    }

    #[test]
    fn any_sequence_of_returns_adds_up() {
        let mut random = StdRng::seed_from_u64(2);
        for _ in 0..5_000 {
            let quantity = random.random_range(1..50);
            let largest = [10, 100_000, i64::MAX][random.random_range(0..3)];
            let amount = random.random_range(0..=largest);
            let (mut returned, mut sum) = (0, 0);
            while returned < quantity {
                let returning = random.random_range(0..=quantity - returned);
                let share = share_of_returned(amount, quantity, returned, returning).unwrap();
                assert!(share >= 0, "{amount} of {quantity}: {returning} after {returned}");
                (returned, sum) = (returned + returning, sum + share);
            }
            assert_eq!(sum, amount, "{quantity} units");
        }
    }
}
