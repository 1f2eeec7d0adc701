//! Statements that travel together.

use std::future::{Future, poll_fn};
use std::task::Poll;

use diesel::QueryResult;
use futures_util::future::{BoxFuture, FutureExt as _};

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
        let mut waiting = self.0;
        poll_fn(|context| {
            let mut outcome = Ok(());
            // In their order, each time: the first look at a statement sends it.
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

    /// However many there are. Each is looked at three times before it is done.
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
