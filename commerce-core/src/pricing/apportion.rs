//! Divides an amount into shares without losing a unit.

use std::cmp::Reverse;

use super::PricingError;
use crate::money::total;

/// Divides an amount in proportion to weights, by the method of the largest remainder.
///
/// Each share is first rounded down. The units that are left go to the largest remainders, and among equal
/// ones to the first. So the shares add up exactly to the amount, and a weight of 0 gets 0. If the amount is
/// not more than the sum of the weights, no share is more than its weight.
///
/// It fails if a number is negative, or if there is an amount and all weights are zero.
pub fn apportion(amount_minor: i64, weights: &[i64]) -> Result<Vec<i64>, PricingError> {
    if amount_minor < 0 || weights.iter().any(|weight| *weight < 0) {
        return Err(PricingError::Negative);
    }
    let sum = i128::from(total(weights.iter().copied())?);
    if sum == 0 {
        return if amount_minor == 0 {
            Ok(vec![0; weights.len()])
        } else {
            Err(PricingError::NothingToDivideOver)
        };
    }
    let mut shares = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (position, weight) in weights.iter().enumerate() {
        let exact = i128::from(amount_minor) * i128::from(*weight);
        shares.push(narrow(exact / sum)?);
        remainders.push((Reverse(exact % sum), position));
    }
    remainders.sort_unstable();
    // Each remainder above 0 is less than a unit, so fewer units are left than there are such remainders.
    let left = amount_minor - shares.iter().sum::<i64>();
    for (_, (_, position)) in (0..left).zip(remainders) {
        if let Some(share) = shares.get_mut(position) {
            *share += 1;
        }
    }
    Ok(shares)
}

/// Converts an amount to the stored type.
pub(super) fn narrow(amount: i128) -> Result<i64, PricingError> {
    i64::try_from(amount).map_err(|_| PricingError::AmountOverflow)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    #[test]
    fn the_largest_remainders_get_what_is_left_and_the_first_of_equal_ones() {
        for (amount, weights, shares) in [
            (100, vec![1, 1, 1], vec![34, 33, 33]),
            (2, vec![1, 1, 1], vec![1, 1, 0]),
            (10, vec![15, 5, 0, 10], vec![5, 2, 0, 3]),
            (1, vec![0, 1], vec![0, 1]),
            (7, vec![7], vec![7]),
            (0, vec![0, 0], vec![0, 0]),
            (0, vec![], vec![]),
            // More than the weights, as when shipping is divided over goods.
            (1000, vec![1, 2], vec![333, 667]),
        ] {
            assert_eq!(apportion(amount, &weights), Ok(shares), "{amount} over {weights:?}");
        }
    }

    #[test]
    fn what_cannot_be_divided_is_an_error() {
        assert_eq!(apportion(1, &[]), Err(PricingError::NothingToDivideOver));
        assert_eq!(apportion(1, &[0, 0]), Err(PricingError::NothingToDivideOver));
        assert_eq!(apportion(-1, &[1]), Err(PricingError::Negative));
        assert_eq!(apportion(1, &[2, -1]), Err(PricingError::Negative));
        assert_eq!(apportion(1, &[i64::MAX, 1]), Err(PricingError::AmountOverflow));
    }

    #[test]
    fn shares_add_up_and_stay_within_their_weights() {
        let mut random = StdRng::seed_from_u64(1);
        for _ in 0..20_000 {
            let largest = [3, 100, 1_000_000, i64::MAX / 20][random.random_range(0..4)];
            let weights: Vec<i64> =
                (0..random.random_range(1..20)).map(|_| random.random_range(0..=largest)).collect();
            let sum: i64 = weights.iter().sum();
            let amount = random.random_range(0..=sum);
            let shares = apportion(amount, &weights).unwrap();
            assert_eq!(shares.iter().sum::<i64>(), amount, "{amount} over {weights:?}");
            for (share, weight) in shares.iter().zip(&weights) {
                assert!((0..=*weight).contains(share), "{amount} over {weights:?}: {shares:?}");
                // No share differs by a whole unit from the exact share.
                let exact = i128::from(amount) * i128::from(*weight);
                let off = (i128::from(*share) * i128::from(sum) - exact).abs();
                assert!(off < i128::from(sum.max(1)), "{amount} over {weights:?}: {shares:?}");
            }
        }
    }
}
