//! The items of a cart with their current titles, prices and stock. The cart's view, its quote and the
//! checkout compute with them.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Item;
use crate::ids::{CartId, ProductId, VariantId};
use crate::inventory::availability::is_for_sale;
use crate::money::{Currency, Money};
use crate::pricing::{LineInput, PriceInput, Priced, PricingError, price};
use crate::schema::{cart_items, products, variants};

/// A variant in a cart with its quantity, and with its current title and price.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) variant_id: VariantId,
    pub(crate) product_id: ProductId,
    /// The titles of product and variant.
    pub(crate) title: String,
    pub(crate) sku: Option<String>,
    /// Units.
    pub(crate) quantity: i64,
    pub(crate) unit_price: Money,
    /// Whether the variant and its product are active.
    pub(crate) for_sale: bool,
    /// Whether units of the variant are counted.
    pub(crate) track_inventory: bool,
}

/// Why the checkout would refuse an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemProblem {
    /// The variant or its product is no longer active.
    NotForSale,
    /// Its price is in another currency than the shop's.
    CurrencyMismatch,
    /// Less is available than the cart asks for.
    OutOfStock,
}

/// A variant and its product, as they are now.
#[derive(Queryable, Selectable)]
#[diesel(table_name = variants)]
struct Current {
    #[diesel(select_expression = variants::id)]
    variant_id: VariantId,
    #[diesel(select_expression = products::id)]
    product_id: ProductId,
    #[diesel(select_expression = products::title)]
    product_title: String,
    #[diesel(select_expression = variants::title)]
    variant_title: String,
    sku: Option<String>,
    price_minor: i64,
    currency: Currency,
    #[diesel(select_expression = is_for_sale(variants::active, products::status))]
    for_sale: bool,
    track_inventory: bool,
}

/// The offers for a cart's items, in the order in which they were added.
pub(crate) async fn offers(conn: &AsyncPgConnection, cart_id: CartId) -> QueryResult<Vec<Offer>> {
    let rows: Vec<(i64, Current)> = cart_items::table
        .inner_join(variants::table.inner_join(products::table))
        .filter(cart_items::cart_id.eq(cart_id))
        .order((cart_items::created_at, cart_items::variant_id))
        .select((cart_items::quantity, Current::as_select()))
        .load(&mut { conn })
        .await?;
    Ok(rows.into_iter().map(|(quantity, current)| current.offer(quantity)).collect())
}

/// The offers for these items, each of another variant, in their order. An unknown variant has none.
pub(crate) async fn offers_of(conn: &AsyncPgConnection, items: &[Item]) -> QueryResult<Vec<Offer>> {
    let ids: Vec<VariantId> = items.iter().map(|item| item.variant_id).collect();
    let rows: Vec<Current> = variants::table
        .inner_join(products::table)
        .filter(variants::id.eq_any(ids))
        .select(Current::as_select())
        .load(&mut { conn })
        .await?;
    let mut current: HashMap<VariantId, Current> =
        rows.into_iter().map(|current| (current.variant_id, current)).collect();
    let offer = |item: &Item| Some(current.remove(&item.variant_id)?.offer(item.quantity));
    Ok(items.iter().filter_map(offer).collect())
}

impl Current {
    fn offer(self, quantity: i64) -> Offer {
        let Self { variant_id, product_id, sku, for_sale, track_inventory, .. } = self;
        let title = line_title(&self.product_title, &self.variant_title);
        let unit_price = Money::new(self.price_minor, self.currency);
        Offer { variant_id, product_id, title, sku, quantity, unit_price, for_sale, track_inventory }
    }
}

impl Offer {
    /// Why the shop does not sell this item, regardless of stock.
    pub(crate) fn refusal(&self, currency: Currency) -> Option<ItemProblem> {
        if !self.for_sale {
            Some(ItemProblem::NotForSale)
        } else if self.unit_price.currency != currency {
            Some(ItemProblem::CurrencyMismatch)
        } else {
            None
        }
    }
}

/// The total price of these offers. Every price that a shopper is shown or charged comes from here.
pub(crate) fn price_offers<'a>(offers: impl IntoIterator<Item = &'a Offer>) -> Result<Priced, PricingError> {
    let line = |offer: &Offer| LineInput::untaxed(offer.unit_price.amount_minor, offer.quantity);
    price(&PriceInput::of_goods(offers.into_iter().map(line).collect()))
}

/// `Varsity Top – Small`. The only variant of a simple product has the product's name.
fn line_title(product_title: &str, variant_title: &str) -> String {
    if variant_title == product_title || variant_title == "Default" || variant_title == "Default Title" {
        product_title.to_owned()
    } else {
        format!("{product_title} – {variant_title}")
    }
}
