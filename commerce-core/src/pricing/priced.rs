//! What a price came to.

use super::TaxGroup;

/// A price with all its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Priced {
    /// By the position of the input's lines.
    pub lines: Vec<PricedLine>,
    /// By the position of the input's shipping.
    pub shipping: Vec<PricedShipping>,
    /// Everything that was added to the goods or taken off them, in the order of computation. The subtotal
    /// and what of these is not included in prices add up to the total.
    pub adjustments: Vec<Adjustment>,
    /// The tax of each group, in the order in which lines and shipping name the groups.
    pub taxes: Vec<PricedTax>,
    /// The sums of all of these.
    pub totals: Totals,
}

/// What a line came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PricedLine {
    /// Unit price times quantity.
    pub total_minor: i64,
    /// Its share of all discounts; at most its total.
    pub discount_minor: i64,
    /// Its share of the tax, be it within the price or on top of it.
    pub tax_minor: i64,
}

/// What a charge for delivery came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PricedShipping {
    /// Before discounts.
    pub price_minor: i64,
    /// Its share of the shipping discounts; at most its price.
    pub discount_minor: i64,
    /// Its share of the tax, be it within the price or on top of it.
    pub tax_minor: i64,
}

/// A step from the subtotal to the total.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adjustment {
    /// What it is.
    pub kind: AdjustmentKind,
    /// What the shopper reads: the discount's or the shipping's label, or the jurisdiction of a tax.
    pub label: String,
    /// Negative where something is taken off.
    pub amount_minor: i64,
    /// The amount is within the prices already, so that it does not change the total.
    pub included: bool,
}

/// What an adjustment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdjustmentKind {
    /// Taken off one line.
    LineDiscount,
    /// Taken off the whole order, and apportioned to its lines.
    OrderDiscount,
    /// What shipping costs, before its discounts.
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
    /// What is taxed together.
    pub group: TaxGroup,
    /// What the tax is computed on, without the tax.
    pub taxable_minor: i64,
    /// The tax, rounded once for the whole group.
    pub tax_minor: i64,
    /// Who bears it. The shares add up to the group.
    pub shares: Vec<TaxShare>,
}

/// The share of a line or of shipping in the tax of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaxShare {
    /// The line or the shipping that bears it.
    pub of: Taxable,
    /// Without the tax.
    pub taxable_minor: i64,
    /// Its share of the group's tax.
    pub tax_minor: i64,
}

/// What bears tax, by its position in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Taxable {
    /// A line, by its position from 0.
    Line(usize),
    /// A way of shipping, by its position from 0.
    Shipping(usize),
}

/// The sums of an order. `total = subtotal − discount + shipping + (tax − tax_included)`, and none is
/// negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// The sum of the lines before discounts.
    pub subtotal_minor: i64,
    /// All discounts: on lines, on the order, on shipping.
    pub discount_minor: i64,
    /// Shipping before discounts.
    pub shipping_minor: i64,
    /// All tax.
    pub tax_minor: i64,
    /// As much of the tax as is within the prices.
    pub tax_included_minor: i64,
    /// What there is to pay.
    pub total_minor: i64,
}
