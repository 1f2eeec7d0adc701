//! The table of jobs: how jobs get into it, who works on them, and how they leave it.
//!
//! A job is inserted on the caller's connection, so it commits or vanishes with the change that caused it. A
//! worker claims due rows under a lease, and completes a job by deleting its row **in the transaction of the
//! job's effect**. If the row is gone or leased to another worker, somebody else did the work, and the effect
//! is rolled back. So an effect in the database happens exactly once, whatever crashes.
//!
//! The domains use this module. `crate::jobs` runs the jobs, and re-exports everything here.

mod board;
mod claim;
mod dead_letters;
mod enqueue;
mod failure;
mod finish;
mod pause;
mod states;
mod wake;

pub use board::{
    JobFilter, JobSort, ListJobsError, MANY_JOBS_MAX, Managed, cancel_matching, list_jobs, retry_matching,
};
pub use claim::{ClaimedJob, Lease, claim, next_due};
pub use dead_letters::{
    DEAD_JOBS_KEPT, JobFailure, JobFailures, JobRow, JobState, ManageJobError, cancel, find,
    forget_errors_about, list, prune_dead, retry,
};
pub use enqueue::{Job, NewJob, enqueue, enqueue_after, enqueue_all};
pub use failure::Failure;
pub(crate) use finish::end_attempt;
pub use finish::{CompleteError, LeaseLost, complete, complete_with, release, renew};
pub use pause::{JobPause, list_pauses, pause, resume};
pub use states::{QueueState, queue_states};
pub use wake::{WAKE_CHANNEL, Waker};
