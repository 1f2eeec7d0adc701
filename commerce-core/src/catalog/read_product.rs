//! Reads whole products: one query each for variants, stock, images and categories, however many products there are.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::try_join;
use uuid::Uuid;

use super::image::MEDIA_PATH;
use super::product::{Attributes, Audience, Image, ImageVariant, Options, Product, ProductStatus, Variant};
use crate::db::Prepared;
use crate::ids::{CategoryId, ImageId, ProductId, VariantId};
use crate::money::{Currency, Money};
use crate::schema::{product_categories, product_images, products, variants};

/// How a reader names a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductKey {
    Id(ProductId),
    Slug(String),
}

impl From<&str> for ProductKey {
    /// A UUID is an id; everything else is a slug. Postgres knows no NUL, and no slug has one.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Slug(text.replace('\0', "")), Self::Id)
    }
}

/// The id of a product of any status.
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

/// A product as this audience may see it; `None` if there is none that it may see.
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

/// These products as staff sees them, in no order.
pub(super) async fn find_by_ids(
    conn: &mut AsyncPgConnection,
    ids: &[ProductId],
) -> QueryResult<Vec<Product>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows =
        products::table.filter(products::id.eq_any(ids)).select(ProductRow::as_select()).load(conn).await?;
    with_parts(conn, rows, Audience::Staff).await
}

/// Active products by id, in the order of the ids; those that are not active are left out. One round trip, which a caller may share:
/// a shared borrow of the connection is enough.
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
    put_together(rows, parts)
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
    pub attributes: serde_json::Value,
    pub option_names: serde_json::Value,
    pub price_from_minor: Option<i64>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub version: i32,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = variants)]
struct VariantRow {
    id: VariantId,
    product_id: ProductId,
    sku: Option<String>,
    title: String,
    options: serde_json::Value,
    price_minor: i64,
    compare_at_minor: Option<i64>,
    currency: Currency,
    active: bool,
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
    variants: serde_json::Value,
}

/// A smaller copy, as `product_images.variants` holds it.
#[derive(serde::Deserialize)]
struct StoredVariant {
    width: u32,
    height: u32,
    key: String,
}

#[derive(QueryableByName)]
struct AvailableRow {
    #[diesel(sql_type = SqlUuid)]
    variant_id: VariantId,
    #[diesel(sql_type = BigInt)]
    available: i64,
}

/// Units that can be bought, of every variant of some products that has a stock level. Few holds are lapsed and not yet
/// swept, and they have an index of their own, so counting them as free costs next to nothing.
const AVAILABLE: &str = "
    WITH lapsed AS MATERIALIZED (
        SELECT variant_id, sum(quantity) AS quantity
        FROM commerce.stock_reservations
        WHERE status = 'held' AND cart_id IS NOT NULL AND expires_at <= commerce.clock()
        GROUP BY variant_id)
    SELECT level.variant_id,
           (sum(level.on_hand - level.reserved) + coalesce(max(lapsed.quantity), 0))::bigint AS available
    FROM commerce.variants AS variant
    JOIN commerce.stock_levels AS level ON level.variant_id = variant.id
    LEFT JOIN lapsed ON lapsed.variant_id = variant.id
    WHERE variant.product_id = ANY($1)
    GROUP BY level.variant_id";

/// Adds variants, stock, images and categories to rows, keeping their order.
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
    put_together(rows, parts)
}

/// What belongs to products, in the order in which it is shown.
struct Parts {
    variants: Vec<VariantRow>,
    images: Vec<ImageRow>,
    categories: Vec<(ProductId, CategoryId)>,
    available: Vec<AvailableRow>,
}

