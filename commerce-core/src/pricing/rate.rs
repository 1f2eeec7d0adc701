//! Rates of taxes and discounts, and their rounding.

/// A rate in parts per million: 19 % is 190,000, and 10.75 % is 107,500. It is never more than 100 %.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rate(u32);

/// The number is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate of {0} parts per million is more than 100 %")]
pub struct RateOutOfRange(pub u32);

impl Rate {
    /// 0 %.
    pub const NOTHING: Rate = Rate(0);
    /// 100 %.
    pub const WHOLE: Rate = Rate(PPM);

    /// A rate from parts per million.
    pub fn from_ppm(ppm: u32) -> Result<Self, RateOutOfRange> {
        if ppm <= PPM { Ok(Self(ppm)) } else { Err(RateOutOfRange(ppm)) }
    }

    /// Parts per million.
    pub fn ppm(self) -> u32 {
        self.0
    }

    /// This part of a non-negative amount. It is never more than the amount.
    pub(super) fn of(self, amount_minor: i64) -> i128 {
        half_up(i128::from(amount_minor) * i128::from(self.0), i128::from(PPM))
    }

    /// The part of the amount that this rate has added: 19 of 119 at 19 %.
    pub(super) fn included_in(self, amount_minor: i64) -> i128 {
        half_up(i128::from(amount_minor) * i128::from(self.0), i128::from(PPM + self.0))
    }
}

const PPM: u32 = 1_000_000;

/// The quotient of non-negative numbers, rounded to the nearest whole number, with halves rounded up.
pub(super) fn half_up(dividend: i128, divisor: i128) -> i128 {
    (2 * dividend + divisor) / (2 * divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_up() {
        for (dividend, divisor, quotient) in
            [(0, 3, 0), (1, 3, 0), (1, 2, 1), (2, 3, 1), (3, 2, 2), (5, 2, 3)]
        {
            assert_eq!(half_up(dividend, divisor), quotient, "{dividend}/{divisor}");
        }
    }

    #[test]
    fn a_rate_is_a_part_of_a_whole() {
        assert_eq!(Rate::from_ppm(1_000_001), Err(RateOutOfRange(1_000_001)));
        assert_eq!(Rate::WHOLE.of(i64::MAX), i128::from(i64::MAX));
        assert_eq!(Rate::NOTHING.of(i64::MAX), 0);
        assert_eq!(Rate::from_ppm(190_000).map(|rate| rate.included_in(119)), Ok(19));
    }
}
