//! Reads complete products with three queries, however many products there are: one for the products, one for
//! their variants, one for their images.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::dsl::{array, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::try_join;

use super::image::MEDIA_PATH;
use super::product::{Attributes, Audience, Image, ImageVariant, Options, Product, ProductStatus, Variant};
use super::variant_details::{StaffDetails, VariantDetails};
use crate::db::{Json, Prepared};
use crate::ids::{CategoryId, ImageId, ProductId, VariantId};
use crate::inventory::Available;
use crate::money::{Currency, Money};
use crate::schema::{product_categories, product_images, products, variants};

/// How a product is identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductKey {
    /// By id.
    Id(ProductId),
    /// By slug.
    Slug(String),
}

impl From<&str> for ProductKey {
    /// A UUID is an id, and everything else is a slug. Postgres does not accept a NUL, and no slug contains
    /// one.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Slug(text.replace('\0', "")), Self::Id)
    }
}

/// The id of a product in any status.
pub async fn find_product_id(
    conn: &mut AsyncPgConnection,
    key: &ProductKey,
) -> QueryResult<Option<ProductId>> {
    let query = products::table.select(products::id).into_boxed();
    let query = match key {
        ProductKey::Id(id) => query.filter(products::id.eq(*id)),
        ProductKey::Slug(slug) => query.filter(products::slug.eq(slug)),
    };
    query.first(conn).await.optional()
}

/// A product that this audience may see. `None` if there is no such product.
pub async fn find_product(
    conn: &mut AsyncPgConnection,
    key: &ProductKey,
    audience: Audience,
) -> QueryResult<Option<Product>> {
    let mut query = products::table.select(ProductRow::as_select()).into_boxed();
    query = match key {
        ProductKey::Id(id) => query.filter(products::id.eq(*id)),
        ProductKey::Slug(slug) => query.filter(products::slug.eq(slug)),
    };
    if audience == Audience::Shoppers {
        query = query.filter(products::status.eq(ProductStatus::Active));
    }
    let rows = query.load(conn).await?;
    Ok(with_parts(conn, rows, audience).await?.pop())
}

/// These products as staff see them, in no particular order, in one round trip.
pub(super) async fn find_by_ids(conn: &AsyncPgConnection, ids: &[ProductId]) -> QueryResult<Vec<Product>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let query = products::table.filter(products::id.eq_any(ids)).select(ProductRow::as_select());
    let mut first = conn;
    let (rows, parts) =
        try_join!(query.load::<ProductRow>(&mut first), load_parts(conn, ids, Audience::Staff))?;
    Ok(put_together(rows, parts))
}

/// Active products by id, in the order of the ids. Products that are not active are left out. It takes one
/// round trip, which other queries may share, because a shared borrow of the connection is enough.
pub async fn list_products_by_ids(conn: &AsyncPgConnection, ids: &[ProductId]) -> QueryResult<Vec<Product>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let query = products::table
        .filter(products::id.eq_any(ids).and(products::status.eq(ProductStatus::Active)))
        .select(ProductRow::as_select());
    let mut first = conn;
    let (mut rows, parts) =
        try_join!(query.load::<ProductRow>(&mut first), load_parts(conn, ids, Audience::Shoppers))?;
    rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
    Ok(put_together(rows, parts))
}

/// A row of `commerce.products`.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = products)]
pub(super) struct ProductRow {
    pub id: ProductId,
    pub slug: String,
    pub title: String,
    pub description: String,
    pub status: ProductStatus,
    pub vendor: Option<String>,
    pub tags: Vec<String>,
    pub attributes: Json<Attributes>,
    pub option_names: Json<Vec<String>>,
    pub price_from_minor: Option<i64>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub version: i32,
    #[diesel(select_expression = array::<SqlUuid, _>(own_categories()))]
    #[diesel(select_expression_type = array<SqlUuid, own_categories>)]
    pub category_ids: Vec<CategoryId>,
}

#[diesel::dsl::auto_type]
fn own_categories() -> _ {
    product_categories::table
        .filter(product_categories::product_id.eq(products::id))
        .select(product_categories::category_id)
        .order(product_categories::category_id)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = variants)]
struct VariantRow {
    id: VariantId,
    product_id: ProductId,
    sku: Option<String>,
    title: String,
    options: Json<Options>,
    price_minor: i64,
    compare_at_minor: Option<i64>,
    currency: Currency,
    active: bool,
    track_inventory: bool,
    continue_selling: bool,
    weight_grams: Option<i32>,
    requires_shipping: bool,
    taxable: bool,
    barcode: Option<String>,
    cost_minor: Option<i64>,
    image_id: Option<ImageId>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = product_images)]
struct ImageRow {
    id: ImageId,
    product_id: ProductId,
    url: String,
    alt: String,
    position: i32,
    width: Option<i32>,
    height: Option<i32>,
    variants: Json<Vec<StoredVariant>>,
}

/// A smaller copy, as stored in `product_images.variants`.
#[derive(serde::Deserialize)]
struct StoredVariant {
    width: u32,
    height: u32,
    key: String,
}

