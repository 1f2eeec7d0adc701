//! Pages of products, for shoppers and for staff.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::category::CategoryKey;
use super::category_tree::list_ids_below;
use super::product::{Audience, Product, ProductStatus};
use super::read_product::{ProductRow, with_parts};
use crate::db::Retryable;
use crate::ids::{CategoryId, ProductId};
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::{categories, product_categories, products, stock_levels, stock_reservations, variants};
use crate::text_enum::text_enum;

text_enum! {
    /// The order of a list; products without a price come last in both orders of price.
    pub enum ProductSort {
        CreatedAt = "created_at",
        CreatedAtDescending = "-created_at",
        Price = "price",
        PriceDescending = "-price",
        Title = "title",
        TitleDescending = "-title",
    }
}

/// Which products to list.
#[derive(Debug, Clone)]
pub struct ListProducts {
    /// Shoppers see active products whatever `status` asks for.
    pub audience: Audience,
    pub status: Option<ProductStatus>,
    /// Id or slug of a category; an unknown one holds no products.
    pub category: Option<String>,
    /// Whether what is filed below the category is in it too.
    pub with_descendants: bool,
    /// Bounds of the product's lowest price, inclusive, in minor units.
    pub price_min_minor: Option<i64>,
    pub price_max_minor: Option<i64>,
    pub in_stock: Option<bool>,
    /// Words that must all appear in title, description or a SKU.
    pub query: Option<String>,
    pub sort: ProductSort,
    pub limit: Limit,
    pub cursor: Option<String>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ListProductsError {
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

impl Retryable for ListProductsError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

type Query<'a> = products::BoxedQuery<'a, Pg>;

/// A page of whole products.
pub async fn list_products(
    conn: &mut AsyncPgConnection,
    list: &ListProducts,
) -> Result<Page<Product>, ListProductsError> {
    if list.query.as_deref().is_some_and(|query| query.contains('\0')) {
        // No text in the database has one, and Postgres cannot be asked for it.
        return Ok(Page { data: Vec::new(), next_cursor: None });
    }
    let mut query = filtered(products::table.into_boxed(), list);
    if let Some(category) = &list.category {
        let key = CategoryKey::from(category.as_str());
        query = if list.with_descendants {
            filed_under_any(query, list_ids_below(conn, &key).await?)
        } else {
            filed_under(query, key)
        };
    }
    let query = after_cursor(query, list.sort, list.cursor.as_deref())?;
    let rows: Vec<ProductRow> = sorted(query, list.sort)
        .limit(list.limit.rows_and_one())
        .select(ProductRow::as_select())
        .load(conn)
        .await?;
    let Page { data, next_cursor } = Page::from_rows(rows, list.limit, |row| cursor_of(row, list.sort));
    Ok(Page { data: with_parts(conn, data, list.audience).await?, next_cursor })
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

/// In stock is what has an active variant with units on hand that nobody reserved, or that only a lapsed hold keeps.
fn filtered_by_stock(query: Query<'_>, in_stock: bool) -> Query<'_> {
    // Looked up product by product, so that a page reads only as far as it must: OFFSET keeps Postgres from making a table of all
    // that is in stock first.
    let free = variants::table
        .inner_join(stock_levels::table)
        .filter(variants::product_id.eq(products::id))
        .filter(variants::active.and(stock_levels::on_hand.gt(stock_levels::reserved)))
        .select(variants::id)
        .offset(0);
    let lapsed = stock_reservations::table
        .filter(stock_reservations::status.eq("held"))
        .filter(stock_reservations::cart_id.is_not_null())
        .filter(stock_reservations::expires_at.le(crate::db::clock().nullable()))
        .select(stock_reservations::variant_id);
    let reclaimable = variants::table
        .filter(variants::active.and(variants::id.eq_any(lapsed)))
        .select(variants::product_id);
    let available = diesel::dsl::exists(free).or(products::id.eq_any(reclaimable));
    if in_stock { query.filter(available) } else { query.filter(diesel::dsl::not(available)) }
}

fn filtered_by_word<'a>(query: Query<'a>, word: &str) -> Query<'a> {
    let pattern = format!("%{}%", word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
    let with_sku = variants::table.filter(variants::sku.ilike(pattern.clone())).select(variants::product_id);
    query.filter(
        products::title
            .ilike(pattern.clone())
            .or(products::description.ilike(pattern))
            .or(products::id.eq_any(with_sku)),
    )
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
    let (sort_name, id) = (sort.as_str().to_owned(), row.id.0);
    match sort {
        ProductSort::CreatedAt | ProductSort::CreatedAtDescending => {
            Cursor { sort: sort_name, key: row.created_at, id }.encode()
        }
        ProductSort::Price | ProductSort::PriceDescending => {
            Cursor { sort: sort_name, key: row.price_from_minor, id }.encode()
        }
        ProductSort::Title | ProductSort::TitleDescending => {
            Cursor { sort: sort_name, key: row.title.clone(), id }.encode()
        }
    }
}

/// What follows the row that the cursor names. The bound on the sort key alone lets Postgres start at it in the index.
fn after_cursor<'a>(
    query: Query<'a>,
    sort: ProductSort,
    cursor: Option<&str>,
) -> Result<Query<'a>, InvalidCursor> {
    use products::{created_at, id, price_from_minor, title};
    let Some(cursor) = cursor else { return Ok(query) };
    Ok(match sort {
        ProductSort::CreatedAt => {
            let Cursor { key, id: last, .. } = Cursor::<DateTime<Utc>>::decode(cursor, sort.as_str())?;
            query.filter(created_at.ge(key)).filter(created_at.gt(key).or(id.gt(ProductId(last))))
        }
        ProductSort::CreatedAtDescending => {
            let Cursor { key, id: last, .. } = Cursor::<DateTime<Utc>>::decode(cursor, sort.as_str())?;
            query.filter(created_at.le(key)).filter(created_at.lt(key).or(id.lt(ProductId(last))))
        }
        ProductSort::Price => {
            let Cursor { key, id: last, .. } = Cursor::<Option<i64>>::decode(cursor, sort.as_str())?;
            let same = price_from_minor.is_not_distinct_from(key).and(id.gt(ProductId(last)));
            match key {
                Some(_) => query.filter(price_from_minor.gt(key).or(price_from_minor.is_null()).or(same)),
                None => query.filter(same),
            }
        }
        ProductSort::PriceDescending => {
            let Cursor { key, id: last, .. } = Cursor::<Option<i64>>::decode(cursor, sort.as_str())?;
            let same = price_from_minor.is_not_distinct_from(key).and(id.lt(ProductId(last)));
            match key {
                Some(_) => query.filter(price_from_minor.lt(key).or(price_from_minor.is_null()).or(same)),
                None => query.filter(same),
            }
        }
        ProductSort::Title => {
            let (key, last) = title_cursor(cursor, sort)?;
            query.filter(title.ge(key.clone())).filter(title.gt(key).or(id.gt(last)))
        }
        ProductSort::TitleDescending => {
            let (key, last) = title_cursor(cursor, sort)?;
            query.filter(title.le(key.clone())).filter(title.lt(key).or(id.lt(last)))
        }
    })
}

/// A client may send any text as a cursor, so a key is checked for what Postgres can compare with.
fn title_cursor(cursor: &str, sort: ProductSort) -> Result<(String, ProductId), InvalidCursor> {
    let Cursor { key, id, .. } = Cursor::<String>::decode(cursor, sort.as_str())?;
    if key.contains('\0') { Err(InvalidCursor) } else { Ok((key, ProductId(id))) }
}
