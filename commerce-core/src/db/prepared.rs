//! Keeps a statement prepared on its connection if Diesel would parse it anew each time.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// A statement whose text is always the same. Diesel parses updates, upserts and defaults anew each time,
/// because their text may vary without limit. With this wrapper such a statement is prepared once for each
/// connection, identified by its text, which saves a round trip. Use it only for statements on a hot path,
/// and never for a list of varying length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prepared<Q>(pub Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();

    // It is identified by its text, not by its type.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Prepared<Q> {
    type SqlType = Q::SqlType;
}

/// The first `rows` rows of a query that has no limit itself. The number stands in the text. As a parameter it would
/// keep Postgres from planning the statement once: of an unknown number of rows it expects a tenth of the table, so it
/// plans anew each time. Each number is another prepared statement, so only take numbers of which there are few.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FirstRows<Q> {
    pub query: Q,
    pub rows: i64,
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for FirstRows<Q> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.query.walk_ast(pass.reborrow())?;
        pass.push_sql(" LIMIT ");
        pass.push_sql(&self.rows.to_string());
        Ok(())
    }
}

impl<Q> QueryId for FirstRows<Q> {
    type QueryId = ();

    // It is identified by its text, not by its type.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for FirstRows<Q> {
    type SqlType = Q::SqlType;
}
