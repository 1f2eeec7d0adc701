//! Adds and changes the variants of a product.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::insert_product::{normalise_variant, normalised_options};
use super::insert_variants::insert_variants;
use super::lock_keys::lock_keys;
use super::lock_product::{finish_write, lock_product};
use super::product::{NewVariant, Options, Product, VariantPatch, variant_title};
use super::refusal::{ProductRefusal, UpdateProductError};
use super::{check_product, check_variant, limits};
use crate::error::FieldErrors;
use crate::ids::{ImageId, ProductId, VariantId};
use crate::money::{Currency, Money};
use crate::schema::{product_images, products, variants};
use crate::text::single_line;

/// Appends a variant and returns its id and the product. The first variant of a product sets the names of the
/// options, and every other variant has a value for each of them.
pub async fn add_variant(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    if_version: Option<i32>,
    new: NewVariant,
    currency: Currency,
) -> Result<(VariantId, Product), UpdateProductError> {
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        let id = append_variant(conn, product_id, if_version, new, currency).await?;
        Ok((id, finish_write(conn, product_id).await?))
    })
    .await
}

/// Locks the product and appends a variant. The caller must then call [`finish_write`] in the same
/// transaction.
pub(crate) async fn append_variant(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    if_version: Option<i32>,
    mut new: NewVariant,
    currency: Currency,
) -> Result<VariantId, UpdateProductError> {
    normalise_variant(&mut new);
    if new.has_keys() {
        lock_keys(conn).await?;
    }
    let product = lock_product(conn, product_id, if_version).await?;
    let names = option_names_with(conn, &product, None, &new.options).await?;
    check_new(&product, &names, &new, currency)?;
    let position = product.variants.len();
    let ids = insert_variants(conn, product_id, &names, position, std::slice::from_ref(&new)).await?;
    Ok(ids.into_iter().next().ok_or(diesel::result::Error::NotFound)?)
}

/// Changes a variant and returns its product. A deactivated variant is no longer sold, but keeps its SKU and
/// its combination.
pub async fn update_variant(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    variant_id: VariantId,
    if_version: Option<i32>,
    patch: VariantPatch,
    currency: Currency,
) -> Result<Product, UpdateProductError> {
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        if patch.has_keys() {
            lock_keys(conn).await?;
        }
        let product = lock_product(conn, product_id, if_version).await?;
        patch_variant(conn, &product, variant_id, "", patch, currency).await?;
        finish_write(conn, product_id).await
    })
    .await
}

fn check_new(
    product: &Product,
    names: &[String],
    new: &NewVariant,
    currency: Currency,
) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    check_product::variant(&mut errors, "", names, new);
    check_variant::check(&mut errors, "", new, product.images.iter().map(|image| image.url.as_str()));
    if product.variants.len() >= limits::VARIANTS_PER_PRODUCT_MAX {
        let max = limits::VARIANTS_PER_PRODUCT_MAX;
        errors.push("", format!("a product can have at most {max} variants"));
    }
    check_product::finish(errors)?;
    check_product::currency(currency, check_product::prices("", new))
}

/// The names that a variant's options must have. The only variant of a product may rename them, and they are
/// then the product's.
async fn option_names_with(
    conn: &mut AsyncPgConnection,
    product: &Product,
    variant_id: Option<VariantId>,
    options: &Options,
) -> Result<Vec<String>, UpdateProductError> {
    let has_siblings = product.variants.iter().any(|variant| Some(variant.id) != variant_id);
    let same_names = product.option_names.len() == options.len()
        && product.option_names.iter().all(|name| options.contains_key(name));
    if has_siblings || same_names {
        return Ok(product.option_names.clone());
    }
    let names: Vec<String> = options.keys().cloned().collect();
    let mut errors = FieldErrors::default();
    check_product::option_names(&mut errors, &names);
    check_product::finish(errors)?;
    set_option_names(conn, product.id, &names).await?;
    Ok(names)
}

