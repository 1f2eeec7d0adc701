//! Writes a new product with its variants, images and categories.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

pub(super) use super::insert_variants::as_position;
use super::insert_variants::{insert_variant_rows, insert_variants, variant_rows};
use super::lock_keys::lock_keys;
use super::product::{NewImage, NewProduct, NewVariant, ProductStatus};
use super::refusal::{ProductRefusal, WriteProductError};
use super::{check_product, check_variant, description, limits, slugs};
use crate::error::FieldErrors;
use crate::ids::{CategoryId, ImageId, ProductId, VariantId};
use crate::money::Currency;
use crate::schema::{product_categories, product_images, products};
use crate::text::single_line;

/// The ids of what was written. Variants are in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsertedProduct {
    /// The product's id.
    pub id: ProductId,
    /// The ids of its variants.
    pub variant_ids: Vec<VariantId>,
}

/// Creates a product without stock. `flows::create_product` creates one with stock. `currency` is the shop's.
pub async fn insert_product(
    conn: &mut AsyncPgConnection,
    new: NewProduct,
    currency: Currency,
) -> Result<InsertedProduct, WriteProductError> {
    let new = normalised(new);
    check(&new, currency)?;
    conn.transaction::<_, WriteProductError, _>(async |conn| {
        if new.variants.iter().any(NewVariant::has_keys) {
            lock_keys(conn).await?;
        }
        let id = ProductId::new();
        insert_row(conn, id, &new).await?;
        insert_images(conn, id, 0, &new.images).await?;
        let variant_ids = insert_variants(conn, id, &new.option_names, 0, &new.variants).await?;
        insert_categories(conn, id, &new.category_ids).await?;
        Ok(InsertedProduct { id, variant_ids })
    })
    .await
}

/// Creates products that each have a slug: all of them, or none. It needs a few statements for all of them,
/// so that a large file is imported fast. Keep the number of their variants and images below a few thousand,
/// because a statement has at most 65,535 parameters.
pub(super) async fn insert_products(
    conn: &mut AsyncPgConnection,
    new: Vec<NewProduct>,
    currency: Currency,
) -> Result<Vec<InsertedProduct>, WriteProductError> {
    let new: Vec<NewProduct> = new.into_iter().map(normalised).collect();
    new.iter().try_for_each(|new| check(new, currency))?;
    let (mut rows, mut variants, mut images, mut categories) = (vec![], vec![], vec![], vec![]);
    let mut inserted = Vec::with_capacity(new.len());
    for new in &new {
        let id = ProductId::new();
        let slug =
            new.slug.clone().unwrap_or_else(|| slugs::unlikely("product", limits::PRODUCT_SLUG_CHARS_MAX));
        rows.push((product_row(id, new), products::slug.eq(slug)));
        let linked = image_rows(id, 0, &new.images);
        let image_id = |url: &str| linked.iter().find(|image| image.url == url).map(|image| image.id);
        let own = variant_rows(id, &new.option_names, 0, &new.variants, image_id);
        inserted.push(InsertedProduct { id, variant_ids: own.iter().map(|row| row.id).collect() });
        variants.extend(own);
        images.extend(linked);
        categories.extend(category_rows(id, &new.category_ids));
    }
    conn.transaction::<_, WriteProductError, _>(async |conn| {
        diesel::insert_into(products::table).values(rows).execute(conn).await?;
        insert_parts(conn, images, categories).await?;
        insert_variant_rows(conn, variants).await?;
        Ok(inserted)
    })
    .await
}

/// Texts are in one form, so that names can be compared. An empty list of option names is read from the first variant.
fn normalised(mut new: NewProduct) -> NewProduct {
    new.title = single_line(&new.title);
    new.vendor = new.vendor.map(|vendor| single_line(&vendor));
    new.tags = normalised_tags(&new.tags);
    for variant in &mut new.variants {
        normalise_variant(variant);
    }
    if let (true, [first, ..]) = (new.option_names.is_empty(), new.variants.as_slice()) {
        new.option_names = first.options.keys().cloned().collect();
    }
    new.option_names = new.option_names.iter().map(|name| single_line(name)).collect();
    new.images.iter_mut().for_each(normalise_image);
    new
}

/// Tags without the blanks around them, each once.
pub(super) fn normalised_tags(tags: &[String]) -> Vec<String> {
    let mut normalised: Vec<String> = Vec::with_capacity(tags.len());
    for tag in tags {
        let tag = single_line(tag);
        if !normalised.contains(&tag) {
            normalised.push(tag);
        }
    }
    normalised
}

pub(super) fn normalise_variant(variant: &mut NewVariant) {
    variant.sku = variant.sku.take().map(|sku| single_line(&sku));
    variant.details.barcode = variant.details.barcode.take().map(|barcode| single_line(&barcode));
    variant.options = normalised_options(std::mem::take(&mut variant.options));
}

/// So that an import finds the same image again.
pub(super) fn normalise_image(image: &mut NewImage) {
    image.alt = single_line(&image.alt);
}

pub(super) fn normalised_options(options: super::Options) -> super::Options {
    options.into_iter().map(|(name, value)| (single_line(&name), single_line(&value))).collect()
}

