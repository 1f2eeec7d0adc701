//! Tax groups.

use super::Rate;
use crate::text_enum::text_enum;

/// What is taxed together. The amounts are added, and the tax of the sum is rounded once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaxGroup {
    /// The jurisdiction, such as `DE` or `US-NY`.
    pub jurisdiction: String,
    /// Whether tax is due, and if not, why.
    pub treatment: TaxTreatment,
    /// The sum of all taxes of the jurisdiction, such as state and county.
    pub rate: Rate,
    /// Whether the prices include the tax. If not, it is added to them.
    pub included: bool,
}

text_enum! {
    /// How the law treats a sale. Only the first has a rate above 0. The others are shown with a tax of 0.
    pub enum TaxTreatment {
        /// It is taxed at the rate.
        Standard = "standard",
        /// It is taxed at a rate of 0.
        ZeroRated = "zero_rated",
        /// The buyer owes the tax.
        ReverseCharge = "reverse_charge",
        /// It leaves the customs territory.
        Export = "export",
        /// The law exempts it from tax.
        Exempt = "exempt",
    }
}

/// How the tax is rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TaxRounding {
    /// Once for each group of an order.
    #[default]
    Order,
    /// For each line and each charge for delivery, for shops that must do so. The sum may differ by some
    /// minor units.
    Line,
}
