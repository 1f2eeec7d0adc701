//! The search engine for Postgres: full text over weighted fields, and typing errors by trigrams of the
//! vocabulary.

mod statement;

use diesel_async::AsyncPgConnection;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

pub use self::statement::COUNTED_MAX;
use self::statement::Statement;
use super::engine::{EngineError, EngineQuery, FacetCounts, Matches, SearchEngine};
use super::words::{self, Mistyped, Word};
use crate::db::Pool;
use crate::ids::ProductId;

/// The engine that is always available.
#[derive(Clone)]
pub struct PostgresEngine {
    pool: Pool,
}

impl PostgresEngine {
    /// An engine for the database of this pool.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

impl SearchEngine for PostgresEngine {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn find<'a>(&'a self, query: &'a EngineQuery) -> BoxFuture<'a, Result<Matches, EngineError>> {
        async move { find(&mut *self.pool.get().await?, query).await }.boxed()
    }
}

async fn find(conn: &mut AsyncPgConnection, query: &EngineQuery) -> Result<Matches, EngineError> {
    let mut words = words::look_up(conn, &query.text, Mistyped::UnknownWords).await?;
    if words.is_empty() && !query.text.trim().is_empty() {
        // The text has only punctuation, so no product matches.
        return Ok(Matches::none());
    }
    let mut row = Statement::new(query, &words).load(conn).await?;
    if row.total == 0 && row.near == 0 {
        // A word may also be mistyped if the vocabulary has it, because its products may be gone or may lack
        // the other words.
        let meant = words::look_up(conn, &query.text, Mistyped::AnyWord).await?;
        if meant != words {
            row = Statement::new(query, &meant).load(conn).await?;
            words = meant;
        }
    }
    let mut facets = FacetCounts::from(row.facets.0);
    // The facet of a filter is present even if it has no values.
    for name in query.options.keys() {
        facets.options.entry(name.clone()).or_default();
    }
    Ok(Matches {
        product_ids: row.page.into_iter().map(ProductId).collect(),
        total: row.total,
        is_total_exact: row.total.max(row.near) < COUNTED_MAX,
        facets,
        terms: words.iter().flat_map(Word::terms).collect(),
    })
}
