//! Statements that are sent together.

use std::future::{Future, poll_fn};
use std::task::Poll;

use diesel::QueryResult;
use futures_util::future::{BoxFuture, FutureExt as _};

/// Statements that are sent at once and awaited together: one round trip for all, not one for each.
///
/// Each must be a future over a shared borrow of the same connection. They reach Postgres in the order in
/// which they were added, and Postgres runs them in that order. If one fails, those after it in the
/// transaction fail too, and [`run`](Self::run) returns the first error.
pub(crate) struct Pipeline<'c>(Vec<BoxFuture<'c, QueryResult<()>>>);

impl<'c> Pipeline<'c> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a statement. It is not sent yet.
    pub(crate) fn add(&mut self, statement: impl Future<Output = QueryResult<()>> + Send + 'c) {
        self.0.push(statement.boxed());
    }

    /// Sends all statements and waits for the last answer.
    pub(crate) async fn run(self) -> QueryResult<()> {
        let mut waiting = self.0;
        poll_fn(|context| {
            let mut outcome = Ok(());
            // Polled in their order each time, because the first poll of a statement sends it.
            waiting.retain_mut(|statement| match statement.poll_unpin(context) {
                Poll::Pending => true,
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(error)) => {
                    if outcome.is_ok() {
                        outcome = Err(error);
                    }
                    false
                }
            });
            if outcome.is_ok() && !waiting.is_empty() { Poll::Pending } else { Poll::Ready(outcome) }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// For any number of statements. Each is polled three times before it is done.
    #[tokio::test(flavor = "multi_thread")]
    async fn statements_are_sent_in_their_order() {
        let sent = Mutex::new(Vec::new());
        let mut pipeline = Pipeline::new();
        for number in 0..100 {
            let sent = &sent;
            pipeline.add(async move {
                sent.lock().unwrap().push(number);
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                Ok(())
            });
        }
        pipeline.run().await.unwrap();
        assert_eq!(sent.into_inner().unwrap(), (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_first_error_is_the_answer() {
        let mut pipeline = Pipeline::new();
        pipeline.add(async { Ok(()) });
        pipeline.add(async { Err(diesel::result::Error::NotFound) });
        pipeline.add(async { Err(diesel::result::Error::RollbackTransaction) });
        assert_eq!(pipeline.run().await, Err(diesel::result::Error::NotFound));
    }
}
