//! Work to be done after commit, in the same database, and what does it.
//!
//! [`enqueue`] inserts a job on the caller's connection: it commits or vanishes with the change that called for it. A worker
//! claims due jobs ([`claim`]), does each ([`run`]) and writes down what failed ([`fail`]); [`run`] completes the job in the
//! transaction of its effect. commerce-worker does this with apalis. `examples/host-jobs` does it in a host's own process.
//! What time brings is no job: see [`Sweep`].
//!
//! A kind of job is one file, with its payload, its handler and which of its errors are worth another attempt:
//! `notifications/send_email.rs`, `flows/refund_payment.rs`, `catalog/image/resize.rs`, `catalog/image/delete_files.rs`,
//! `search/index_products.rs`. [`kinds`] lists them. When a failed job is tried again is told in `retry.rs`, and who moves a job
//! from which state to which at [`JobState`].

pub mod kinds;
mod retry;
mod run;
mod sweeps;

pub use crate::queue::*;
pub use retry::{NextAttempt, fail, next_attempt};
pub use run::{Services, run};
pub use sweeps::{Sweep, SweepError, TimeLeft, time_left};
