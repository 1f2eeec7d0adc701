//! Keeping an index outside of Postgres in step with the tables.
//!
//! Changes are rows of `search_changes`, written by triggers in the transaction of the change. One indexer at a time
//! ([`Turn`]) takes a batch of them with the rows as they are now, sends these, and deletes the changes it has seen: an
//! edit made meanwhile has a later generation and stays. So nothing is lost, and nothing older is sent after something newer.

mod compare;
mod index_products;
mod keep;
mod push;
mod rebuild;
mod turn;
mod writers;

use crate::db::{PoolError, Retryable, TransactionError};
use crate::jobs::CompleteError;

use super::meilisearch::MeilisearchError;

pub use compare::compare_index;
pub use index_products::index_products;
pub use keep::{Kept, keep_index};
pub(super) use push::live_index;
pub use rebuild::{Progress, reindex};

/// Why an index could not be brought up to date. What was not sent is still recorded as changed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("no database connection could be had: {0}")]
    NoConnection(#[from] PoolError),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    #[error(transparent)]
    Complete(#[from] CompleteError),
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
