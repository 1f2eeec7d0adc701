//! How an attempt at a job failed.

/// How an attempt failed. Each kind's file tells which of its errors is which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// May succeed later: tried again after a growing delay, until the attempts are used up.
    Retry(String),
    /// Can never succeed: dead at once.
    Abort(String),
}
