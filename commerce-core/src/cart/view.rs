//! What a shopper sees of the cart.

use chrono::{DateTime, Utc};
use diesel::dsl::min;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Owner;
use crate::ids::{CartId, ProductId, VariantId};
use crate::inventory::available_by_variant;
use crate::money::{AmountOverflow, Currency, line_total, total};
use crate::schema::{cart_items, carts, products, stock_reservations, variants};
use crate::settings::ShopSettings;

/// An open cart with live prices.
#[derive(Debug, Clone)]
pub struct CartView {
    /// Absent while nothing was ever added.
    pub id: Option<CartId>,
    pub currency: Currency,
    pub lines: Vec<CartLine>,
    pub subtotal_minor: i64,
    /// When the first of its holds lapses, in mode `cart`.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A variant in a cart, as it is sold now.
#[derive(Debug, Clone)]
pub struct CartLine {
    pub variant_id: VariantId,
    pub product_id: ProductId,
    pub title: String,
    pub sku: Option<String>,
    pub quantity: i64,
    pub unit_price_minor: i64,
    pub line_total_minor: i64,
    /// Units this shopper could order now: what is free, and what this cart holds itself. None of what is no longer for sale.
    pub available: i64,
}

/// Why a cart could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum ViewCartError {
    #[error(transparent)]
    AmountOverflow(#[from] AmountOverflow),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

type LineRow = (VariantId, ProductId, String, String, Option<String>, i64, i64);

/// The owner's open cart; an empty one when there is none.
pub async fn view(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    owner: Owner,
) -> Result<CartView, ViewCartError> {
    let mut open = carts::table.filter(carts::status.eq("open")).select(carts::id).into_boxed();
    open = match owner {
        Owner::User(id) => open.filter(carts::user_id.eq(id)),
        Owner::Guest(hash) => open.filter(carts::token_hash.eq(hash.as_bytes().to_vec())),
    };
    let Some(cart_id) = open.first::<CartId>(conn).await.optional()? else {
        let (lines, subtotal_minor) = (Vec::new(), 0);
        return Ok(CartView { id: None, currency: shop.currency, lines, subtotal_minor, expires_at: None });
    };
    let rows: Vec<LineRow> = cart_items::table
        .inner_join(variants::table.inner_join(products::table))
        .filter(cart_items::cart_id.eq(cart_id))
        .order((cart_items::created_at, cart_items::variant_id))
        .select((
            variants::id,
            products::id,
            products::title,
            variants::title,
            variants::sku,
            cart_items::quantity,
            variants::price_minor,
        ))
        .load(conn)
        .await?;
    let ids: Vec<VariantId> = rows.iter().map(|row| row.0).collect();
    let mut available = available_by_variant(conn, &ids).await?;
    let holds = stock_reservations::table
        .filter(stock_reservations::cart_id.eq(cart_id))
        .filter(stock_reservations::status.eq("held"))
        .filter(stock_reservations::expires_at.gt(crate::db::clock().nullable()));
    let own: Vec<(VariantId, i64)> =
        holds.select((stock_reservations::variant_id, stock_reservations::quantity)).load(conn).await?;
    for (variant_id, quantity) in own {
        // Of what is not for sale there is nothing, whoever holds it.
        if let Some(available) = available.get_mut(&variant_id) {
            *available += quantity;
        }
    }
    let expires_at = holds.select(min(stock_reservations::expires_at)).first(conn).await?;
    let mut lines = Vec::with_capacity(rows.len());
    for (variant_id, product_id, product_title, variant_title, sku, quantity, unit_price_minor) in rows {
        lines.push(CartLine {
            variant_id,
            product_id,
            title: line_title(&product_title, &variant_title),
            sku,
            quantity,
            unit_price_minor,
            line_total_minor: line_total(unit_price_minor, quantity)?,
            available: available.get(&variant_id).copied().unwrap_or(0),
        });
    }
    let subtotal_minor = total(lines.iter().map(|line| line.line_total_minor))?;
    Ok(CartView { id: Some(cart_id), currency: shop.currency, lines, subtotal_minor, expires_at })
}

/// "Varsity Top – Small"; the one variant of a simple product goes by the product's name.
pub(crate) fn line_title(product_title: &str, variant_title: &str) -> String {
    if variant_title == product_title || variant_title == "Default" || variant_title == "Default Title" {
        product_title.to_owned()
    } else {
        format!("{product_title} – {variant_title}")
    }
}
