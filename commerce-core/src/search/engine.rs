//! The interface of search engines: queries and results.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::query::SearchSort;
use crate::db::PoolError;
use crate::ids::{CategoryId, ProductId};

/// A search in which everything is resolved that is the same for all engines.
#[derive(Debug, Clone)]
pub struct EngineQuery {
    /// The words to search for. Empty for all products.
    pub text: String,
    /// `None` means any category. For an empty list no product matches.
    pub categories: Option<Vec<CategoryId>>,
    /// The lower bound of the product's lowest price, inclusive, in minor units.
    pub price_min_minor: Option<i64>,
    /// The upper bound of the product's lowest price, inclusive, in minor units.
    pub price_max_minor: Option<i64>,
    /// The accepted values, by the option's name.
    pub options: BTreeMap<String, BTreeSet<String>>,
    /// Whether the product can be bought now.
    pub in_stock: Option<bool>,
    /// The order of the matches.
    pub sort: SearchSort,
    /// How many matches to skip.
    pub offset: u32,
    /// The most matches to return.
    pub limit: u16,
}

/// The result of an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Matches {
    /// The products of the page, in order.
    pub product_ids: Vec<ProductId>,
    /// The number of matches on all pages.
    pub total: i64,
    /// `false` if the engine stopped counting, also in the facets. `total` is then the number that was
    /// counted.
    pub is_total_exact: bool,
    /// The counts for filters.
    pub facets: FacetCounts,
    /// The words that were found, for highlighting.
    pub terms: Vec<Term>,
}

impl Matches {
    /// The result if nothing was found.
    pub fn none() -> Self {
        let facets = FacetCounts::default();
        Self { product_ids: Vec::new(), total: 0, is_total_exact: true, facets, terms: Vec::new() }
    }
}

/// The number of products for each value, over all matches. The counts of a facet ignore its own filter, so
/// that they tell what another choice would find.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FacetCounts {
    /// Products by category. A category includes its descendants.
    pub categories: BTreeMap<CategoryId, i64>,
    /// Products by the index of their price range in [`super::PRICE_BOUNDS`].
    pub price_ranges: BTreeMap<usize, i64>,
    /// Products by whether they can be bought now.
    pub in_stock: BTreeMap<bool, i64>,
    /// By the option's name, then by value.
    pub options: BTreeMap<String, BTreeMap<String, i64>>,
}

/// A word to mark in texts, in lower case and without accents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// The word, or the beginning of a word.
    pub word: String,
    /// Whether to mark words that begin with it, too.
    pub prefix: bool,
    /// The number of typing errors up to which a similar word is marked, too.
    pub typos: usize,
}

/// Why an engine did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// There was no database connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    /// The engine has no index yet.
    #[error("there is no index yet")]
    NoIndex,
    /// The engine cannot be reached, or is too slow.
    #[error("the search engine did not answer: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A search engine.
pub trait SearchEngine: Send + Sync {
    /// The name in logs and metrics.
    fn name(&self) -> &'static str;

    /// Finds the page, the total and the facets.
    fn find<'a>(&'a self, query: &'a EngineQuery) -> BoxFuture<'a, Result<Matches, EngineError>>;

    /// Whether the engine would answer now.
    fn check(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        std::future::ready(Ok(())).boxed()
    }
}
