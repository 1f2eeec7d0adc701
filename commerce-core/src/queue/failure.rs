//! How an attempt at a job failed.

/// How an attempt failed. The file of each kind classifies its errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The job may succeed later. It is tried again after a growing delay, until its attempts are used up.
    Retry(String),
    /// The job can never succeed. It is dead at once.
    Abort(String),
}