/// Sets the names of the options of a locked product.
pub(super) async fn set_option_names(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    names: &[String],
) -> QueryResult<()> {
    diesel::update(products::table.find(product_id))
        .set(products::option_names.eq(serde_json::json!(names)))
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(AsChangeset)]
#[diesel(table_name = variants)]
struct VariantChanges {
    sku: Option<Option<String>>,
    title: Option<String>,
    options: Option<serde_json::Value>,
    price_minor: Option<i64>,
    compare_at_minor: Option<Option<i64>>,
    active: Option<bool>,
    track_inventory: Option<bool>,
    continue_selling: Option<bool>,
    weight_grams: Option<Option<i32>>,
    requires_shipping: Option<bool>,
    taxable: Option<bool>,
    barcode: Option<Option<String>>,
    cost_minor: Option<Option<i64>>,
    image_id: Option<Option<ImageId>>,
}

/// Writes a variant of a locked product. `at` is the place of the patch in the request.
pub(super) async fn patch_variant(
    conn: &mut AsyncPgConnection,
    product: &Product,
    variant_id: VariantId,
    at: &str,
    mut patch: VariantPatch,
    currency: Currency,
) -> Result<(), UpdateProductError> {
    if !product.variants.iter().any(|variant| variant.id == variant_id) {
        return Err(UpdateProductError::UnknownVariant(variant_id));
    }
    patch.options = patch.options.map(normalised_options);
    let names = match &patch.options {
        Some(options) => option_names_with(conn, product, Some(variant_id), options).await?,
        None => product.option_names.clone(),
    };
    check_patch(at, &names, &patch, currency)?;
    let image_id = match &patch.image_url {
        Some(Some(url)) => Some(Some(find_image(conn, product.id, at, url).await?)),
        Some(None) => Some(None),
        None => None,
    };
    let minor = |price: Option<Money>| price.map(|price| price.amount_minor);
    let changes = VariantChanges {
        sku: patch.sku.map(|sku| sku.map(|sku| single_line(&sku))),
        title: patch.options.as_ref().map(|options| variant_title(&names, options)),
        options: patch.options.map(|options| serde_json::json!(options)),
        price_minor: patch.price.map(|price| price.amount_minor),
        compare_at_minor: patch.compare_at_price.map(minor),
        active: patch.active,
        track_inventory: patch.track_inventory,
        continue_selling: patch.continue_selling,
        weight_grams: patch.weight_grams,
        requires_shipping: patch.requires_shipping,
        taxable: patch.taxable,
        barcode: patch.barcode.map(|barcode| barcode.map(|barcode| single_line(&barcode))),
        cost_minor: patch.cost.map(minor),
        image_id,
    };
    let changes = (changes, variants::updated_at.eq(crate::db::clock()));
    diesel::update(variants::table.find(variant_id)).set(changes).execute(conn).await?;
    Ok(())
}

/// The image of a locked product that has this URL.
async fn find_image(
    conn: &mut AsyncPgConnection,
    product_id: ProductId,
    at: &str,
    url: &str,
) -> Result<ImageId, UpdateProductError> {
    let images = product_images::table.filter(product_images::product_id.eq(product_id));
    let image = images.filter(product_images::url.eq(url)).select(product_images::id);
    let id: Option<ImageId> = match url.contains('\0') {
        true => None,
        false => image.first(conn).await.optional()?,
    };
    id.ok_or_else(|| {
        let mut errors = FieldErrors::default();
        errors.push(format!("{at}/image_url"), check_variant::NO_SUCH_IMAGE);
        ProductRefusal::Invalid(errors.into_vec()).into()
    })
}

fn check_patch(
    at: &str,
    names: &[String],
    patch: &VariantPatch,
    currency: Currency,
) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    if let Some(Some(sku)) = &patch.sku {
        check_product::sku(&mut errors, at, sku);
    }
    if let Some(options) = &patch.options {
        check_product::options(&mut errors, at, names, options);
    }
    if let Some(price) = patch.price {
        check_product::price(&mut errors, &format!("{at}/price"), price);
    }
    let compare_at_price = patch.compare_at_price.flatten();
    if let Some(compare_at) = compare_at_price {
        check_product::price(&mut errors, &format!("{at}/compare_at_price"), compare_at);
    }
    let (weight_grams, cost) = (patch.weight_grams.flatten(), patch.cost.flatten());
    let barcode = patch.barcode.as_ref().and_then(Option::as_deref);
    check_variant::check_values(&mut errors, at, weight_grams, barcode, cost);
    check_product::finish(errors)?;
    let prices =
        check_product::given_prices(at, patch.price.as_ref(), compare_at_price.as_ref(), cost.as_ref());
    check_product::currency(currency, prices)
}
