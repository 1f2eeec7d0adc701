//! Writes new variants of a product.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::product::{NewVariant, variant_title};
use crate::ids::{ImageId, ProductId, VariantId};
use crate::money::{Currency, Money};
use crate::schema::{product_images, variants};

/// Appends variants from a position on. They were checked before, and the product's images are written.
pub(super) async fn insert_variants(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    option_names: &[String],
    first_position: usize,
    new: &[NewVariant],
) -> QueryResult<Vec<VariantId>> {
    let images: Vec<(String, ImageId)> = if new.iter().any(|variant| variant.details.image_url.is_some()) {
        let images = product_images::table.filter(product_images::product_id.eq(product_id));
        images.select((product_images::url, product_images::id)).load(conn).await?
    } else {
        Vec::new()
    };
    let image_id = |url: &str| images.iter().find(|(known, _)| known == url).map(|(_, id)| *id);
    let rows = variant_rows(product_id, option_names, first_position, new, image_id);
    let ids = rows.iter().map(|row| row.id).collect();
    insert_variant_rows(conn, rows).await?;
    Ok(ids)
}

/// The most variants of one statement.
const VARIANTS_AT_ONCE: usize = 1000;

pub(super) async fn insert_variant_rows(
    conn: &mut AsyncPgConnection,
    mut rows: Vec<VariantRow<'_>>,
) -> QueryResult<()> {
    // A statement has at most 65,535 parameters.
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(VARIANTS_AT_ONCE));
        diesel::insert_into(variants::table).values(rows).execute(conn).await?;
        rows = rest;
    }
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = variants)]
pub(super) struct VariantRow<'a> {
    pub id: VariantId,
    product_id: ProductId,
    sku: Option<&'a str>,
    title: String,
    options: serde_json::Value,
    price_minor: i64,
    compare_at_minor: Option<i64>,
    currency: Currency,
    active: bool,
    position: i32,
    track_inventory: bool,
    continue_selling: bool,
    weight_grams: Option<i32>,
    requires_shipping: bool,
    taxable: bool,
    barcode: Option<&'a str>,
    cost_minor: Option<i64>,
    image_id: Option<ImageId>,
}

/// `image_id` finds the product's image with this URL.
pub(super) fn variant_rows<'a>(
    product_id: ProductId,
    option_names: &[String],
    first_position: usize,
    new: &'a [NewVariant],
    image_id: impl Fn(&str) -> Option<ImageId>,
) -> Vec<VariantRow<'a>> {
    let minor = |price: Option<Money>| price.map(|price| price.amount_minor);
    new.iter()
        .zip(first_position..)
        .map(|(variant, position)| VariantRow {
            id: VariantId::new(),
            product_id,
            sku: variant.sku.as_deref(),
            title: variant_title(option_names, &variant.options),
            options: serde_json::json!(variant.options),
            price_minor: variant.price.amount_minor,
            compare_at_minor: minor(variant.compare_at_price),
            currency: variant.price.currency,
            active: variant.active,
            position: as_position(position),
            track_inventory: variant.details.track_inventory,
            continue_selling: variant.staff.continue_selling,
            weight_grams: variant.details.weight_grams,
            requires_shipping: variant.details.requires_shipping,
            taxable: variant.details.taxable,
            barcode: variant.details.barcode.as_deref(),
            cost_minor: minor(variant.staff.cost),
            image_id: variant.details.image_url.as_deref().and_then(&image_id),
        })
        .collect()
}

/// Positions are indexes into lists of a few thousand at most.
pub(super) fn as_position(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}
