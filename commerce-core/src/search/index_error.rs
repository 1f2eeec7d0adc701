//! Why what is searched could not be brought up to date.

#[cfg(feature = "meilisearch")]
use super::meilisearch::MeilisearchError;
use crate::db::{PoolError, Retryable, TransactionError};
use crate::queue::CompleteError;

/// Why search rows or an index could not be brought up to date. What was not sent is still recorded as changed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("no database connection could be had: {0}")]
    NoConnection(#[from] PoolError),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    #[error(transparent)]
    Complete(#[from] CompleteError),
    #[cfg(feature = "meilisearch")]
    #[error(transparent)]
    Meilisearch(#[from] MeilisearchError),
    #[error("another process is at the index; try again when it is done")]
    Busy,
    #[error(
        "{transactions} transaction(s) have been changing products for a quarter of an hour; try again when they have ended"
    )]
    WritersBusy { transactions: usize },
    #[error("the connection that held the turn was lost; what was sent is marked to be sent again")]
    TurnLost,
    #[error(
        "a worker without MEILISEARCH_URL gave the index up while it was built: set it for every worker of this shop, and try again"
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
