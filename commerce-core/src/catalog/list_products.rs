//! Lists of products, for shoppers and for staff.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Record, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::category::CategoryKey;
use super::category_tree::list_ids_below;
use super::product::{Audience, Product, ProductStatus};
use super::read_product::{ProductRow, with_parts};
use crate::db::{FirstRows, Retryable, escape_like};
use crate::ids::{CategoryId, ProductId};
use crate::inventory::availability::availability;
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::{categories, product_categories, products, variants};
use crate::text_enum::text_enum;

text_enum! {
    /// The sort order of products. Products without a price come last in both orders by price.
    pub enum ProductSort {
        /// The oldest first.
        CreatedAt = "created_at",
        /// The newest first.
        CreatedAtDescending = "-created_at",
        /// The cheapest first, by the lowest price of each product.
        Price = "price",
        /// The most expensive first, by the lowest price of each product.
        PriceDescending = "-price",
        /// By title.
        Title = "title",
        /// By title, descending.
        TitleDescending = "-title",
    }
}

/// Which products to list.
#[derive(Debug, Clone)]
pub struct ListProducts {
    /// Shoppers see active products only, whatever `status` says.
    pub audience: Audience,
    /// The status that products must have. Only staff may choose it.
    pub status: Option<ProductStatus>,
    /// Id or slug of a category. An unknown category has no products.
    pub category: Option<String>,
    /// Whether products of the category's descendants are included.
    pub with_descendants: bool,
    /// The lower bound of the product's lowest price, inclusive, in minor units.
    pub price_min_minor: Option<i64>,
    /// The upper bound of the product's lowest price, inclusive, in minor units.
    pub price_max_minor: Option<i64>,
    /// Whether the product can be bought now.
    pub in_stock: Option<bool>,
    /// Words that must all appear in the title or a SKU.
    pub query: Option<String>,
    /// The order of the list.
    pub sort: ProductSort,
    /// How many products a page holds.
    pub limit: Limit,
    /// The cursor of the page; `None` for the first page.
    pub cursor: Option<String>,
}

impl ListProducts {
    /// Whether a shopper asks for nothing but an order. The best plan is then always the same.
    fn is_usual(&self) -> bool {
        self.audience == Audience::Shoppers
            && self.query.is_none()
            && self.category.is_none()
            && self.price_min_minor.is_none()
            && self.price_max_minor.is_none()
            && self.in_stock.is_none()
    }
}

/// Why products could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListProductsError {
    /// The cursor was not issued by this list in this order.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

impl Retryable for ListProductsError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

type Query<'a> = products::BoxedQuery<'a, Pg>;

/// A page of complete products.
pub async fn list_products(
    conn: &mut AsyncPgConnection,
    list: &ListProducts,
) -> Result<Page<Product>, ListProductsError> {
    if list.query.as_deref().is_some_and(|query| query.contains('\0')) {
        // No text in the database contains a NUL, and Postgres does not accept one in a query.
        return Ok(Page { data: Vec::new(), next_cursor: None });
    }
    let below = match &list.category {
        Some(category) if list.with_descendants => {
            Some(list_ids_below(conn, &CategoryKey::from(category.as_str())).await?)
        }
        _ => None,
    };
    let matching = || {
        let query = filtered(products::table.into_boxed(), list);
        match (&below, &list.category) {
            (Some(ids), _) => filed_under_any(query, ids.clone()),
            (None, Some(category)) => filed_under(query, CategoryKey::from(category.as_str())),
            (None, None) => query,
        }
    };
    let start = list.cursor.as_deref().map(|cursor| Start::decode(cursor, list.sort)).transpose()?;
    let first = start.as_ref().map_or_else(matching, |start| after(matching(), list.sort, start));
    let limit = list.limit.rows_and_one();
    let mut rows = load(conn, first, list, limit).await?;
    let missing = limit - i64::try_from(rows.len()).unwrap_or(limit);
    if let Some(Start::Price(Some(_), _)) = start
        && missing > 0
    {
        let without_price = matching().filter(products::price_from_minor.is_null());
        rows.extend(load(conn, without_price, list, missing).await?);
    }
    let Page { data, next_cursor } = Page::from_rows(rows, list.limit, |row| cursor_of(row, list.sort));
    Ok(Page { data: with_parts(conn, data, list.audience).await?, next_cursor })
}

async fn load(
    conn: &mut AsyncPgConnection,
    query: Query<'_>,
    list: &ListProducts,
    limit: i64,
) -> QueryResult<Vec<ProductRow>> {
    let query = sorted(query, list.sort);
    if list.is_usual() && limit == Limit::default().rows_and_one() {
        return FirstRows { query: query.select(ProductRow::as_select()), rows: limit }.load(conn).await;
    }
    let page = query.limit(limit);
    if list.category.is_none() {
        return page.select(ProductRow::as_select()).load(conn).await;
    }
    // The whole category may have to be sorted. That is done with columns of an index, so that only the rows
    // of the page are read.
    let rows = products::table.filter(products::id.eq_any(page.select(products::id))).into_boxed();
    sorted(rows, list.sort).select(ProductRow::as_select()).load(conn).await
}

fn filtered<'a>(mut query: Query<'a>, list: &'a ListProducts) -> Query<'a> {
    let status = match list.audience {
        Audience::Shoppers => Some(ProductStatus::Active),
        Audience::Staff => list.status,
    };
    if let Some(status) = status {
        query = query.filter(products::status.eq(status));
    }
    if let Some(minor) = list.price_min_minor {
        query = query.filter(products::price_from_minor.ge(minor));
    }
    if let Some(minor) = list.price_max_minor {
        query = query.filter(products::price_from_minor.le(minor));
    }
    if let Some(in_stock) = list.in_stock {
        query = filtered_by_stock(query, in_stock);
    }
    for word in list.query.as_deref().unwrap_or_default().split_whitespace() {
        query = filtered_by_word(query, word);
    }
    query
}

