//! The complete search for shoppers: products with highlights, facets and pages.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::engine::{EngineError, EngineQuery, SearchEngine};
use super::facets::{self, CategoryNames, Facet};
use super::highlight::{Marker, plain_text};
use super::query::SearchProducts;
use crate::catalog::limits::OPTIONS_PER_PRODUCT_MAX;
use crate::catalog::{self, CategoryKey, Product, list_ids_below};
use crate::db::{Pool, PoolError};
use crate::ids::CategoryId;
use crate::schema::categories;
use crate::text::single_line;

/// A page of results.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchPage {
    /// The products of this page.
    pub found: Vec<FoundProduct>,
    /// The number of results on all pages.
    pub total: i64,
    /// `false` if there are more results than `total`, also in the facets.
    pub is_total_exact: bool,
    /// By field: `category`, `price`, `in_stock`, `options.<name>`.
    pub facets: BTreeMap<String, Facet>,
    /// The number of this page, from 1.
    pub page: u32,
    /// How many products a page holds.
    pub per_page: u16,
}

/// A product with highlights.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundProduct {
    /// The product.
    pub product: Product,
    /// The marked texts.
    pub highlights: Highlights,
}

/// HTML, with found words between `<mark>` and `</mark>`, and everything else escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Highlights {
    /// The title as HTML, with the found words marked.
    pub title: String,
    /// The part of the description around the first found word. `None` if the description has none.
    pub description: Option<String>,
}

/// Why the search failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchProductsError {
    /// The search names more options than a product can have, so nothing can match. Each option costs a scan.
    #[error("a product has at most {OPTIONS_PER_PRODUCT_MAX} options; the search names {0}")]
    TooManyOptions(usize),
    /// There was no database connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    /// The search engine failed.
    #[error(transparent)]
    Engine(EngineError),
}

impl From<EngineError> for SearchProductsError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NoConnection(error) => Self::NoConnection(error),
            EngineError::Database(error) => Self::Database(error),
            error @ (EngineError::NoIndex | EngineError::Unavailable(_)) => Self::Engine(error),
        }
    }
}

/// Searches active products. No connection is held while the engine works, because it may be another server.
pub async fn search_products(
    pool: &Pool,
    engine: &dyn SearchEngine,
    search: &SearchProducts,
) -> Result<SearchPage, SearchProductsError> {
    let query = resolve(pool, search).await?;
    let matches = engine.find(&query).await?;
    let conn = pool.get().await?;
    // One round trip for both.
    let (products, names) = tokio::try_join!(
        catalog::list_products_by_ids(&conn, &matches.product_ids),
        category_names(&conn, matches.facets.categories.keys()),
    )?;
    let mut marker = Marker::new(matches.terms);
    Ok(SearchPage {
        found: products.into_iter().map(|product| highlighted(product, &mut marker)).collect(),
        total: matches.total,
        is_total_exact: matches.is_total_exact,
        facets: facets::present(matches.facets, &names),
        page: search.page,
        per_page: query.limit,
    })
}

async fn resolve(pool: &Pool, search: &SearchProducts) -> Result<EngineQuery, SearchProductsError> {
    let limit = u16::try_from(search.per_page.rows()).unwrap_or(u16::MAX);
    let mut options: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for option in &search.options {
        options.entry(single_line(&option.name)).or_default().insert(single_line(&option.value));
    }
    if options.len() > OPTIONS_PER_PRODUCT_MAX {
        return Err(SearchProductsError::TooManyOptions(options.len()));
    }
    Ok(EngineQuery {
        text: search.text.clone(),
        categories: match search.categories.as_slice() {
            [] => None,
            keys => Some(category_ids(&mut *pool.get().await?, keys).await?),
        },
        price_min_minor: search.price_min_minor,
        price_max_minor: search.price_max_minor,
        options,
        in_stock: search.in_stock,
        sort: search.sort,
        offset: search.page.saturating_sub(1).saturating_mul(limit.into()),
        limit,
    })
}

/// The given categories and their descendants.
async fn category_ids(conn: &mut AsyncPgConnection, keys: &[String]) -> QueryResult<Vec<CategoryId>> {
    let mut ids = BTreeSet::new();
    for key in keys {
        ids.extend(list_ids_below(conn, &CategoryKey::from(key.as_str())).await?);
    }
    Ok(ids.into_iter().collect())
}

async fn category_names(
    mut conn: &AsyncPgConnection,
    ids: impl Iterator<Item = &CategoryId>,
) -> QueryResult<CategoryNames> {
    let ids: Vec<CategoryId> = ids.copied().collect();
    let rows: Vec<(CategoryId, String, String)> = categories::table
        .filter(categories::id.eq_any(ids))
        .select((categories::id, categories::slug, categories::title))
        .load(&mut conn)
        .await?;
    Ok(rows.into_iter().map(|(id, slug, title)| (id, (slug, title))).collect())
}

fn highlighted(product: Product, marker: &mut Marker) -> FoundProduct {
    let highlights = Highlights {
        title: marker.mark(&product.title),
        description: marker.snippet(&plain_text(&product.description)),
    };
    FoundProduct { product, highlights }
}
