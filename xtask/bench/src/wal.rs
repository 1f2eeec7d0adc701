//! What a load writes to the log, and how often that is flushed.

use anyhow::Result;
use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

#[derive(Debug, Clone, Copy, Default, QueryableByName)]
pub struct Wal {
    #[diesel(sql_type = BigInt)]
    pub bytes: i64,
    #[diesel(sql_type = BigInt)]
    pub syncs: i64,
}

impl Wal {
    pub fn since(&self, before: &Self) -> Self {
        Self { bytes: self.bytes - before.bytes, syncs: self.syncs - before.syncs }
    }
}

/// Every load begins after a checkpoint, so that each writes its pages in full once.
pub async fn settle(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute("CHECKPOINT").await?;
    Ok(())
}

pub async fn read(conn: &mut AsyncPgConnection) -> Result<Wal> {
    // Servers report their part with a delay of up to a second.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let query = "SELECT wal_bytes::bigint AS bytes, wal_sync AS syncs FROM pg_stat_wal";
    Ok(diesel::sql_query(query).get_result(conn).await?)
}
