//! The job `index_products`, which updates what is searched after a change.

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

/// Updates what is searched. Triggers enqueue it (see the migration `search`), whether or not there is a
/// search index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexProducts {
    /// Products whose search rows could not be written with the change, because another transaction was
    /// writing them or there were too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product_ids: Vec<ProductId>,
    /// A category with a new title, by which its products are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_id: Option<CategoryId>,
    /// A category that was moved in the tree, with everything in it and below it.
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

/// The time after which a category's job runs again, while transactions run that may not know its new title.
const COME_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Does what the job says: updates the rows that Postgres searches, sends all recorded changes to the index,
/// and completes the job.
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
        // A transaction that was adding products to the category when the new title was committed may have
        // used the old title. It ends later, so this job cannot see its rows.
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
            // One job follows for all jobs that leave something.
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

/// The number of rows that one transaction updates.
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

/// After a category was moved, its products and those of its descendants count in other facets.
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
