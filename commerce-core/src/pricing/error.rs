//! Why there is no price.

use super::TaxTreatment;
use crate::money::AmountOverflow;

/// Why there is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PricingError {
    #[error("the amount is too large to be counted")]
    AmountOverflow,
    #[error("a price, quantity or discount is negative")]
    Negative,
    #[error("an amount cannot be divided over nothing")]
    NothingToDivideOver,
    #[error("more would go back than there is")]
    MoreThanThereIs,
    #[error("a discount names line {position}, which is not there")]
    UnknownLine { position: usize },
    #[error("what is {treatment} must have a tax rate of 0")]
    RateOfTreatment { treatment: TaxTreatment },
}

impl From<AmountOverflow> for PricingError {
    fn from(_: AmountOverflow) -> Self {
        Self::AmountOverflow
    }
}