fn filed_under(query: Query<'_>, category: CategoryKey) -> Query<'_> {
    let members = product_categories::table
        .inner_join(categories::table)
        .select(product_categories::product_id)
        .into_boxed();
    let members = match category {
        CategoryKey::Id(id) => members.filter(categories::id.eq(id)),
        CategoryKey::Slug(slug) => members.filter(categories::slug.eq(slug)),
    };
    query.filter(products::id.eq_any(members))
}

fn filed_under_any(query: Query<'_>, ids: Vec<CategoryId>) -> Query<'_> {
    let members = product_categories::table
        .filter(product_categories::category_id.eq_any(ids))
        .select(product_categories::product_id);
    query.filter(products::id.eq_any(members))
}

/// A product is in stock if one unit of an active variant could be bought now.
fn filtered_by_stock(query: Query<'_>, in_stock: bool) -> Query<'_> {
    // Looked up for each product, so that a page reads only as far as it must. OFFSET keeps Postgres from
    // first computing everything that is in stock.
    let available = availability::table
        .filter(availability::product_id.eq(products::id))
        .filter(availability::active.and(availability::in_stock))
        .select(availability::variant_id)
        .offset(0);
    let available = diesel::dsl::exists(available);
    if in_stock { query.filter(available) } else { query.filter(diesel::dsl::not(available)) }
}

fn filtered_by_word<'a>(query: Query<'a>, word: &str) -> Query<'a> {
    let pattern = format!("%{}%", escape_like(word));
    let with_sku = variants::table.filter(variants::sku.ilike(pattern.clone())).select(variants::product_id);
    query.filter(products::title.ilike(pattern).or(products::id.eq_any(with_sku)))
}

fn sorted(query: Query<'_>, sort: ProductSort) -> Query<'_> {
    use products::{created_at, id, price_from_minor, title};
    match sort {
        ProductSort::CreatedAt => query.order((created_at.asc(), id.asc())),
        ProductSort::CreatedAtDescending => query.order((created_at.desc(), id.desc())),
        ProductSort::Price => query.order((price_from_minor.asc().nulls_last(), id.asc())),
        ProductSort::PriceDescending => query.order((price_from_minor.desc().nulls_last(), id.desc())),
        ProductSort::Title => query.order((title.asc(), id.asc())),
        ProductSort::TitleDescending => query.order((title.desc(), id.desc())),
    }
}

fn cursor_of(row: &ProductRow, sort: ProductSort) -> String {
    let (name, id) = (sort.as_str(), row.id);
    match sort {
        ProductSort::CreatedAt | ProductSort::CreatedAtDescending => Cursor::at(name, row.created_at, id),
        ProductSort::Price | ProductSort::PriceDescending => Cursor::at(name, row.price_from_minor, id),
        ProductSort::Title | ProductSort::TitleDescending => Cursor::at(name, row.title.clone(), id),
    }
}

/// The row at which a page starts.
enum Start {
    CreatedAt(DateTime<Utc>, ProductId),
    Price(Option<i64>, ProductId),
    Title(String, ProductId),
}

impl Start {
    fn decode(cursor: &str, sort: ProductSort) -> Result<Self, InvalidCursor> {
        match sort {
            ProductSort::CreatedAt | ProductSort::CreatedAtDescending => {
                let Cursor { key, id, .. } = Cursor::decode(cursor, sort.as_str())?;
                Ok(Self::CreatedAt(key, ProductId(id)))
            }
            ProductSort::Price | ProductSort::PriceDescending => {
                let Cursor { key, id, .. } = Cursor::decode(cursor, sort.as_str())?;
                Ok(Self::Price(key, ProductId(id)))
            }
            ProductSort::Title | ProductSort::TitleDescending => {
                let Cursor { key, id, .. } = Cursor::decode(cursor, sort.as_str())?;
                Ok(Self::Title(key, ProductId(id)))
            }
        }
    }
}

/// The rows after that row. They are a range of the index for this order, so a page starts there at once. If
/// the row has a price, these are the rows with a price; rows without one are another range.
fn after<'a>(query: Query<'a>, sort: ProductSort, start: &Start) -> Query<'a> {
    use products::{created_at, id, price_from_minor, title};
    let is_ascending = matches!(sort, ProductSort::CreatedAt | ProductSort::Price | ProductSort::Title);
    match start {
        Start::CreatedAt(key, last) => {
            let place = (created_at, id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
            if is_ascending {
                query.filter(place.gt((*key, *last)))
            } else {
                query.filter(place.lt((*key, *last)))
            }
        }
        Start::Price(Some(key), last) => {
            let place = (price_from_minor, id).into_sql::<Record<(Nullable<BigInt>, SqlUuid)>>();
            let start = (Some(*key), *last);
            if is_ascending { query.filter(place.gt(start)) } else { query.filter(place.lt(start)) }
        }
        Start::Price(None, last) => {
            let query = query.filter(price_from_minor.is_null());
            if is_ascending { query.filter(id.gt(*last)) } else { query.filter(id.lt(*last)) }
        }
        Start::Title(key, last) => {
            let place = (title, id).into_sql::<Record<(Text, SqlUuid)>>();
            let start = (key.clone(), *last);
            if is_ascending { query.filter(place.gt(start)) } else { query.filter(place.lt(start)) }
        }
    }
}
