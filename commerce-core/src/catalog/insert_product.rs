//! Writes a new product with its variants, images and categories.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::product::{NewImage, NewProduct, NewVariant, variant_title};
use super::refusal::{ProductRefusal, WriteProductError};
use super::{check_product, description, limits, slugs};
use crate::error::FieldErrors;
use crate::ids::{CategoryId, ImageId, ProductId, VariantId};
use crate::money::Currency;
use crate::schema::{product_categories, product_images, products, variants};

/// Ids of what was written; variants in the order they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsertedProduct {
    pub id: ProductId,
    pub variant_ids: Vec<VariantId>,
}

/// Makes a product without stock; `flows::create_product` makes one with it. `currency` is the shop's.
pub async fn insert_product(
    conn: &mut AsyncPgConnection,
    new: NewProduct,
    currency: Currency,
) -> Result<InsertedProduct, WriteProductError> {
    let new = normalised(new);
    check(&new, currency)?;
    conn.transaction::<_, WriteProductError, _>(async |conn| {
        let id = ProductId::new();
        insert_row(conn, id, &new).await?;
        let variant_ids = insert_variants(conn, id, &new.option_names, 0, &new.variants).await?;
        insert_images(conn, id, 0, &new.images).await?;
        insert_categories(conn, id, &new.category_ids).await?;
        Ok(InsertedProduct { id, variant_ids })
    })
    .await
}

/// Blanks around texts carry no meaning; an empty list of option names is read from the first variant.
fn normalised(mut new: NewProduct) -> NewProduct {
    new.title = new.title.trim().to_owned();
    for variant in &mut new.variants {
        normalise_variant(variant);
    }
    if let (true, [first, ..]) = (new.option_names.is_empty(), new.variants.as_slice()) {
        new.option_names = first.options.keys().cloned().collect();
    }
    new.option_names = new.option_names.iter().map(|name| name.trim().to_owned()).collect();
    new
}

pub(super) fn normalise_variant(variant: &mut NewVariant) {
    variant.sku = variant.sku.take().map(|sku| sku.trim().to_owned());
    variant.options = normalised_options(std::mem::take(&mut variant.options));
}

pub(super) fn normalised_options(options: super::Options) -> super::Options {
    options.into_iter().map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

/// Everything that can be known to be wrong without a database.
pub(super) fn check(new: &NewProduct, currency: Currency) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    check_product::title(&mut errors, &new.title);
    if let Some(slug) = &new.slug {
        check_product::slug(&mut errors, slug);
    }
    check_product::description(&mut errors, &new.description);
    check_product::attributes(&mut errors, &new.attributes);
    check_product::category_ids(&mut errors, &new.category_ids);
    check_product::images(&mut errors, &new.images);
    check_product::option_names(&mut errors, &new.option_names);
    check_product::variants(&mut errors, &new.option_names, &new.variants);
    check_product::finish(errors)?;
    let prices = new.variants.iter().enumerate().flat_map(|(index, variant)| {
        let at = format!("/variants/{index}");
        check_product::prices(&at, Some(&variant.price), variant.compare_at_price.as_ref())
    });
    check_product::currency(currency, prices)
}

/// The product's own row, under the first slug that nobody has.
async fn insert_row(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    new: &NewProduct,
) -> Result<(), WriteProductError> {
    let price_from = new.variants.iter().filter(|variant| variant.active).map(|v| v.price.amount_minor).min();
    let row = (
        products::id.eq(id),
        products::title.eq(&new.title),
        products::description.eq(description::sanitise(&new.description)),
        products::status.eq(new.status),
        products::attributes.eq(serde_json::Value::Object(new.attributes.clone())),
        products::option_names.eq(serde_json::json!(new.option_names)),
        products::price_from_minor.eq(price_from),
    );
    if let Some(slug) = &new.slug {
        diesel::insert_into(products::table).values((row, products::slug.eq(slug))).execute(conn).await?;
        return Ok(());
    }
    let base = slugs::from_title(&new.title, "product", limits::PRODUCT_SLUG_CHARS_MAX);
    // Another transaction may take the slug in between: then look again, and in a crowd stop counting.
    for attempt in 0.. {
        let slug = if attempt < 5 { free_slug(conn, &base).await? } else { slugs::unlikely(&base) };
        let inserted = diesel::insert_into(products::table)
            .values((row.clone(), products::slug.eq(slug)))
            .on_conflict(products::slug)
            .do_nothing()
            .execute(conn)
            .await?;
        if inserted == 1 {
            break;
        }
    }
    Ok(())
}

async fn free_slug(conn: &mut AsyncPgConnection, base: &str) -> QueryResult<String> {
    let taken: Vec<String> = products::table
        .filter(products::slug.eq(base).or(products::slug.like(slugs::numbered_pattern(base))))
        .select(products::slug)
        .load(conn)
        .await?;
    Ok(slugs::first_free(base, &taken))
}

/// Appends variants from a position on. They are checked.
pub(super) async fn insert_variants(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    option_names: &[String],
    first_position: usize,
    new: &[NewVariant],
) -> QueryResult<Vec<VariantId>> {
    let ids: Vec<VariantId> = new.iter().map(|_| VariantId::new()).collect();
    let rows: Vec<_> = ids
        .iter()
        .zip(new)
        .zip(first_position..)
        .map(|((id, variant), position)| {
            (
                variants::id.eq(id),
                variants::product_id.eq(product_id),
                variants::sku.eq(&variant.sku),
                variants::title.eq(variant_title(option_names, &variant.options)),
                variants::options.eq(serde_json::json!(variant.options)),
                variants::price_minor.eq(variant.price.amount_minor),
                variants::compare_at_minor.eq(variant.compare_at_price.map(|price| price.amount_minor)),
                variants::currency.eq(variant.price.currency),
                variants::active.eq(variant.active),
                variants::position.eq(as_position(position)),
            )
        })
        .collect();
    if !rows.is_empty() {
        diesel::insert_into(variants::table).values(rows).execute(conn).await?;
    }
    Ok(ids)
}

/// Links images from a position on. They are checked.
pub(super) async fn insert_images(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    first_position: usize,
    new: &[NewImage],
) -> QueryResult<()> {
    let rows: Vec<_> = new
        .iter()
        .zip(first_position..)
        .map(|(image, position)| {
            (
                product_images::id.eq(ImageId::new()),
                product_images::product_id.eq(product_id),
                product_images::url.eq(&image.url),
                product_images::alt.eq(&image.alt),
                product_images::position.eq(as_position(position)),
            )
        })
        .collect();
    if !rows.is_empty() {
        diesel::insert_into(product_images::table).values(rows).execute(conn).await?;
    }
    Ok(())
}

pub(super) async fn insert_categories(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    category_ids: &[CategoryId],
) -> QueryResult<()> {
    let rows: Vec<_> = category_ids
        .iter()
        .map(|id| (product_categories::product_id.eq(product_id), product_categories::category_id.eq(id)))
        .collect();
    if !rows.is_empty() {
        diesel::insert_into(product_categories::table)
            .values(rows)
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Positions are counted in lists of at most a hundred.
pub(super) fn as_position(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}
