//! Errors of updating what is searched.

#[cfg(feature = "meilisearch")]
use super::meilisearch::MeilisearchError;
use crate::db::{PoolError, Retryable, TransactionError};
use crate::queue::CompleteError;

/// Why search rows or an index could not be updated. Changes that were not sent are still recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The pool had no connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    /// The job's lease ran out, or the job could not be completed.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// Meilisearch failed or did not answer.
    #[cfg(feature = "meilisearch")]
    #[error(transparent)]
    Meilisearch(#[from] MeilisearchError),
    /// Another process has the turn.
    #[error("another process is updating the index; try again when it is done")]
    Busy,
    /// Transactions that write products did not end within a quarter of an hour.
    #[error(
        "{transactions} transaction(s) have been changing products for a quarter of an hour; try again when they have ended"
    )]
    WritersBusy {
        /// The number of these transactions.
        transactions: usize,
    },
    /// The connection that held the turn was lost, so another process may have taken the turn.
    #[error("the connection that held the indexing lock was lost; what was sent will be sent again")]
    TurnLost,
    /// A worker without Meilisearch removed the index while it was being built.
    #[error(
        "a worker without MEILISEARCH_URL gave the index up while it was being built: set it for every worker and try again"
    )]
    GivenUp,
}

impl Retryable for IndexError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Complete(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<TransactionError<IndexError>> for IndexError {
    fn from(error: TransactionError<IndexError>) -> Self {
        match error {
            TransactionError::NoConnection(error) => Self::NoConnection(error),
            TransactionError::RolledBack(error) => error,
        }
    }
}
