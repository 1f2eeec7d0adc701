//! What an engine is asked, and what it answers.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::query::SearchSort;
use crate::db::PoolError;
use crate::ids::{CategoryId, ProductId};

/// A search with everything resolved that is the same for all engines.
#[derive(Debug, Clone)]
pub struct EngineQuery {
    /// The words to look for; empty for all products.
    pub text: String,
    /// `None`: any. An empty list: no product is in it.
    pub categories: Option<Vec<CategoryId>>,
    /// The lower bound of the product's lowest price, inclusive, in minor units.
    pub price_min_minor: Option<i64>,
    /// The upper bound of the product's lowest price, inclusive, in minor units.
    pub price_max_minor: Option<i64>,
    /// Accepted values by the option's name.
    pub options: BTreeMap<String, BTreeSet<String>>,
    /// Whether something of the product can be bought now.
    pub in_stock: Option<bool>,
    /// The order of the matches.
    pub sort: SearchSort,
    /// How many matches to skip.
    pub offset: u32,
    /// How many matches to return at most.
    pub limit: u16,
}

/// What an engine found.
#[derive(Debug, Clone, PartialEq)]
pub struct Matches {
    /// The page, in order.
    pub product_ids: Vec<ProductId>,
    /// All that match, on all pages.
    pub total: i64,
    /// False: there are so many that counting was left off, in the facets too. `total` is what was counted.
    pub is_total_exact: bool,
    /// The counts for narrowing the search down.
    pub facets: FacetCounts,
    /// Words that were found, for highlighting.
    pub terms: Vec<Term>,
}

impl Matches {
    /// Nothing was found.
    pub fn none() -> Self {
        let facets = FacetCounts::default();
        Self { product_ids: Vec::new(), total: 0, is_total_exact: true, facets, terms: Vec::new() }
    }
}

/// Products by value, over everything that matches. The counts of a facet leave its own filter out of account, so that
/// they tell what another choice would find.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FacetCounts {
    /// Products by category; what is below a category is counted in it.
    pub categories: BTreeMap<CategoryId, i64>,
    /// By the place of the range in [`super::PRICE_BOUNDS`].
    pub price_ranges: BTreeMap<usize, i64>,
    /// Products by whether something of them can be bought now.
    pub in_stock: BTreeMap<bool, i64>,
    /// By the option's name, then by value.
    pub options: BTreeMap<String, BTreeMap<String, i64>>,
}

/// A word to be marked where it stands: lower case, without accents.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// The word, or the beginning of one.
    pub word: String,
    /// Also marks words that begin with it.
    pub prefix: bool,
    /// Also marks words that differ by no more than so many typing errors.
    pub typos: usize,
}

/// Why an engine did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No connection to the database could be had.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    /// It cannot be reached, is too slow, or has not what is asked of it.
    #[error("the search engine did not answer: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Something that finds products.
pub trait SearchEngine: Send + Sync {
    /// In logs and metrics.
    fn name(&self) -> &'static str;

    /// Finds the page, the total and the facets.
    fn find<'a>(&'a self, query: &'a EngineQuery) -> BoxFuture<'a, Result<Matches, EngineError>>;

    /// Whether it would answer now.
    fn check(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        std::future::ready(Ok(())).boxed()
    }
}
