//! The progress of an import, visible to others before the import is committed.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// Every import holds this lock until its end. The number is arbitrary but must never change.
pub(super) const IMPORT_LOCK: i64 = 0x696d_706f_7274_6564;

/// A running import, in any program.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct RunningImport {
    /// When its transaction began. Not known if another database user runs the import.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub started_at: Option<DateTime<Utc>>,
    /// Products of the file that were processed so far.
    #[diesel(sql_type = BigInt)]
    pub products: i64,
}

/// Publishes the number of processed products in the name of the connection. The name is visible at once,
/// while everything else that the import writes is visible only after its commit.
pub(super) async fn show_progress(conn: &mut AsyncPgConnection, products: usize) -> QueryResult<()> {
    diesel::sql_query("SELECT set_config('application_name', $1, true)")
        .bind::<Text, _>(format!("commerce import: {products} products"))
        .execute(conn)
        .await
        .map(drop)
}

/// The import that is running, if there is one.
pub async fn running_import(conn: &mut AsyncPgConnection) -> QueryResult<Option<RunningImport>> {
    diesel::sql_query(
        "SELECT activity.xact_start AS started_at,
                coalesce(substring(activity.application_name FROM '^commerce import: (\\d+) products$'), '0')::bigint
                    AS products
         FROM pg_catalog.pg_locks AS lock
         JOIN pg_catalog.pg_stat_activity AS activity USING (pid)
         JOIN pg_catalog.pg_database AS shop ON shop.oid = lock.database
         WHERE shop.datname = current_database() AND lock.locktype = 'advisory' AND lock.granted
           AND lock.objsubid = 1 AND (lock.classid::bigint << 32) + lock.objid::bigint = $1",
    )
    .bind::<BigInt, _>(IMPORT_LOCK)
    .get_result(conn)
    .await
    .optional()
}
