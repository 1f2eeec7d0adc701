//! The job: what was changed is sent to the index.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::IndexError;
use super::push::{has_changes, live_index, note_changes, push_changes};
use super::turn::Turn;
use super::writers::Writers;
use crate::catalog::{CategoryKey, list_ids_below};
use crate::db::{self, Pool, current_time};
use crate::ids::{CategoryId, ProductId};
use crate::jobs::kinds::IndexProducts;
use crate::jobs::{self, Lease, NewJob};
use crate::search::meilisearch::{Meilisearch, SETTINGS_VERSION};
use crate::search::rows::refresh;

/// While Meilisearch does not answer, one job tries again after this time; the changes wait in their table.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Does what the job says, sends all recorded changes to the index, whoever made them, and completes the job. Without a server
/// (`None`) nothing is to be sent, and changes are no longer recorded.
pub async fn index_products(
    pool: &Pool,
    server: Option<&Meilisearch>,
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
        if writers.still_running(&mut *pool.get().await?).await? > 0 {
            again = Some(id);
        }
    }
    if let Some(id) = job.moved_category_id {
        note_category(pool, id).await?;
    }
    let outcome = match server {
        None => stop_recording(&mut *pool.get().await?).await.map(|()| Sent::All).map_err(IndexError::from),
        Some(server) => send_all(pool, server).await,
    };
    let next = match outcome {
        Ok(Sent::All) => None,
        Ok(Sent::Some) => Some(Duration::ZERO),
        Ok(Sent::AllButLocked) => Some(LOOK_AGAIN_AFTER),
        Err(error @ (IndexError::Meilisearch(_) | IndexError::TurnLost)) => {
            tracing::warn!(%error, "the search index could not be brought up to date; Postgres answers searches");
            metrics::counter!("commerce_search_index_failures_total").increment(1);
            Some(TRY_AGAIN_AFTER)
        }
        Err(error) => return Err(error),
    };
    let completed = db::in_transaction(pool, "index_products", async |conn| {
        jobs::complete(conn, lease).await?;
        let mut later = Vec::new();
        if let Some(delay) = next {
            // One for all jobs that leave something.
            later.push((IndexProducts::default(), delay, "index_products".to_owned()));
        }
        if let Some(id) = again {
            let job = IndexProducts { category_id: Some(id), ..IndexProducts::default() };
            later.push((job, LOOK_AGAIN_AFTER, format!("index_products:{id}")));
        }
        for (job, delay, key) in later {
            let at = current_time(conn).await? + delay;
            let job =
                NewJob::new(&job).map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
            jobs::enqueue_all(conn, vec![job.at(at).dedupe_by(key)]).await?;
        }
        Ok::<_, IndexError>(())
    });
    Ok(completed.await?)
}

/// While rows are locked by others, one job looks again after this time.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How often one job looks for more before it leaves that to another.
const PASSES_MAX: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    All,
    /// The shop is changed faster than one job should go on.
    Some,
    /// What is left is being changed at this moment, perhaps by a long import: it may be rolled back.
    AllButLocked,
}

/// To be called after the turn was given back: jobs that found it taken are done, and have left their changes to who had it.
pub(super) async fn send_what_others_left(pool: &Pool, server: &Meilisearch) -> Result<(), IndexError> {
    if has_changes(&mut *pool.get().await?).await? {
        send_all(pool, server).await?;
    }
    Ok(())
}

/// Whoever finds the turn taken may go: the one who has it looks again after giving it back, and sees every change that was
/// committed before it was asked for.
async fn send_all(pool: &Pool, server: &Meilisearch) -> Result<Sent, IndexError> {
    for _ in 0..PASSES_MAX {
        let Some(mut turn) = Turn::take(pool).await? else { return Ok(Sent::All) };
        let live = live_index(&mut *pool.get().await?).await?;
        // An index of a later version gets its documents from a newer program, in the shape that it expects.
        let live = live.filter(|(_, version)| *version <= SETTINGS_VERSION);
        let done = match &live {
            Some((uid, _)) => push_changes(pool, server, &mut turn, &[uid]).await,
            None => Ok(0),
        };
        turn.give_back().await;
        let done = done?;
        if live.is_none() || !has_changes(&mut *pool.get().await?).await? {
            return Ok(Sent::All);
        }
        if done == 0 {
            return Ok(Sent::AllButLocked);
        }
    }
    Ok(Sent::Some)
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

/// This worker has no Meilisearch, so the shop has none: an index that gets no changes must not answer.
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
