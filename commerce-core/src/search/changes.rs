//! The record of changes that an index outside of Postgres does not have yet.

use diesel::prelude::*;
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// Records that these products have changed since they were sent to the index, if there is one.
pub async fn note_changes(conn: &mut AsyncPgConnection, product_ids: Vec<Uuid>) -> QueryResult<()> {
    conn.transaction(async |conn| {
        // Everybody writes rows before changes. A checkout that finds a row locked leaves a job and does not
        // wait.
        diesel::sql_query(
            "SELECT FROM commerce.product_search WHERE product_id = ANY ($1) ORDER BY product_id FOR UPDATE",
        )
        .bind::<Array<SqlUuid>, _>(&product_ids)
        .execute(conn)
        .await?;
        diesel::sql_query("SELECT commerce.note_search_changes($1)")
            .bind::<Array<SqlUuid>, _>(&product_ids)
            .execute(conn)
            .await
            .map(drop)
    })
    .await
}
