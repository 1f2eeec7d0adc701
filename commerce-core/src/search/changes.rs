//! The record of what an index outside of Postgres does not know yet.

use diesel::prelude::*;
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// Records that these products differ from what the index knows of them, if there is one.
pub async fn note_changes(conn: &mut AsyncPgConnection, product_ids: Vec<Uuid>) -> QueryResult<()> {
    conn.transaction(async |conn| {
        // Rows before changes, as everybody does: a checkout that finds a row locked leaves a job, and waits for nobody.
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
