//! Locks on what has no row. ARCHITECTURE has their place in the order of locks.

use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// A lock that is held until the end of the transaction. The numbers are arbitrary but must never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub(crate) enum AdvisoryLock {
    /// Which category is below which. A row lock would not do: it cannot be taken on a category that another
    /// transaction is just creating.
    CategoryTree = 0x6361_7465_676f_7279,
    /// The unique keys of the catalogue: slugs, SKUs and titles of categories. Two transactions that write several of them in
    /// different orders would wait for each other. It also lets an import lock products in the order of its
    /// file.
    CatalogueKeys = 0x6361_7461_6c6f_6775,
}

/// Waits for the lock, at most for the lock timeout of the connection. Taking it again does nothing.
///
/// The lock is a statement of its own, so that the next statement sees what the former holder has committed.
pub(crate) async fn lock(conn: &mut AsyncPgConnection, lock: AdvisoryLock) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<diesel::sql_types::BigInt, _>(lock as i64)
        .execute(conn)
        .await
        .map(drop)
}
