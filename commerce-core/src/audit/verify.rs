//! Looks for breaches of the invariants. It only reads. Run it after every test, after every fault, and on a
//! schedule.

use diesel::sql_types::Text;
use diesel::{QueryResult, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// An invariant that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
#[non_exhaustive]
pub struct Breach {
    /// `I1` … `I8`.
    #[diesel(sql_type = Text)]
    pub invariant: String,
    /// The table and the id of the row.
    #[diesel(sql_type = Text)]
    pub subject: String,
    /// What is wrong, with the numbers that differ.
    #[diesel(sql_type = Text)]
    pub detail: String,
}

/// Every breach of every invariant, in one snapshot. Empty if all is well.
pub async fn verify(conn: &mut AsyncPgConnection) -> QueryResult<Vec<Breach>> {
    diesel::sql_query(include_str!("verify.sql")).load(conn).await
}
