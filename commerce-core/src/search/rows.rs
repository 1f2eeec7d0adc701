//! The rows that Postgres searches. Triggers write them (see the migration `search`). This module is for code
//! that writes many products at once.

use diesel::QueryResult;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::ids::ProductId;

/// Who updates the search rows of the products that a transaction changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refreshed {
    /// The triggers, after each statement.
    AtOnce,
    /// The caller, with [`refresh`], once for all changes of a product.
    Later,
}

/// Sets who updates the rows, until it is set again or the transaction ends. Call it in a transaction.
pub async fn refresh_rows(conn: &mut AsyncPgConnection, when: Refreshed) -> QueryResult<()> {
    let setting = match when {
        Refreshed::AtOnce => "",
        Refreshed::Later => "later",
    };
    diesel::sql_query("SELECT set_config('commerce.search_rows', $1, true)")
        .bind::<Text, _>(setting)
        .execute(conn)
        .await
        .map(drop)
}

/// Updates the search rows of these products, if they differ.
pub async fn refresh(conn: &mut AsyncPgConnection, ids: &[ProductId]) -> QueryResult<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    diesel::sql_query("SELECT commerce.refresh_product_search($1)")
        .bind::<Array<SqlUuid>, _>(ids)
        .execute(conn)
        .await
        .map(drop)
}
