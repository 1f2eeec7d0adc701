//! A fresh index, built beside the one that answers, which then takes its place.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::IndexError;
use super::push::{count_listed, live_index, push_changes, retire, rows_after};
use super::turn::Turn;
use crate::db::Pool;
use crate::search::meilisearch::{Document, Meilisearch, MeilisearchError, SETTINGS_VERSION};

/// How far a rebuild has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub products: i64,
    pub of: i64,
}

/// How long to wait for another indexer to give back its turn.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the index anew and puts it in the place of the old one, while the shop runs: until then the old one answers, and
/// gets every edit. `tell` is called after each batch. Returns how many products are in it.
pub async fn reindex(
    pool: &Pool,
    server: &Meilisearch,
    tell: &mut (dyn FnMut(Progress) + Send),
) -> Result<i64, IndexError> {
    let begun = std::time::Instant::now();
    loop {
        if let Some(mut turn) = Turn::wait(pool).await? {
            let built = rebuild(pool, server, &mut turn, tell).await;
            turn.give_back().await;
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
    register(pool, &uid).await?;
    if let Err(error) = server.create_index(&uid).await {
        // There is nothing to clean up later, and a server that is away is asked often.
        retire(&mut *pool.get().await?, &uid).await?;
        return Err(error.into());
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
        tell(Progress { products, of: of.max(products) });
    }
    push_changes(pool, server, turn, &both).await?;
    if !turn.is_held().await {
        return Err(IndexError::TurnLost);
    }
    put_in_place(&mut *pool.get().await?, &uid).await?;
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

#[derive(QueryableByName)]
struct XidRow {
    #[diesel(sql_type = BigInt)]
    xid: i64,
}

#[derive(QueryableByName)]
struct PassedRow {
    #[diesel(sql_type = Bool)]
    passed: bool,
}

/// Writes down that an index is being built, so that triggers record changes, and waits for the transactions that began before they could
/// know: what they change would be recorded nowhere.
async fn register(pool: &Pool, uid: &str) -> Result<(), IndexError> {
    let mut conn = pool.get().await?;
    diesel::sql_query(
        "INSERT INTO commerce.search_indexes (uid, state, settings_version) VALUES ($1, 'building', $2)",
    )
    .bind::<Text, _>(uid)
    .bind::<Integer, _>(SETTINGS_VERSION)
    .execute(&mut conn)
    .await?;
    let XidRow { xid } =
        diesel::sql_query("SELECT pg_current_xact_id()::text::bigint AS xid").get_result(&mut conn).await?;
    loop {
        let row: PassedRow =
            diesel::sql_query("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= $1 AS passed")
                .bind::<BigInt, _>(xid)
                .get_result(&mut conn)
                .await?;
        if row.passed {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Search turns from the old index to the new one.
async fn put_in_place(conn: &mut AsyncPgConnection, uid: &str) -> QueryResult<()> {
    conn.transaction(async |conn| {
        diesel::sql_query("DELETE FROM commerce.search_indexes WHERE uid <> $1")
            .bind::<Text, _>(uid)
            .execute(conn)
            .await?;
        diesel::sql_query("UPDATE commerce.search_indexes SET state = 'live' WHERE uid = $1")
            .bind::<Text, _>(uid)
            .execute(conn)
            .await
            .map(drop)
    })
    .await
}
