//! Builds a new index beside the live one, and then replaces the live one with it.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::IndexError;
use super::push::{count_listed, live_index, push_changes, retire, rows_after};
use super::send::send_what_others_left;
use super::turn::Turn;
use crate::db::Pool;
use crate::search::meilisearch::{Document, Meilisearch, MeilisearchError, SETTINGS_VERSION};
use crate::search::writers::Writers;

/// The progress of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The rebuild waits for transactions that were changing products before it was announced.
    WaitingFor {
        /// The number of transactions that have not ended.
        transactions: usize,
    },
    /// A part of the products is in the new index.
    Built {
        /// The number of products in the new index.
        products: i64,
        /// The number of products that it will have.
        of: i64,
    },
}

/// How long to wait for another indexer to finish.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait for transactions that change products, such as the import of a large file.
const WRITERS_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Builds the index anew and replaces the old one, while the shop runs. Until then the old index answers and
/// gets every change. `tell` is called after each batch. Returns the number of products in the new index.
pub async fn reindex(
    pool: &Pool,
    server: &Meilisearch,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<i64, IndexError> {
    let begun = Instant::now();
    loop {
        if let Some(mut turn) = Turn::wait(pool).await? {
            let built = rebuild(pool, server, &mut turn, tell).await;
            turn.give_back().await;
            if built.is_ok() {
                send_what_others_left(pool, server).await?;
            }
            return built;
        }
        if begun.elapsed() > PATIENCE {
            return Err(IndexError::Busy);
        }
    }
}

/// The same, for a caller that already has the turn.
pub(super) async fn rebuild(
    pool: &Pool,
    server: &Meilisearch,
    turn: &mut Turn,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<i64, IndexError> {
    let old = usable_live_index(pool, server).await?;
    let leftovers = leftovers(&mut *pool.get().await?).await?;
    let uid = server.new_uid();
    if let Err(error) = begin(pool, server, turn, old.as_deref(), &uid, tell).await {
        // So nothing has to be cleaned up later. Otherwise a server that is down would be asked again and
        // again.
        retire(&mut *pool.get().await?, &uid).await?;
        return Err(error);
    }

    let (of, _) = count_listed(&mut *pool.get().await?).await?;
    let mut both: Vec<&str> = old.iter().map(String::as_str).collect();
    both.push(&uid);
    let (mut products, mut last) = (0, None);
    loop {
        let rows = rows_after(&mut *pool.get().await?, last).await?;
        let Some(row) = rows.last() else { break };
        last = Some(row.product_id);
        products += i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let documents: Vec<Document> = rows.into_iter().map(Document::from).collect();
        server.write(&uid, &documents, &[]).await?;
        push_changes(pool, server, turn, &both).await?;
        tell(Progress::Built { products, of: of.max(products) });
    }
    push_changes(pool, server, turn, &both).await?;
    if !turn.is_held().await {
        return Err(IndexError::TurnLost);
    }
    let placed = put_in_place(&mut *pool.get().await?, &uid).await;
    if let Err(IndexError::GivenUp) = placed {
        // Nothing refers to it any more.
        server.delete_index(&uid).await?;
    }
    placed?;
    for gone in leftovers.iter().chain(&old) {
        // It does no harm. The next rebuild finds no row about it, so this is the only attempt.
        if let Err(error) = server.delete_index(gone).await {
            tracing::warn!(index = gone, %error, "an old search index could not be deleted");
        }
    }
    server.count(&uid).await.map_err(IndexError::from)
}

/// The live index, if the server has it. If the server has lost it, it is taken out of service.
async fn usable_live_index(pool: &Pool, server: &Meilisearch) -> Result<Option<String>, IndexError> {
    let Some((uid, _)) = live_index(&mut *pool.get().await?).await? else { return Ok(None) };
    match server.count(&uid).await {
        Ok(_) => Ok(Some(uid)),
        Err(MeilisearchError::NoIndex(_)) => {
            retire(&mut *pool.get().await?, &uid).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(QueryableByName)]
struct UidRow {
    #[diesel(sql_type = Text)]
    uid: String,
}

/// Indexes that a process began to build and then ended.
async fn leftovers(conn: &mut AsyncPgConnection) -> QueryResult<Vec<String>> {
    let rows: Vec<UidRow> =
        diesel::sql_query("SELECT uid FROM commerce.search_indexes WHERE state = 'building'")
            .load(conn)
            .await?;
    Ok(rows.into_iter().map(|row| row.uid).collect())
}

/// Creates the empty index, and returns when every change that is committed from then on is recorded.
async fn begin(
    pool: &Pool,
    server: &Meilisearch,
    turn: &mut Turn,
    old: Option<&str>,
    uid: &str,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), IndexError> {
    let writers = register(pool, uid).await?;
    server.create_index(uid).await?;
    let begun = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        let transactions = writers.still_running(&mut *pool.get().await?).await?;
        if transactions == 0 {
            return Ok(());
        }
        if begun.elapsed() > WRITERS_PATIENCE {
            server.delete_index(uid).await?;
            return Err(IndexError::WritersBusy { transactions });
        }
        tell(Progress::WaitingFor { transactions });
        // The live index must stay up to date in the meantime.
        push_changes(pool, server, turn, old.as_slice()).await?;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Registers the new index, so that triggers record changes. Returns the transactions that may have changed
/// products before they could see the registration, because their changes are not recorded.
async fn register(pool: &Pool, uid: &str) -> Result<Writers, IndexError> {
    let mut conn = pool.get().await?;
    diesel::sql_query(
        "INSERT INTO commerce.search_indexes (uid, state, settings_version) VALUES ($1, 'building', $2)",
    )
    .bind::<Text, _>(uid)
    .bind::<Integer, _>(SETTINGS_VERSION)
    .execute(&mut conn)
    .await?;
    Ok(Writers::now(&mut conn).await?)
}

/// Makes the new index the live one, unless the new one was given up in the meantime.
async fn put_in_place(conn: &mut AsyncPgConnection, uid: &str) -> Result<(), IndexError> {
    conn.transaction(async |conn| {
        diesel::sql_query("DELETE FROM commerce.search_indexes WHERE uid <> $1")
            .bind::<Text, _>(uid)
            .execute(conn)
            .await?;
        let placed = diesel::sql_query("UPDATE commerce.search_indexes SET state = 'live' WHERE uid = $1")
            .bind::<Text, _>(uid)
            .execute(conn)
            .await?;
        if placed == 1 { Ok(()) } else { Err(IndexError::GivenUp) }
    })
    .await
}
