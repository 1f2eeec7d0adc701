//! The cart as the shopper sees it.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::dsl::min;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::offer::{Offer, offers, price_offers};
use super::status::is_open;
use super::{Item, Owner};
use crate::ids::{CartId, ProductId, VariantId};
use crate::inventory::{Availability, Available, ReservationStatus, available_by_variant};
use crate::money::Currency;
use crate::pricing::{PricedLine, PricingError};
use crate::schema::{cart_items, carts, stock_reservations, variants};
use crate::settings::ShopSettings;

/// An open cart with current prices.
#[derive(Debug, Clone)]
pub struct CartView {
    /// `None` until something was added to the cart.
    pub id: Option<CartId>,
    /// The currency of the amounts.
    pub currency: Currency,
    /// The lines, in the order in which they were added.
    pub lines: Vec<CartLine>,
    /// The sum of the lines in minor units.
    pub subtotal_minor: i64,
    /// When the first of the cart's holds lapses, in mode `cart`.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A variant in a cart, with its current price.
#[derive(Debug, Clone)]
pub struct CartLine {
    /// The variant.
    pub variant_id: VariantId,
    /// The product that it is a variant of.
    pub product_id: ProductId,
    /// The titles of product and variant, as they are now.
    pub title: String,
    /// The merchant's own number for the variant.
    pub sku: Option<String>,
    /// The wanted units.
    pub quantity: i64,
    /// The current price of one unit, in minor units.
    pub unit_price_minor: i64,
    /// The price times the quantity, in minor units.
    pub line_total_minor: i64,
    /// How much this shopper could order now: what is available, and what this cart itself holds. Nothing if
    /// the variant is no longer for sale.
    pub available: Available,
}

/// Why a cart could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum ViewCartError {
    /// The cart cannot be priced, for example because its amount is too large.
    #[error(transparent)]
    Pricing(#[from] PricingError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// The owner's open cart, or an empty one if there is none.
pub async fn view(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    owner: Owner,
) -> Result<CartView, ViewCartError> {
    let Some(id) = find_open(conn, owner).await? else {
        let (lines, subtotal_minor) = (Vec::new(), 0);
        return Ok(CartView { id: None, currency: shop.currency, lines, subtotal_minor, expires_at: None });
    };
    let offers = offers(conn, id).await?;
    let available = available_to_cart(conn, id, &offers).await?;
    let priced = price_offers(&offers)?;
    let line = |(offer, priced): (Offer, PricedLine)| CartLine {
        variant_id: offer.variant_id,
        product_id: offer.product_id,
        title: offer.title,
        sku: offer.sku,
        quantity: offer.quantity,
        unit_price_minor: offer.unit_price.amount_minor,
        line_total_minor: priced.total_minor,
        available: available.get(&offer.variant_id).copied().unwrap_or(Available::Units(0)),
    };
    Ok(CartView {
        id: Some(id),
        currency: shop.currency,
        subtotal_minor: priced.totals.subtotal_minor,
        expires_at: first_hold_lapses_at(conn, id).await?,
        lines: offers.into_iter().zip(priced.lines).map(line).collect(),
    })
}

/// How many units an order of the owner's open cart would keep from other shoppers: those of variants that are counted.
pub async fn count_units(conn: &mut AsyncPgConnection, owner: Owner) -> QueryResult<i64> {
    let Some(id) = find_open(conn, owner).await? else { return Ok(0) };
    let quantities: Vec<i64> = cart_items::table
        .inner_join(variants::table)
        .filter(cart_items::cart_id.eq(id))
        .filter(variants::track_inventory)
        .select(cart_items::quantity)
        .load(conn)
        .await?;
    Ok(quantities.into_iter().fold(0, i64::saturating_add))
}

/// The same for items that would be put into a cart which holds what is in it.
pub async fn count_units_of(conn: &mut AsyncPgConnection, items: &[Item]) -> QueryResult<i64> {
    let ids = items.iter().map(|item| item.variant_id);
    let counted: HashSet<VariantId> = variants::table
        .filter(variants::id.eq_any(ids.collect::<Vec<_>>()))
        .filter(variants::track_inventory)
        .select(variants::id)
        .load(conn)
        .await?
        .into_iter()
        .collect();
    let counted = items.iter().filter(|item| counted.contains(&item.variant_id));
    Ok(counted.map(|item| item.quantity).fold(0, i64::saturating_add))
}

/// The owner's open cart, without a lock.
pub(super) async fn find_open(conn: &mut AsyncPgConnection, owner: Owner) -> QueryResult<Option<CartId>> {
    let open = carts::table.filter(is_open()).select(carts::id);
    match owner {
        Owner::User(id) => open.filter(carts::user_id.eq(id)).first(conn).await,
        Owner::Guest(hash) => open.filter(carts::token_hash.eq(hash.as_bytes())).first(conn).await,
    }
    .optional()
}

/// What this cart's shopper could order now of each variant: what is available, and what the cart itself
/// holds.
pub(super) async fn available_to_cart(
    conn: &mut AsyncPgConnection,
    id: CartId,
    offers: &[Offer],
) -> QueryResult<Availability> {
    let variants: Vec<VariantId> = offers.iter().map(|offer| offer.variant_id).collect();
    let mut available = available_by_variant(conn, &variants).await?;
    let own: Vec<(VariantId, i64)> = stock_reservations::table
        .filter(stock_reservations::cart_id.eq(id))
        .filter(stock_reservations::status.eq(ReservationStatus::Held))
        .filter(stock_reservations::expires_at.gt(crate::db::clock().nullable()))
        .select((stock_reservations::variant_id, stock_reservations::quantity))
        .load(conn)
        .await?;
    for (variant_id, quantity) in own {
        // A variant that is not for sale counts as 0, even if the cart holds it.
        if let Some(Available::Units(available)) = available.get_mut(&variant_id) {
            *available += quantity;
        }
    }
    Ok(available)
}

async fn first_hold_lapses_at(
    conn: &mut AsyncPgConnection,
    id: CartId,
) -> QueryResult<Option<DateTime<Utc>>> {
    stock_reservations::table
        .filter(stock_reservations::cart_id.eq(id))
        .filter(stock_reservations::status.eq(ReservationStatus::Held))
        .filter(stock_reservations::expires_at.gt(crate::db::clock().nullable()))
        .select(min(stock_reservations::expires_at))
        .first(conn)
        .await
}
