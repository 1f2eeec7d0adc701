//! The job `index_products`: what was changed is found as it is now.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::changes::note_changes;
use super::index_error::IndexError;
use super::rows::refresh;
use super::search_index::SearchIndex;
use super::writers::Writers;
use crate::catalog::{CategoryKey, list_ids_below};
use crate::db::{self, Pool, current_time};
use crate::ids::{CategoryId, ProductId};
use crate::queue::{self, Failure, Job, Lease, NewJob};

/// Brings what is searched up to date. Triggers enqueue it (see the migration `search`), whether there is a search index or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexProducts {
    /// Their search rows could not be written with the change: another was writing them, or there were too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product_ids: Vec<ProductId>,
    /// It has a new title, which its products are found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_id: Option<CategoryId>,
    /// It stands elsewhere in the tree, with all that is in it and below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_category_id: Option<CategoryId>,
}

impl Job for IndexProducts {
    const KIND: &'static str = "index_products";
    const ATTEMPTS_MAX: i32 = 20;
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Failure::Retry(error.to_string())
    }
}

/// While transactions run that may not know a category's new title, its job comes again after this time.
const COME_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Does what the job says: writes rows anew, which Postgres searches. Then sends all recorded changes to the index, whoever made
/// them, and completes the job.
pub async fn index_products(
    pool: &Pool,
    index: &SearchIndex,
    lease: Lease,
    job: &IndexProducts,
) -> Result<(), IndexError> {
    if !job.product_ids.is_empty() {
        refresh(&mut *pool.get().await?, &job.product_ids).await?;
    }
    let mut again = None;
    if let Some(id) = job.category_id {
        // Who was filing products under the old title when the new one was committed ends after them, unseen by this job.
        let writers = Writers::now(&mut *pool.get().await?).await?;
        refresh_category(pool, id).await?;
        let running = writers.still_running(&mut *pool.get().await?).await?;
        again = (running > 0).then_some(id);
    }
    if let Some(id) = job.moved_category_id {
        note_category(pool, id).await?;
    }
    let send_again_after = index.send_changes(pool).await?;
    let completed = db::in_transaction(pool, "index_products", async |conn| {
        queue::complete(conn, lease).await?;
        let mut later = Vec::new();
        if let Some(delay) = send_again_after {
            // One for all jobs that leave something.
            later.push((IndexProducts::default(), delay, "index_products".to_owned()));
        }
        if let Some(id) = again {
            let job = IndexProducts { category_id: Some(id), ..IndexProducts::default() };
            later.push((job, COME_AGAIN_AFTER, format!("index_products:{id}")));
        }
        for (job, delay, key) in later {
            let at = current_time(conn).await? + delay;
            let job =
                NewJob::new(&job).map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
            queue::enqueue_all(conn, vec![job.at(at).dedupe_by(key)]).await?;
        }
        Ok::<_, IndexError>(())
    });
    Ok(completed.await?)
}

/// How many rows are written anew in one transaction.
const REFRESH_BATCH: i64 = 200;

async fn refresh_category(pool: &Pool, id: CategoryId) -> Result<(), IndexError> {
    use crate::schema::product_categories::dsl;
    let mut last = ProductId(Uuid::nil());
    loop {
        let mut conn = pool.get().await?;
        let ids: Vec<ProductId> = dsl::product_categories
            .filter(dsl::category_id.eq(id).and(dsl::product_id.gt(last)))
            .order(dsl::product_id)
            .select(dsl::product_id)
            .limit(REFRESH_BATCH)
            .load(&mut conn)
            .await?;
        let Some(end) = ids.last() else { return Ok(()) };
        last = *end;
        refresh(&mut conn, &ids).await?;
    }
}

/// A category that stands elsewhere in the tree counts elsewhere in the facets of all that is in it or below it.
async fn note_category(pool: &Pool, id: CategoryId) -> Result<(), IndexError> {
    use crate::schema::product_categories::dsl;
    let below = list_ids_below(&mut *pool.get().await?, &CategoryKey::Id(id)).await?;
    let mut last = ProductId(Uuid::nil());
    loop {
        let mut conn = pool.get().await?;
        let ids: Vec<ProductId> = dsl::product_categories
            .filter(dsl::category_id.eq_any(&below).and(dsl::product_id.gt(last)))
            .order(dsl::product_id)
            .select(dsl::product_id)
            .distinct()
            .limit(REFRESH_BATCH)
            .load(&mut conn)
            .await?;
        let Some(end) = ids.last() else { return Ok(()) };
        last = *end;
        note_changes(&mut conn, ids.into_iter().map(|id| id.0).collect()).await?;
    }
}
