//! Errors of the price calculation.

use super::TaxTreatment;
use crate::money::AmountOverflow;

/// Why a price cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PricingError {
    /// A product or sum does not fit into 64 bits.
    #[error("the amount is too large")]
    AmountOverflow,
    /// A price, quantity or discount is negative.
    #[error("a price, quantity or discount is negative")]
    Negative,
    /// An amount had to be apportioned over weights that are all zero.
    #[error("an amount cannot be apportioned over weights that are all zero")]
    NothingToDivideOver,
    /// More would be taken off or refunded than there is.
    #[error("more would be taken off or refunded than there is")]
    MoreThanThereIs,
    /// A discount refers to a line that the input does not have.
    #[error("a discount refers to line {position}, which does not exist")]
    UnknownLine {
        /// The position of the missing line, from 0.
        position: usize,
    },
    /// A treatment without tax has a rate above 0.
    #[error("the tax treatment {treatment} requires a tax rate of 0")]
    RateOfTreatment {
        /// The treatment.
        treatment: TaxTreatment,
    },
}

impl From<AmountOverflow> for PricingError {
    fn from(_: AmountOverflow) -> Self {
        Self::AmountOverflow
    }
}
