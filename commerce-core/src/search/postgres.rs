//! Search by Postgres: full text over weighted fields, typing errors by trigrams of the vocabulary.

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

/// The engine that is always there.
#[derive(Clone)]
pub struct PostgresEngine {
    pool: Pool,
}

impl PostgresEngine {
    /// An engine over the database of this pool.
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
        // Nothing but punctuation: no product can be found by it.
        return Ok(Matches::none());
    }
    let mut row = Statement::new(query, &words).load(conn).await?;
    if row.total == 0 && row.near == 0 {
        // A word that only products had that are gone, or others than the rest of the words, may be mistyped as well.
        let meant = words::look_up(conn, &query.text, Mistyped::AnyWord).await?;
        if meant != words {
            row = Statement::new(query, &meant).load(conn).await?;
            words = meant;
        }
    }
    let mut facets = FacetCounts::from(row.facets.0);
    // A facet that is filtered by is there even if it has no values.
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
