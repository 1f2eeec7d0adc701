//! What a price is computed from.

use std::collections::BTreeSet;

use super::{Rate, TaxGroup, TaxRounding};

/// All that a price is computed from: whoever fills it in has decided what applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceInput {
    /// The goods, by position.
    pub lines: Vec<LineInput>,
    /// They apply one after the other, each to what the ones before it left.
    pub line_discounts: Vec<LineDiscount>,
    /// They apply after all line discounts, one after the other.
    pub order_discounts: Vec<Discount>,
    /// What delivery costs, by position.
    pub shipping: Vec<ShippingInput>,
    /// They apply to all of shipping, one after the other.
    pub shipping_discounts: Vec<Discount>,
    /// What the tax is rounded over.
    pub tax_rounding: TaxRounding,
}

impl PriceInput {
    /// Goods alone: no discount, no shipping, no tax.
    pub fn of_goods(lines: Vec<LineInput>) -> Self {
        Self { lines, ..Self::default() }
    }
}

/// So many units at a price each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineInput {
    /// Tax is within this price or comes on top of it, as the tax group says.
    pub unit_price_minor: i64,
    /// Units.
    pub quantity: i64,
    /// `None` for goods that are outside the scope of tax.
    pub tax: Option<TaxGroup>,
}

impl LineInput {
    /// Goods that no tax is computed for.
    pub fn untaxed(unit_price_minor: i64, quantity: i64) -> Self {
        Self { unit_price_minor, quantity, tax: None }
    }
}

/// What is taken off, once, from the sum of what it applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discount {
    /// What the shopper reads.
    pub label: String,
    /// How much it is.
    pub value: DiscountValue,
    /// It never takes off more than this.
    pub max_minor: Option<i64>,
}

/// How much a discount is. It never takes off more than is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscountValue {
    /// A part of the sum.
    Percentage(Rate),
    /// Minor units.
    Amount(i64),
}

/// A discount on some of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineDiscount {
    /// Positions in [`PriceInput::lines`].
    pub lines: BTreeSet<usize>,
    /// What is taken off the sum of these lines.
    pub discount: Discount,
}

/// One charge for delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippingInput {
    /// What the shopper reads.
    pub label: String,
    /// Before shipping discounts.
    pub price_minor: i64,
    /// How it is taxed.
    pub tax: ShippingTax,
}

/// How a charge for delivery is taxed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShippingTax {
    /// By a group of its own; `None` if it is outside the scope of tax.
    Group(Option<TaxGroup>),
    /// As the goods are, in proportion to what remains of them in each group.
    AsGoods,
}
