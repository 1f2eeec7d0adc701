//! The index outside of Postgres that jobs keep up to date, if there is one.

use std::time::Duration;

use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

#[cfg(feature = "meilisearch")]
use super::index;
use super::index_error::IndexError;
#[cfg(feature = "meilisearch")]
use super::meilisearch::Meilisearch;
use crate::db::Pool;

/// The index that changes are sent to. With the feature `meilisearch` it is made from a `Meilisearch`. The
/// index belongs to the shop, not to a program: the first job that runs without an index gives up the
/// existing one.
#[derive(Debug, Clone, Default)]
pub struct SearchIndex {
    #[cfg(feature = "meilisearch")]
    server: Option<Meilisearch>,
}

#[cfg(feature = "meilisearch")]
impl From<Meilisearch> for SearchIndex {
    fn from(server: Meilisearch) -> Self {
        Self { server: Some(server) }
    }
}

impl SearchIndex {
    /// No index: Postgres alone searches.
    pub fn none() -> Self {
        Self::default()
    }

    /// Sends all recorded changes. Returns the time after which a job should send again, if it should.
    pub(super) async fn send_changes(&self, pool: &Pool) -> Result<Option<Duration>, IndexError> {
        #[cfg(feature = "meilisearch")]
        if let Some(server) = &self.server {
            return index::send_changes(pool, server).await;
        }
        stop_recording(&mut *pool.get().await?).await?;
        Ok(None)
    }

    /// Builds the index if there is none that can be used, and sends changes that no job has sent. Returns
    /// the number of products that were sent.
    pub(crate) async fn keep(&self, pool: &Pool) -> Result<usize, IndexError> {
        #[cfg(feature = "meilisearch")]
        if let Some(server) = &self.server {
            return Ok(match index::keep_index(pool, server).await? {
                index::Kept::ElsewhereInHand => 0,
                index::Kept::UpToDate { sent } => sent,
                index::Kept::Rebuilt { products } => {
                    tracing::info!(products, "the search index was built");
                    usize::try_from(products).unwrap_or(usize::MAX)
                }
            });
        }
        let _ = pool;
        Ok(0)
    }
}

/// This worker has no index, so the shop has none. An index that gets no changes must not answer searches.
async fn stop_recording(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    let indexes = diesel::sql_query("DELETE FROM commerce.search_indexes").execute(conn).await?;
    if indexes > 0 {
        tracing::warn!(
            "MEILISEARCH_URL is not set here: the search index is given up, Postgres answers searches"
        );
        diesel::sql_query("DELETE FROM commerce.search_changes").execute(conn).await?;
    }
    Ok(())
}
