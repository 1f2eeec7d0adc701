//! Writes changed variants of a product in one statement.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::product::{Product, Variant};
use crate::ids::VariantId;
use crate::money::Money;

/// Writes variants of a locked product whose images are written. They may exchange their SKUs and options. What
/// only staff may know stays as it is if it is `None`. Call `lock_keys` before.
pub(super) async fn write_variants(
    conn: &mut AsyncPgConnection,
    before: &Product,
    changed: &[Variant],
) -> QueryResult<()> {
    if changed.is_empty() {
        return Ok(());
    }
    free_keys(conn, before, changed).await?;
    fn column<'a, T>(changed: &'a [Variant], of: impl Fn(&'a Variant) -> T) -> Vec<T> {
        changed.iter().map(of).collect()
    }
    let minor = |price: Option<Money>| price.map(|price| price.amount_minor);
    diesel::sql_query(
        "UPDATE commerce.variants AS variant
         SET sku = new.sku, title = new.title, options = new.options, price_minor = new.price_minor,
             compare_at_minor = new.compare_at_minor, active = new.active,
             track_inventory = new.track_inventory, weight_grams = new.weight_grams,
             requires_shipping = new.requires_shipping, taxable = new.taxable, barcode = new.barcode,
             continue_selling = coalesce(new.continue_selling, variant.continue_selling),
             cost_minor = CASE WHEN new.continue_selling IS NULL THEN variant.cost_minor ELSE new.cost_minor END,
             image_id = (SELECT image.id FROM commerce.product_images AS image
                         WHERE image.product_id = variant.product_id AND image.url = new.image_url LIMIT 1),
             updated_at = commerce.clock()
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             AS new (id, sku, title, options, price_minor, compare_at_minor, active, track_inventory,
                     continue_selling, weight_grams, requires_shipping, taxable, barcode, cost_minor, image_url)
         WHERE variant.id = new.id",
    )
    .bind::<Array<Uuid>, _>(column(changed, |variant| variant.id.0))
    .bind::<Array<Nullable<Text>>, _>(column(changed, |variant| variant.sku.as_deref()))
    .bind::<Array<Text>, _>(column(changed, |variant| variant.title.as_str()))
    .bind::<Array<Jsonb>, _>(column(changed, |variant| serde_json::json!(variant.options)))
    .bind::<Array<BigInt>, _>(column(changed, |variant| variant.price.amount_minor))
    .bind::<Array<Nullable<BigInt>>, _>(column(changed, |variant| minor(variant.compare_at_price)))
    .bind::<Array<Bool>, _>(column(changed, |variant| variant.active))
    .bind::<Array<Bool>, _>(column(changed, |variant| variant.details.track_inventory))
    .bind::<Array<Nullable<Bool>>, _>(column(changed, |variant| {
        variant.staff.as_ref().map(|staff| staff.continue_selling)
    }))
    .bind::<Array<Nullable<Integer>>, _>(column(changed, |variant| variant.details.weight_grams))
    .bind::<Array<Bool>, _>(column(changed, |variant| variant.details.requires_shipping))
    .bind::<Array<Bool>, _>(column(changed, |variant| variant.details.taxable))
    .bind::<Array<Nullable<Text>>, _>(column(changed, |variant| variant.details.barcode.as_deref()))
    .bind::<Array<Nullable<BigInt>>, _>(column(changed, |variant| {
        minor(variant.staff.as_ref().and_then(|staff| staff.cost))
    }))
    .bind::<Array<Nullable<Text>>, _>(column(changed, |variant| variant.details.image_url.as_deref()))
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the SKUs and options that other variants are to get from the variants that have them. Postgres checks
/// a unique index row by row, so they must be free before.
async fn free_keys(conn: &mut AsyncPgConnection, before: &Product, changed: &[Variant]) -> QueryResult<()> {
    let is_wanted = |had: &Variant| {
        changed.iter().any(|new| {
            new.id != had.id && (new.options == had.options || (new.sku.is_some() && new.sku == had.sku))
        })
    };
    let wanted: Vec<VariantId> =
        before.variants.iter().filter(|had| is_wanted(had)).map(|had| had.id).collect();
    let wanted: Vec<uuid::Uuid> =
        changed.iter().filter(|new| wanted.contains(&new.id)).map(|new| new.id.0).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "UPDATE commerce.variants SET sku = NULL, options = jsonb_build_object('', id::text) WHERE id = ANY ($1)",
    )
    .bind::<Array<Uuid>, _>(wanted)
    .execute(conn)
    .await
    .map(drop)
}
