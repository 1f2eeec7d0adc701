//! `/cart/quote`: what an order of the cart would cost.

use commerce_core::cart::{self, ViewCartError};
use commerce_core::pricing;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use super::EXAMPLE_VARIANT;
use crate::http::answer::Okay;
use crate::http::auth::Visitor;
use crate::http::body::OptionalBody;
use crate::http::money::Money;
use crate::http::problem::Refused;
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct CartQuotes(pub State);

#[OpenApi(tag = "Tag::Cart")]
impl CartQuotes {
    /// Quote the cart
    ///
    /// Computes what an order of the cart would cost now, in the same way as checkout. For each item it says
    /// what would keep the item from being ordered. It reserves and changes nothing. Send `expected_total` to
    /// checkout, so that no other total can be charged.
    #[oai(path = "/cart/quote", method = "post", operation_id = "quote_cart")]
    async fn quote(
        &self,
        visitor: Visitor,
        _body: OptionalBody<QuoteRequest>,
    ) -> Result<Okay<Quote>, Refused<ViewCartError>> {
        let quote = match visitor.shopper {
            Some(shopper) => cart::quote(&mut *self.0.conn().await?, &self.0.shop, shopper.owner()).await?,
            None => cart::Quote::of_nothing(self.0.shop.currency),
        };
        Ok(Okay::new(Quote::from(quote)))
    }
}

/// Facts that the quote depends on, apart from the cart. There are none yet.
#[derive(Debug, Clone, Default, Object)]
#[oai(deny_unknown_fields, example)]
pub struct QuoteRequest {}

impl Example for QuoteRequest {
    fn example() -> Self {
        Self {}
    }
}

/// What an order of the cart would cost now.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Quote {
    pub currency: String,
    pub items: Vec<QuotedItem>,
    /// The steps from the subtotal to the total.
    pub adjustments: Vec<Adjustment>,
    pub subtotal: Money,
    pub discount_total: Money,
    pub shipping_total: Money,
    pub tax_total: Money,
    /// The part of the tax that the prices already include.
    pub tax_included_total: Money,
    /// The total of the items that are for sale in the shop's currency. An item that is short of stock counts
    /// with the requested quantity.
    pub total: Money,
    /// The total to send to checkout. Absent if checkout would refuse the cart, because it is empty or an
    /// item has a problem.
    pub expected_total: Option<Money>,
}

/// A variant in a cart, and what would keep it from being ordered.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct QuotedItem {
    pub variant_id: Uuid,
    pub product_id: Uuid,
    pub title: String,
    pub sku: Option<String>,
    pub quantity: i64,
    pub unit_price: Money,
    pub line_total: Money,
    /// Units that this shopper could order now. Absent if they are not counted, so that any quantity can be
    /// ordered.
    pub available: Option<i64>,
    /// Absent if checkout would accept the item.
    pub problem: Option<ItemProblem>,
}

/// Why checkout would refuse an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "cart::ItemProblem")]
pub enum ItemProblem {
    NotForSale,
    CurrencyMismatch,
    OutOfStock,
}

/// An amount that is added to the subtotal or taken off it.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct Adjustment {
    pub kind: AdjustmentKind,
    /// A text to show.
    pub label: String,
    /// Negative if the amount is taken off.
    pub amount: Money,
    /// Whether the prices already include the amount. If so, it does not change the total.
    pub included: bool,
}

/// The kind of an adjustment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "pricing::AdjustmentKind")]
pub enum AdjustmentKind {
    LineDiscount,
    OrderDiscount,
    Shipping,
    ShippingDiscount,
    Tax,
}

impl From<cart::Quote> for Quote {
    fn from(quote: cart::Quote) -> Self {
        let money = |amount_minor| Money::new(amount_minor, quote.currency);
        let adjustment = |adjustment: &pricing::Adjustment| Adjustment {
            kind: adjustment.kind.into(),
            label: adjustment.label.clone(),
            amount: money(adjustment.amount_minor),
            included: adjustment.included,
        };
        Self {
            currency: quote.currency.to_string(),
            expected_total: quote.expected_total().map(Money::from),
            adjustments: quote.adjustments.iter().map(adjustment).collect(),
            subtotal: money(quote.totals.subtotal_minor),
            discount_total: money(quote.totals.discount_minor),
            shipping_total: money(quote.totals.shipping_minor),
            tax_total: money(quote.totals.tax_minor),
            tax_included_total: money(quote.totals.tax_included_minor),
            total: money(quote.totals.total_minor),
            items: quote.items.into_iter().map(QuotedItem::from).collect(),
        }
    }
}

impl From<cart::QuotedItem> for QuotedItem {
    fn from(item: cart::QuotedItem) -> Self {
        Self {
            variant_id: item.variant_id.0,
            product_id: item.product_id.0,
            title: item.title,
            sku: item.sku,
            quantity: item.quantity,
            unit_price: item.unit_price.into(),
            line_total: item.line_total.into(),
            available: item.available.units(),
            problem: item.problem.map(Into::into),
        }
    }
}

impl Example for Adjustment {
    fn example() -> Self {
        let amount = Money { amount: 1917, currency: "USD".to_owned() };
        Self { kind: AdjustmentKind::Tax, label: "DE".to_owned(), amount, included: true }
    }
}

impl Example for QuotedItem {
    fn example() -> Self {
        Self {
            variant_id: EXAMPLE_VARIANT,
            product_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b20),
            title: "Classic Varsity Top – Small".to_owned(),
            sku: Some("CVT-S".to_owned()),
            quantity: 2,
            unit_price: Money { amount: 6000, currency: "USD".to_owned() },
            line_total: Money { amount: 12000, currency: "USD".to_owned() },
            available: Some(14),
            problem: None,
        }
    }
}

impl Example for Quote {
    fn example() -> Self {
        let money = |amount| Money { amount, currency: "USD".to_owned() };
        Self {
            currency: "USD".to_owned(),
            items: vec![QuotedItem::example()],
            adjustments: Vec::new(),
            subtotal: money(12000),
            discount_total: money(0),
            shipping_total: money(0),
            tax_total: money(0),
            tax_included_total: money(0),
            total: money(12000),
            expected_total: Some(money(12000)),
        }
    }
}