/// The four queries share one round trip.
async fn load_parts(conn: &AsyncPgConnection, ids: &[ProductId], audience: Audience) -> QueryResult<Parts> {
    let mut variants_query = variants::table
        .filter(variants::product_id.eq_any(ids))
        .order((variants::product_id, variants::position, variants::id))
        .select(VariantRow::as_select())
        .into_boxed();
    if audience == Audience::Shoppers {
        variants_query = variants_query.filter(variants::active);
    }
    let images_query = product_images::table
        .filter(product_images::product_id.eq_any(ids))
        .order((product_images::product_id, product_images::position, product_images::id))
        .select(ImageRow::as_select());
    let categories_query = product_categories::table
        .filter(product_categories::product_id.eq_any(ids))
        .order((product_categories::product_id, product_categories::category_id))
        .select((product_categories::product_id, product_categories::category_id));
    let uuids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let available_query = Prepared(diesel::sql_query(AVAILABLE).bind::<Array<SqlUuid>, _>(uuids));

    let (mut first, mut second, mut third, mut fourth) = (conn, conn, conn, conn);
    let (variants, images, categories, available) = try_join!(
        variants_query.load(&mut first),
        images_query.load(&mut second),
        categories_query.load(&mut third),
        available_query.load(&mut fourth),
    )?;
    Ok(Parts { variants, images, categories, available })
}

/// Parts of products that are not among the rows are left out.
fn put_together(rows: Vec<ProductRow>, parts: Parts) -> QueryResult<Vec<Product>> {
    let available: HashMap<VariantId, i64> =
        parts.available.into_iter().map(|row| (row.variant_id, row.available)).collect();
    let mut products: Vec<Product> = rows.into_iter().map(product_of).collect::<QueryResult<_>>()?;
    let places: HashMap<ProductId, usize> =
        products.iter().zip(0..).map(|(product, at)| (product.id, at)).collect();
    let place = |id: &ProductId| places.get(id).copied();
    for row in parts.variants {
        let Some(product) = place(&row.product_id).and_then(|at| products.get_mut(at)) else { continue };
        let units = available.get(&row.id).copied().unwrap_or(0).max(0);
        product.variants.push(variant_of(row, units)?);
    }
    for row in parts.images {
        let Some(product) = place(&row.product_id).and_then(|at| products.get_mut(at)) else { continue };
        product.images.push(image_of(row)?);
    }
    for (product_id, category_id) in parts.categories {
        let Some(product) = place(&product_id).and_then(|at| products.get_mut(at)) else { continue };
        product.category_ids.push(category_id);
    }
    for product in &mut products {
        product.price_from = lowest_price(&product.variants);
    }
    Ok(products)
}

fn lowest_price(variants: &[Variant]) -> Option<Money> {
    let active = variants.iter().filter(|variant| variant.active);
    active.map(|variant| variant.price).min_by_key(|price| price.amount_minor)
}

fn product_of(row: ProductRow) -> QueryResult<Product> {
    Ok(Product {
        id: row.id,
        slug: row.slug,
        title: row.title,
        description: row.description,
        status: row.status,
        attributes: from_json::<Attributes>(row.attributes)?,
        option_names: from_json(row.option_names)?,
        category_ids: Vec::new(),
        images: Vec::new(),
        variants: Vec::new(),
        price_from: None,
        created_at: row.created_at,
        updated_at: row.updated_at,
        version: row.version,
    })
}

fn image_of(row: ImageRow) -> QueryResult<Image> {
    let pixels = |pixels: Option<i32>| pixels.and_then(|pixels| u32::try_from(pixels).ok());
    let variants: Vec<StoredVariant> = from_json(row.variants)?;
    Ok(Image {
        id: row.id,
        url: row.url,
        alt: row.alt,
        position: row.position,
        size: pixels(row.width).zip(pixels(row.height)),
        variants: variants
            .into_iter()
            .map(|StoredVariant { width, height, key }| {
                let url = format!("{MEDIA_PATH}{key}");
                ImageVariant { width, height, url }
            })
            .collect(),
    })
}

fn variant_of(row: VariantRow, available: i64) -> QueryResult<Variant> {
    Ok(Variant {
        id: row.id,
        product_id: row.product_id,
        sku: row.sku,
        title: row.title,
        options: from_json::<Options>(row.options)?,
        price: Money::new(row.price_minor, row.currency),
        compare_at_price: row.compare_at_minor.map(|amount| Money::new(amount, row.currency)),
        available,
        active: row.active,
    })
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> QueryResult<T> {
    serde_json::from_value(value).map_err(|error| diesel::result::Error::DeserializationError(error.into()))
}
