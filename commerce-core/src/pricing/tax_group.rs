//! What is taxed together, and how.

use super::Rate;
use crate::text_enum::text_enum;

/// What is taxed together: it is summed up, and the tax of the sum is rounded once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaxGroup {
    /// Whose tax it is, such as `DE` or `US-NY`.
    pub jurisdiction: String,
    /// Whether tax is due, and if not, why.
    pub treatment: TaxTreatment,
    /// Of all taxes of the jurisdiction together: state and county are added up.
    pub rate: Rate,
    /// The prices include the tax; otherwise it comes on top of them.
    pub included: bool,
}

text_enum! {
    /// How the law treats a sale. Only the first has a rate above 0; the others are shown with a tax of 0.
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

/// What the tax is rounded over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TaxRounding {
    /// Over all of an order that is in one group.
    #[default]
    Order,
    /// Over each line and each charge for delivery, for shops that must. The sum of many may be some minor
    /// units off.
    Line,
}