/// Checks everything that can be checked without a database.
pub(super) fn check(new: &NewProduct, currency: Currency) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    check_product::title(&mut errors, &new.title);
    if let Some(slug) = &new.slug {
        check_product::slug(&mut errors, slug);
    }
    check_product::description(&mut errors, &new.description);
    if let Some(vendor) = &new.vendor {
        check_product::vendor(&mut errors, vendor);
    }
    check_product::tags(&mut errors, &new.tags);
    check_product::attributes(&mut errors, &new.attributes);
    check_product::category_ids(&mut errors, &new.category_ids);
    check_product::images(&mut errors, &new.images, &[]);
    check_product::option_names(&mut errors, &new.option_names);
    check_product::variants(&mut errors, &new.option_names, &new.variants);
    for (index, variant) in new.variants.iter().enumerate() {
        let images = new.images.iter().map(|image| image.url.as_str());
        check_variant::check(&mut errors, &format!("/variants/{index}"), variant, images);
    }
    check_product::finish(errors)?;
    let prices = new.variants.iter().enumerate().flat_map(|(index, variant)| {
        let at = format!("/variants/{index}");
        check_product::prices(&at, variant)
    });
    check_product::currency(currency, prices)
}

/// Writes the product's own row, under the first slug that is free.
async fn insert_row(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    new: &NewProduct,
) -> Result<(), WriteProductError> {
    let row = product_row(id, new);
    if let Some(slug) = &new.slug {
        diesel::insert_into(products::table).values((row, products::slug.eq(slug))).execute(conn).await?;
        return Ok(());
    }
    let base = slugs::from_title(
        &new.title,
        "product",
        limits::PRODUCT_SLUG_CHARS_MAX,
        slugs::RESERVED_FOR_PRODUCTS,
    );
    let taken = similar_slugs(conn, &base).await?;
    for slug in slugs::candidates(&base, &taken, limits::PRODUCT_SLUG_CHARS_MAX) {
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

/// Existing slugs that begin alike. A new slug must get a number that none of them has.
async fn similar_slugs(conn: &mut AsyncPgConnection, base: &str) -> QueryResult<Vec<String>> {
    let numbered = slugs::numbered_pattern(base, limits::PRODUCT_SLUG_CHARS_MAX);
    products::table
        .filter(products::slug.eq(base).or(products::slug.like(numbered)))
        .select(products::slug)
        .load(conn)
        .await
}

/// Links images from a position on. They were checked before.
pub(super) async fn insert_images(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    first_position: usize,
    new: &[NewImage],
) -> QueryResult<()> {
    insert_parts(conn, image_rows(product_id, first_position, new), vec![]).await
}

pub(super) async fn insert_categories(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    category_ids: &[CategoryId],
) -> QueryResult<()> {
    insert_parts(conn, vec![], category_rows(product_id, category_ids)).await
}

async fn insert_parts(
    conn: &mut AsyncPgConnection,
    new_images: Vec<ImageRow<'_>>,
    new_categories: Vec<CategoryRow>,
) -> QueryResult<()> {
    if !new_images.is_empty() {
        diesel::insert_into(product_images::table).values(new_images).execute(conn).await?;
    }
    if !new_categories.is_empty() {
        diesel::insert_into(product_categories::table)
            .values(new_categories)
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// All columns but the slug.
#[derive(Clone, Insertable)]
#[diesel(table_name = products)]
struct ProductRow<'a> {
    id: ProductId,
    title: &'a str,
    description: String,
    status: ProductStatus,
    vendor: Option<&'a str>,
    tags: &'a [String],
    attributes: serde_json::Value,
    option_names: serde_json::Value,
    price_from_minor: Option<i64>,
}

fn product_row(id: ProductId, new: &NewProduct) -> ProductRow<'_> {
    ProductRow {
        id,
        title: &new.title,
        description: description::sanitise(&new.description),
        status: new.status,
        vendor: new.vendor.as_deref(),
        tags: &new.tags,
        attributes: serde_json::Value::Object(new.attributes.clone()),
        option_names: serde_json::json!(new.option_names),
        price_from_minor: new
            .variants
            .iter()
            .filter(|variant| variant.active)
            .map(|variant| variant.price.amount_minor)
            .min(),
    }
}

#[derive(Insertable)]
#[diesel(table_name = product_images)]
struct ImageRow<'a> {
    id: ImageId,
    product_id: ProductId,
    url: &'a str,
    alt: &'a str,
    position: i32,
}

fn image_rows<'a>(product_id: ProductId, first_position: usize, new: &'a [NewImage]) -> Vec<ImageRow<'a>> {
    new.iter()
        .zip(first_position..)
        .map(|(image, position)| ImageRow {
            id: ImageId::new(),
            product_id,
            url: &image.url,
            alt: &image.alt,
            position: as_position(position),
        })
        .collect()
}

#[derive(Insertable)]
#[diesel(table_name = product_categories)]
struct CategoryRow {
    product_id: ProductId,
    category_id: CategoryId,
}

fn category_rows(product_id: ProductId, category_ids: &[CategoryId]) -> Vec<CategoryRow> {
    category_ids.iter().map(|&category_id| CategoryRow { product_id, category_id }).collect()
}
