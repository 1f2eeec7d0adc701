//! Why a job that needs nothing but the database did not end. It is tried again.

use diesel::result::Error as QueryError;

use crate::db::{PoolError, Retryable};
use crate::queue::{Failure, LeaseLost};

/// Why a job that needs nothing but the database did not end.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The pool had no connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// Another worker has taken over the job.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for JobError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        Failure::Retry(error.to_string())
    }
}
