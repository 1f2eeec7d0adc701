//! The table of jobs: how a job gets into it, who works on it, and how it leaves.
//!
//! A job is inserted on the caller's connection, so it commits or vanishes with the change that called for it. A worker claims
//! due rows under a lease, and completes a row by deleting it **in the transaction of the job's effect**: a row that is gone or
//! leased to another means that someone else did the work, and the effect rolls back. So an effect in the database happens
//! exactly once, whatever crashes.
//!
//! The domains use this module. What runs the jobs is `crate::jobs`, which offers all of this too.

mod claim;
mod dead_letters;
mod enqueue;
mod failure;
mod finish;
mod states;
mod wake;

pub use claim::{ClaimedJob, Lease, claim, next_due};
pub use dead_letters::{JobRow, JobState, ManageJobError, cancel, find, forget_errors_about, list, retry};
pub use enqueue::{Job, NewJob, enqueue, enqueue_all};
pub use failure::Failure;
pub(crate) use finish::end_attempt;
pub use finish::{CompleteError, LeaseLost, complete, release, renew};
pub use states::{QueueState, queue_states};
pub use wake::{WAKE_CHANNEL, Waker};
