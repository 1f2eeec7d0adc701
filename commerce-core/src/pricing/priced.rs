//! The result of the price calculation.

use super::TaxGroup;

/// A price with all its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Priced {
    /// In the order of the input's lines.
    pub lines: Vec<PricedLine>,
    /// In the order of the input's shipping.
    pub shipping: Vec<PricedShipping>,
    /// Everything that is added to the goods or taken off them, in the order of computation. The subtotal and
    /// the adjustments that prices do not include add up to the total.
    pub adjustments: Vec<Adjustment>,
    /// The tax of each group, in the order in which lines and shipping refer to the groups.
    pub taxes: Vec<PricedTax>,
    /// The totals.
    pub totals: Totals,
}

/// The price of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PricedLine {
    /// Unit price times quantity.
    pub total_minor: i64,
    /// Its share of all discounts; at most its total.
    pub discount_minor: i64,
    /// Its share of the tax, whether or not the price includes it.
    pub tax_minor: i64,
}

/// The price of a charge for delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PricedShipping {
    /// The price before discounts.
    pub price_minor: i64,
    /// Its share of the shipping discounts, at most its price.
    pub discount_minor: i64,
    /// Its share of the tax, whether or not the price includes it.
    pub tax_minor: i64,
}

/// A step from the subtotal to the total.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adjustment {
    /// The kind of the adjustment.
    pub kind: AdjustmentKind,
    /// The text for the shopper: the label of the discount or the shipping, or the jurisdiction of a tax.
    pub label: String,
    /// Negative if the amount is taken off.
    pub amount_minor: i64,
    /// Whether the prices already include the amount. If so, it does not change the total.
    pub included: bool,
}

/// The kind of an adjustment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdjustmentKind {
    /// Taken off certain lines.
    LineDiscount,
    /// Taken off the whole order and apportioned to its lines.
    OrderDiscount,
    /// The price of shipping, before its discounts.
    Shipping,
    /// Taken off shipping.
    ShippingDiscount,
    /// The tax of a group.
    Tax,
}

/// The tax of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PricedTax {
    /// The group.
    pub group: TaxGroup,
    /// The amount that is taxed, without the tax.
    pub taxable_minor: i64,
    /// The tax, rounded once for the whole group.
    pub tax_minor: i64,
    /// The shares of lines and shipping. They add up to the tax of the group.
    pub shares: Vec<TaxShare>,
}

/// The share of a line or of shipping in the tax of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaxShare {
    /// The line or the shipping.
    pub of: Taxable,
    /// The taxed amount, without the tax.
    pub taxable_minor: i64,
    /// Its share of the group's tax.
    pub tax_minor: i64,
}

/// What is taxed, by its position in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Taxable {
    /// A line, by its position from 0.
    Line(usize),
    /// A charge for delivery, by its position from 0.
    Shipping(usize),
}

/// The totals of an order. `total = subtotal − discount + shipping + (tax − tax_included)`, and none of them
/// is negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// The sum of the lines before discounts.
    pub subtotal_minor: i64,
    /// All discounts: on lines, on the order and on shipping.
    pub discount_minor: i64,
    /// Shipping before discounts.
    pub shipping_minor: i64,
    /// All tax.
    pub tax_minor: i64,
    /// The part of the tax that the prices already include.
    pub tax_included_minor: i64,
    /// The amount to pay.
    pub total_minor: i64,
}
