//! Work to do after a commit, stored in the same database, and the code that does it.
//!
//! [`enqueue`] inserts a job on the caller's connection, so the job commits or vanishes with the change that
//! caused it. A worker claims due jobs ([`claim`]), does each of them ([`run`]) and records failures
//! ([`fail`]). [`run`] completes the job in the transaction of its effect. commerce-worker does this with
//! apalis, and `examples/host-jobs` does it in a host's own process. Scheduled work is not a job: see
//! [`Sweep`].
//!
//! A kind of job is one file with its payload, its handler, and the decision which errors are worth another
//! attempt: `notifications/send_email.rs`, `flows/refund_payment.rs`, `catalog/image/resize.rs`,
//! `catalog/image/delete_files.rs`, `search/index_products.rs`. [`kinds`] lists them. `retry.rs` decides when
//! a failed job is tried again, and [`JobState`] explains the states of jobs.

pub mod kinds;
mod retry;
mod run;
mod sweeps;

pub use crate::queue::*;
pub use retry::{NextAttempt, fail, next_attempt};
pub use run::{Services, run};
pub use sweeps::{Sweep, SweepError, TimeLeft, time_left};
