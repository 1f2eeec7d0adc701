//! A fresh index, built beside the one that answers, which then takes its place.

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

/// How far a rebuild has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It begins when these have ended that were changing products before it was announced.
    WaitingFor {
        /// How many transactions have not ended.
        transactions: usize,
    },
    /// Products of the shop that are in the new index.
    Built {
        /// How many products are in the new index.
        products: i64,
        /// How many products it will have.
        of: i64,
    },
}

/// How long to wait for another indexer to give back its turn.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait for transactions that change products: an import of a large file is one.
const WRITERS_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Builds the index anew and puts it in the place of the old one, while the shop runs: until then the old one answers, and
/// gets every edit. `tell` is called after each batch. Returns how many products are in it.
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

/// The same for who has the turn already.
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
        // There is nothing to clean up later, and a server that is away is asked often.
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
        // Nobody knows of it any more.
        server.delete_index(&uid).await?;
    }
    placed?;
    for gone in leftovers.iter().chain(&old) {
        // It is in nobody's way; the next rebuild finds no row of it, so this is the only attempt.
        if let Err(error) = server.delete_index(gone).await {
            tracing::warn!(index = gone, %error, "an old search index could not be deleted");
        }
    }
    server.count(&uid).await.map_err(IndexError::from)
}

/// The live index if the server has it; one that it has lost is taken out of service.
async fn usable_live_index(pool: &Pool, server: &Meilisearch) -> Result<Option<String>, IndexError> {
    let mut conn = pool.get().await?;
    let Some((uid, _)) = live_index(&mut conn).await? else { return Ok(None) };
    match server.count(&uid).await {
        Ok(_) => Ok(Some(uid)),
        Err(MeilisearchError::NoIndex(_)) => {
            retire(&mut conn, &uid).await?;
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

/// Indexes that somebody began to build who is no more.
async fn leftovers(conn: &mut AsyncPgConnection) -> QueryResult<Vec<String>> {
    let rows: Vec<UidRow> =
        diesel::sql_query("SELECT uid FROM commerce.search_indexes WHERE state = 'building'")
            .load(conn)
            .await?;
    Ok(rows.into_iter().map(|row| row.uid).collect())
}

/// Makes the empty index, and returns when every change that is committed from then on is recorded.
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
        // The index that answers must not grow old meanwhile.
        push_changes(pool, server, turn, old.as_slice()).await?;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Writes down that an index is being built, so that triggers record changes, and returns the transactions that may have changed
/// products before they could know: that would be recorded nowhere.
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

/// Search turns from the old index to the new one, unless the new one was given up meanwhile.
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
