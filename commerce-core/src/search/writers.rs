//! Transactions that were changing products at a certain moment, and may not have seen what was committed
//! before it.

use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// Transactions that had written search rows and had not ended.
pub struct Writers(Vec<String>);

/// Each of them holds this lock until it ends.
const WRITERS: &str = "
    SELECT DISTINCT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'commerce.product_search'::regclass AND mode = 'RowExclusiveLock'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

#[derive(QueryableByName)]
struct WriterRow {
    #[diesel(sql_type = Text)]
    virtualtransaction: String,
}

impl Writers {
    /// The transactions of this moment.
    pub async fn now(conn: &mut AsyncPgConnection) -> QueryResult<Self> {
        let writers: Vec<WriterRow> = diesel::sql_query(WRITERS).load(conn).await?;
        Ok(Self(writers.into_iter().map(|row| row.virtualtransaction).collect()))
    }

    /// The number of them that still run.
    pub async fn still_running(&self, conn: &mut AsyncPgConnection) -> QueryResult<usize> {
        if self.0.is_empty() {
            return Ok(0);
        }
        diesel::sql_query(format!("{WRITERS} AND virtualtransaction = ANY ($1)"))
            .bind::<Array<Text>, _>(&self.0)
            .execute(conn)
            .await
    }
}
