//! The input of the price calculation.

use std::collections::BTreeSet;

use super::{Rate, TaxGroup, TaxRounding};

/// The complete input of the price calculation. The caller has decided which discounts and taxes apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceInput {
    /// The goods, in their order.
    pub lines: Vec<LineInput>,
    /// Applied one after the other, each to what the ones before have left.
    pub line_discounts: Vec<LineDiscount>,
    /// Applied one after the other, after all line discounts.
    pub order_discounts: Vec<Discount>,
    /// The charges for delivery, in their order.
    pub shipping: Vec<ShippingInput>,
    /// Applied one after the other to all of shipping.
    pub shipping_discounts: Vec<Discount>,
    /// How the tax is rounded.
    pub tax_rounding: TaxRounding,
}

impl PriceInput {
    /// Goods only, without discount, shipping or tax.
    pub fn of_goods(lines: Vec<LineInput>) -> Self {
        Self { lines, ..Self::default() }
    }
}

/// A number of units at a price for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineInput {
    /// The tax group says whether this price includes the tax.
    pub unit_price_minor: i64,
    /// Units.
    pub quantity: i64,
    /// The tax group. `None` for goods outside the scope of tax.
    pub tax: Option<TaxGroup>,
}

impl LineInput {
    /// Goods without tax.
    pub fn untaxed(unit_price_minor: i64, quantity: i64) -> Self {
        Self { unit_price_minor, quantity, tax: None }
    }
}

/// A discount, which is taken once off the sum that it applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discount {
    /// The text for the shopper.
    pub label: String,
    /// The size of the discount.
    pub value: DiscountValue,
    /// The most that it takes off.
    pub max_minor: Option<i64>,
}

/// The size of a discount. A discount never takes off more than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscountValue {
    /// A part of the sum.
    Percentage(Rate),
    /// An amount in minor units.
    Amount(i64),
}

/// A discount on certain lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineDiscount {
    /// Positions in [`PriceInput::lines`].
    pub lines: BTreeSet<usize>,
    /// The discount on the sum of these lines.
    pub discount: Discount,
}

/// One charge for delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippingInput {
    /// The text for the shopper.
    pub label: String,
    /// The price before shipping discounts.
    pub price_minor: i64,
    /// How it is taxed.
    pub tax: ShippingTax,
}

/// How a charge for delivery is taxed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShippingTax {
    /// By its own tax group. `None` if it is outside the scope of tax.
    Group(Option<TaxGroup>),
    /// Like the goods, in proportion to what remains of them in each group.
    AsGoods,
}
