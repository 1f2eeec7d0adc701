//! What an order of a cart would cost: the same computation as at checkout, without locks and without
//! writing.

use diesel_async::AsyncPgConnection;

use super::offer::{ItemProblem, Offer, offers, price_offers};
use super::view::{available_to_cart, find_open};
use super::{Owner, ViewCartError};
use crate::ids::{ProductId, VariantId};
use crate::inventory::{Availability, Available};
use crate::money::{Currency, Money, line_total};
use crate::pricing::{Adjustment, PricingError, Totals};
use crate::settings::ShopSettings;

/// What an order would cost now. It is no promise, because prices and stock may change before checkout.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Quote {
    /// The currency of the amounts.
    pub currency: Currency,
    /// The items, in the order in which they were added.
    pub items: Vec<QuotedItem>,
    /// The steps from the subtotal to the total.
    pub adjustments: Vec<Adjustment>,
    /// The totals of the items that are for sale in the shop's currency. An item that is short of stock
    /// counts with the requested quantity.
    pub totals: Totals,
}

/// A variant in a cart, and what would keep it from being ordered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QuotedItem {
    /// The variant.
    pub variant_id: VariantId,
    /// The product that it is a variant of.
    pub product_id: ProductId,
    /// The titles of product and variant, as they are now.
    pub title: String,
    /// The merchant's own number for the variant.
    pub sku: Option<String>,
    /// Units.
    pub quantity: i64,
    /// The current price of one unit.
    pub unit_price: Money,
    /// The price times the quantity.
    pub line_total: Money,
    /// How much this shopper could order now: what is available, and what this cart itself holds.
    pub available: Available,
    /// Why the item could not be ordered. `None` if it could.
    pub problem: Option<ItemProblem>,
}

impl Quote {
    /// The quote without a cart.
    pub fn of_nothing(currency: Currency) -> Self {
        Self { currency, items: Vec::new(), adjustments: Vec::new(), totals: Totals::default() }
    }

    /// The total that checkout would accept. `None` if checkout would refuse the cart.
    pub fn expected_total(&self) -> Option<Money> {
        let orderable = !self.items.is_empty() && self.items.iter().all(|item| item.problem.is_none());
        orderable.then(|| Money::new(self.totals.total_minor, self.currency))
    }
}

/// The quote of the owner's open cart, or an empty quote if there is no cart.
pub async fn quote(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    owner: Owner,
) -> Result<Quote, ViewCartError> {
    let Some(id) = find_open(conn, owner).await? else { return Ok(Quote::of_nothing(shop.currency)) };
    let offers = offers(conn, id).await?;
    let available = available_to_cart(conn, id, &offers).await?;
    Ok(quote_offers(offers, &available, shop.currency)?)
}

fn quote_offers(
    offers: Vec<Offer>,
    available: &Availability,
    currency: Currency,
) -> Result<Quote, PricingError> {
    let priced = price_offers(offers.iter().filter(|offer| offer.refusal(currency).is_none()))?;
    let item = |offer: Offer| {
        let available = available.get(&offer.variant_id).copied().unwrap_or(Available::Units(0));
        let short = (!available.covers(offer.quantity)).then_some(ItemProblem::OutOfStock);
        let line_total_minor = line_total(offer.unit_price.amount_minor, offer.quantity)?;
        Ok(QuotedItem {
            problem: offer.refusal(currency).or(short),
            variant_id: offer.variant_id,
            product_id: offer.product_id,
            title: offer.title,
            sku: offer.sku,
            quantity: offer.quantity,
            unit_price: offer.unit_price,
            line_total: Money::new(line_total_minor, offer.unit_price.currency),
            available,
        })
    };
    let items = offers.into_iter().map(item).collect::<Result<_, PricingError>>()?;
    Ok(Quote { currency, items, adjustments: priced.adjustments, totals: priced.totals })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(price_minor: i64, quantity: i64, currency: Currency, for_sale: bool) -> Offer {
        Offer {
            variant_id: VariantId::new(),
            product_id: ProductId::new(),
            title: "Tea".to_owned(),
            sku: None,
            quantity,
            unit_price: Money::new(price_minor, currency),
            for_sale,
            track_inventory: true,
        }
    }

    #[test]
    fn each_item_says_what_is_wrong_with_it_and_the_rest_has_its_price() {
        let offers = vec![
            offer(600, 2, Currency::USD, true),
            offer(500, 3, Currency::USD, true),
            offer(400, 1, Currency::USD, false),
            offer(300, 1, Currency::EUR, true),
        ];
        let mut available: Availability = offers.iter().map(|offer| (offer.variant_id, 2.into())).collect();
        let quote = quote_offers(offers.clone(), &available, Currency::USD).unwrap();
        let problems: Vec<_> = quote.items.iter().map(|item| item.problem).collect();
        use ItemProblem::*;
        assert_eq!(problems, [None, Some(OutOfStock), Some(NotForSale), Some(CurrencyMismatch)]);
        assert_eq!((quote.totals.total_minor, quote.expected_total()), (1200 + 1500, None));
        assert_eq!(quote.items[3].line_total, Money::new(300, Currency::EUR));

        available.insert(offers[1].variant_id, Available::Uncounted);
        let orderable = quote_offers(offers[..2].to_vec(), &available, Currency::USD).unwrap();
        assert_eq!(orderable.expected_total(), Some(Money::new(2700, Currency::USD)));
        let nothing = quote_offers(Vec::new(), &available, Currency::USD).unwrap();
        assert_eq!((nothing.totals.total_minor, nothing.expected_total()), (0, None));
    }
}
