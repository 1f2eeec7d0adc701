//! What an order costs: goods, discounts, shipping and tax in one calculation.
//!
//! [`price`] is a pure function. It reads no database and no clock. It counts in whole minor units: `i64`
//! outside, `i128` inside, with halves rounded up. So the same input gives the same price in the cart, in a
//! quote and at checkout. These are its steps:
//!
//! 1. A line's total is its unit price times its quantity.
//! 2. Line discounts are taken off what remains of their lines.
//! 3. Order discounts are taken off what remains of all lines.
//! 4. Shipping is added.
//! 5. Shipping discounts are taken off what remains of shipping.
//! 6. Tax is computed for each [`TaxGroup`] on what remains of its lines and shipping.
//! 7. `total = subtotal − discount + shipping + (tax − tax_included)`.
//!
//! An amount that belongs to several lines is computed once, on their sum, and then divided with
//! [`apportion`].

mod apportion;
mod discount;
mod error;
mod input;
mod price;
mod priced;
mod rate;
mod returned;
mod tax;
mod tax_group;

pub use apportion::apportion;
pub use error::PricingError;
pub use input::{Discount, DiscountValue, LineDiscount, LineInput, PriceInput, ShippingInput, ShippingTax};
pub use price::price;
pub use priced::{
    Adjustment, AdjustmentKind, Priced, PricedLine, PricedShipping, PricedTax, TaxShare, Taxable, Totals,
};
pub use rate::{Rate, RateOutOfRange};
pub use returned::share_of_returned;
pub use tax_group::{TaxGroup, TaxRounding, TaxTreatment};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;
