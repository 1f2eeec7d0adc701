//! Searching products by words, with typing errors allowed, the last word completed, and facets counted.
//!
//! Two engines answer the same query in the same form, through one trait ([`SearchEngine`]): Postgres full
//! text, which is always available and exact at commit, and Meilisearch. An engine returns the products in
//! their order, and counts. The products themselves are read from the catalogue's tables, so that shoppers
//! never see anything older than the shop.
//!
//! The table `commerce.product_search` holds what is searched. Triggers write it (see the migration
//! `search`). No Rust code does.

mod changes;
mod engine;
mod facets;
mod fallback;
mod highlight;
#[cfg(feature = "meilisearch")]
mod index;
mod index_error;
mod index_products;
#[cfg(feature = "meilisearch")]
mod meilisearch;
mod postgres;
mod query;
mod rows;
mod search_index;
mod search_products;
mod synonyms;
mod text;
mod typos;
mod words;
mod writers;

pub use engine::{EngineError, EngineQuery, FacetCounts, Matches, SearchEngine, Term};
pub use facets::{Facet, FacetValue, PRICE_BOUNDS};
pub use fallback::{COOL_DOWN, WithFallback};
#[cfg(feature = "meilisearch")]
pub use index::{Kept, Progress, compare_index, keep_index, reindex};
pub use index_error::IndexError;
pub use index_products::{IndexProducts, index_products};
#[cfg(feature = "meilisearch")]
pub use meilisearch::{
    Meilisearch, MeilisearchEngine, MeilisearchError, MeilisearchSettings, SETTINGS_VERSION,
};
pub use postgres::{COUNTED_MAX, PostgresEngine};
pub use query::{OptionFilter, SearchProducts, SearchSort, WORDS_MAX};
pub(crate) use rows::{Refreshed, refresh, refresh_rows};
pub use search_index::SearchIndex;
pub use search_products::{FoundProduct, Highlights, SearchPage, SearchProductsError, search_products};
pub use text::search_query;
