//! Sends recorded changes to indexes.

use diesel::QueryableByName;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::IndexError;
use super::turn::Turn;
use crate::db::Pool;
use crate::search::changes::note_changes;
use crate::search::meilisearch::{COLUMNS, Document, IndexedRow, Meilisearch};

/// The number of products in a batch.
const BATCH: i64 = 1000;

#[derive(Debug, QueryableByName)]
struct ChangeRow {
    #[diesel(sql_type = SqlUuid)]
    changed_id: Uuid,
    #[diesel(sql_type = BigInt)]
    generation: i64,
}

/// The index that searches use.
pub async fn live_index(conn: &mut AsyncPgConnection) -> QueryResult<Option<(String, i32)>> {
    use crate::schema::search_indexes::dsl;
    dsl::search_indexes
        .filter(dsl::state.eq("live"))
        .select((dsl::uid, dsl::settings_version))
        .first(conn)
        .await
        .optional()
}

/// Whether a change is recorded that was not sent.
pub async fn has_changes(conn: &mut AsyncPgConnection) -> QueryResult<bool> {
    diesel::sql_query("SELECT 1 FROM commerce.search_changes LIMIT 1").execute(conn).await.map(|n| n > 0)
}

/// Sends the changes that are recorded now to each of these indexes, batch after batch. Returns the number of
/// changes that are done: if a row is being changed at this moment, it is sent as it is, and its change
/// stays. Later changes are left to the next call, because in a busy shop this one would never end. No
/// transaction is open while it sends.
pub async fn push_changes(
    pool: &Pool,
    server: &Meilisearch,
    turn: &mut Turn,
    indexes: &[&str],
) -> Result<usize, IndexError> {
    let mut done = 0;
    let newest = newest_generation(&mut *pool.get().await?).await?;
    // Each change is handled once. A change that stays, because its row is being changed, is not sent again
    // and again.
    let mut last = 0;
    loop {
        let (changes, rows) = next_batch(&mut *pool.get().await?, last, newest).await?;
        let Some(change) = changes.last() else { break };
        last = change.generation;
        let listed: Vec<Uuid> = rows.iter().map(|row| row.product_id).collect();
        let remove: Vec<Uuid> =
            changes.iter().map(|change| change.changed_id).filter(|id| !listed.contains(id)).collect();
        let put: Vec<Document> = rows.into_iter().map(Document::from).collect();
        for index in indexes {
            server.write(index, &put, &remove).await?;
        }
        if !turn.is_held().await {
            // Another process may have sent newer rows before ours arrived.
            mark_again(&mut *pool.get().await?, &changes).await?;
            return Err(IndexError::TurnLost);
        }
        done += forget(&mut *pool.get().await?, &changes).await?;
    }
    Ok(done)
}

#[derive(QueryableByName)]
struct NewestRow {
    #[diesel(sql_type = BigInt)]
    newest: i64,
}

async fn newest_generation(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    let row: NewestRow =
        diesel::sql_query("SELECT coalesce(max(generation), 0) AS newest FROM commerce.search_changes")
            .get_result(conn)
            .await?;
    Ok(row.newest)
}

/// The oldest changes, with their listed rows. The rows are read after the changes, so they are never older.
async fn next_batch(
    conn: &mut AsyncPgConnection,
    last: i64,
    newest: i64,
) -> QueryResult<(Vec<ChangeRow>, Vec<IndexedRow>)> {
    let changes: Vec<ChangeRow> = diesel::sql_query(
        "SELECT product_id AS changed_id, generation FROM commerce.search_changes
         WHERE generation > $3 AND generation <= $2 ORDER BY generation LIMIT $1",
    )
    .bind::<BigInt, _>(BATCH)
    .bind::<BigInt, _>(newest)
    .bind::<BigInt, _>(last)
    .load(conn)
    .await?;
    let ids: Vec<Uuid> = changes.iter().map(|change| change.changed_id).collect();
    let rows = diesel::sql_query(format!(
        "SELECT {COLUMNS} FROM commerce.product_search s WHERE s.listed AND s.product_id = ANY ($1)"
    ))
    .bind::<Array<SqlUuid>, _>(ids)
    .load(conn)
    .await?;
    Ok((changes, rows))
}

/// Deletes the changes that were sent. A row that was changed again has another generation, so its change
/// stays. A locked change is skipped without waiting, because its row is being changed. Returns the number of
/// deleted changes.
async fn forget(conn: &mut AsyncPgConnection, changes: &[ChangeRow]) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM commerce.search_changes WHERE product_id IN (
             SELECT c.product_id FROM commerce.search_changes c
             JOIN unnest($1, $2) AS seen (product_id, generation) USING (product_id, generation)
             FOR UPDATE OF c SKIP LOCKED)",
    )
    .bind::<Array<SqlUuid>, _>(changes.iter().map(|change| change.changed_id).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(changes.iter().map(|change| change.generation).collect::<Vec<_>>())
    .execute(conn)
    .await
}

async fn mark_again(conn: &mut AsyncPgConnection, changes: &[ChangeRow]) -> QueryResult<()> {
    note_changes(conn, changes.iter().map(|change| change.changed_id).collect()).await
}

/// A page of the listed rows after this product, sorted by id.
pub async fn rows_after(conn: &mut AsyncPgConnection, last: Option<Uuid>) -> QueryResult<Vec<IndexedRow>> {
    diesel::sql_query(format!(
        "SELECT {COLUMNS} FROM commerce.product_search s WHERE s.listed AND s.product_id > $1
         ORDER BY s.product_id LIMIT $2"
    ))
    .bind::<SqlUuid, _>(last.unwrap_or(Uuid::nil()))
    .bind::<BigInt, _>(BATCH)
    .load(conn)
    .await
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    listed: i64,
    #[diesel(sql_type = Bool)]
    is_settled: bool,
}

/// The number of listed products, and whether no change is recorded, at one moment.
pub async fn count_listed(conn: &mut AsyncPgConnection) -> QueryResult<(i64, bool)> {
    let row: CountRow = diesel::sql_query(
        "SELECT (SELECT count(*) FROM commerce.product_search WHERE listed) AS listed,
                NOT EXISTS (SELECT FROM commerce.search_changes) AS is_settled",
    )
    .get_result(conn)
    .await?;
    Ok((row.listed, row.is_settled))
}

/// Takes the live index out of service. Postgres answers until another one is built.
pub async fn retire(conn: &mut AsyncPgConnection, uid: &str) -> QueryResult<()> {
    diesel::sql_query("DELETE FROM commerce.search_indexes WHERE uid = $1")
        .bind::<Text, _>(uid)
        .execute(conn)
        .await
        .map(drop)
}