/// Units of a variant that could be reserved now, as the view `commerce.availability` has them.
const AVAILABLE: &str = "CASE WHEN variants.track_inventory THEN coalesce((
    SELECT stock.available FROM commerce.available_stock AS stock WHERE stock.variant_id = variants.id), 0) END";

/// Adds variants with their stock, and images, to rows. Keeps the order of the rows.
pub(super) async fn with_parts(
    conn: &mut AsyncPgConnection,
    rows: Vec<ProductRow>,
    audience: Audience,
) -> QueryResult<Vec<Product>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<ProductId> = rows.iter().map(|row| row.id).collect();
    let parts = load_parts(conn, &ids, audience).await?;
    Ok(put_together(rows, parts))
}

/// The variants and images of products, in display order.
struct Parts {
    /// Each variant with the units that can be bought.
    variants: Vec<(VariantRow, Option<i64>)>,
    images: Vec<ImageRow>,
    audience: Audience,
}

/// The two queries share one round trip.
async fn load_parts(conn: &AsyncPgConnection, ids: &[ProductId], audience: Audience) -> QueryResult<Parts> {
    let mut variants_query = variants::table
        .filter(variants::product_id.eq_any(ids))
        .order((variants::product_id, variants::position, variants::id))
        .select((VariantRow::as_select(), sql::<Nullable<BigInt>>(AVAILABLE)))
        .into_boxed();
    if audience == Audience::Shoppers {
        variants_query = variants_query.filter(variants::active);
    }
    let images_query = product_images::table
        .filter(product_images::product_id.eq_any(ids))
        .order((product_images::product_id, product_images::position, product_images::id))
        .select(ImageRow::as_select());
    let (mut first, mut second) = (conn, conn);
    let (variants, images) =
        try_join!(Prepared(variants_query).load(&mut first), images_query.load(&mut second))?;
    Ok(Parts { variants, images, audience })
}

/// Parts of products that are not among the rows are dropped.
fn put_together(rows: Vec<ProductRow>, parts: Parts) -> Vec<Product> {
    let mut products: Vec<Product> = rows.into_iter().map(product_of).collect();
    let places: HashMap<ProductId, usize> =
        products.iter().zip(0..).map(|(product, at)| (product.id, at)).collect();
    let place = |id: &ProductId| places.get(id).copied();
    for row in parts.images {
        let Some(product) = place(&row.product_id).and_then(|at| products.get_mut(at)) else { continue };
        product.images.push(image_of(row));
    }
    for (row, available) in parts.variants {
        let Some(product) = place(&row.product_id).and_then(|at| products.get_mut(at)) else { continue };
        let variant = variant_of(row, &product.images, Available::of_view(available), parts.audience);
        product.variants.push(variant);
    }
    for product in &mut products {
        product.price_from = lowest_price(&product.variants);
    }
    products
}

fn lowest_price(variants: &[Variant]) -> Option<Money> {
    let active = variants.iter().filter(|variant| variant.active);
    active.map(|variant| variant.price).min_by_key(|price| price.amount_minor)
}

fn product_of(row: ProductRow) -> Product {
    Product {
        id: row.id,
        slug: row.slug,
        title: row.title,
        description: row.description,
        status: row.status,
        vendor: row.vendor,
        tags: row.tags,
        attributes: row.attributes.0,
        option_names: row.option_names.0,
        category_ids: row.category_ids,
        images: Vec::new(),
        variants: Vec::new(),
        price_from: None,
        created_at: row.created_at,
        updated_at: row.updated_at,
        version: row.version,
    }
}

fn image_of(row: ImageRow) -> Image {
    let pixels = |pixels: Option<i32>| pixels.and_then(|pixels| u32::try_from(pixels).ok());
    Image {
        id: row.id,
        url: row.url,
        alt: row.alt,
        position: row.position,
        size: pixels(row.width).zip(pixels(row.height)),
        variants: { row.variants.0.into_iter() }
            .map(|StoredVariant { width, height, key }| {
                let url = format!("{MEDIA_PATH}{key}");
                ImageVariant { width, height, url }
            })
            .collect(),
    }
}

fn variant_of(row: VariantRow, images: &[Image], available: Available, audience: Audience) -> Variant {
    let money = |amount: Option<i64>| amount.map(|amount| Money::new(amount, row.currency));
    let image = row.image_id.and_then(|id| images.iter().find(|image| image.id == id));
    let staff = StaffDetails { cost: money(row.cost_minor), continue_selling: row.continue_selling };
    Variant {
        id: row.id,
        product_id: row.product_id,
        sku: row.sku,
        title: row.title,
        options: row.options.0,
        price: Money::new(row.price_minor, row.currency),
        compare_at_price: money(row.compare_at_minor),
        available,
        active: row.active,
        details: VariantDetails {
            track_inventory: row.track_inventory,
            weight_grams: row.weight_grams,
            requires_shipping: row.requires_shipping,
            taxable: row.taxable,
            barcode: row.barcode,
            image_url: image.map(|image| image.url.clone()),
        },
        staff: (audience == Audience::Staff).then_some(staff),
    }
}
