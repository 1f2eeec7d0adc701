//! Statements that travel together.

use std::future::Future;

use diesel::QueryResult;
use futures_util::future::{BoxFuture, FutureExt as _, try_join_all};

/// Statements that are sent at once and waited for together: one round trip for all, instead of one for each.
///
/// Each must be a future over a shared borrow of the same connection. They reach Postgres in the order in which they were
/// added, and it runs them one after the other. If one fails, those after it in a transaction fail too, and the first error is
/// what [`run`](Self::run) returns.
pub(crate) struct Pipeline<'c>(Vec<BoxFuture<'c, QueryResult<()>>>);

impl<'c> Pipeline<'c> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a statement. It is not sent yet.
    pub(crate) fn add(&mut self, statement: impl Future<Output = QueryResult<()>> + Send + 'c) {
        self.0.push(statement.boxed());
    }

    /// Sends all of them, and waits for the last answer.
    pub(crate) async fn run(self) -> QueryResult<()> {
        try_join_all(self.0).await.map(|_| ())
    }
}
