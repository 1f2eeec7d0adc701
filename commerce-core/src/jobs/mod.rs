//! Work to be done after commit, in the same database: a job is inserted on the caller's connection, so it commits or
//! vanishes with the change that called for it.
//!
//! A worker claims due rows under a lease, and completes a row by deleting it **in the transaction of the job's
//! effect**: a row that is gone or leased to another means that someone else did the work, and the effect rolls back.
//! So an effect in the database happens exactly once, whatever crashes. commerce-worker runs these jobs with apalis;
//! a host may drain the table with a runner of its own through [`claim`], [`complete`] and [`fail`].

mod claim;
mod dead_letters;
mod enqueue;
mod finish;
pub mod kinds;
mod queue;
mod wake;

pub use claim::{ClaimedJob, Lease, claim};
pub use dead_letters::{JobRow, JobState, ManageJobError, cancel, find, forget_errors_about, list, retry};
pub use enqueue::{Job, NewJob, enqueue, enqueue_all};
pub use finish::{CompleteError, Failure, LeaseLost, complete, fail, release, renew};
pub use queue::{QueueState, queue_states};
pub use wake::{WAKE_CHANNEL, Waker};
