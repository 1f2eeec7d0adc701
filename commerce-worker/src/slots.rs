//! How much a worker does at once, and the leases it holds meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commerce_core::db::Pool;
use commerce_core::ids::JobId;
use commerce_core::jobs::{self, ClaimedJob, Lease};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places in which jobs are worked on. A job is claimed only into a free slot, so that it never waits here while
/// another worker is idle. No kind takes more than three quarters of the slots: mails that wait for a slow server leave room
/// for refunds. Outlives a restart of the backend: what still runs keeps its slot.
#[derive(Debug, Clone)]
pub struct Slots {
    count: usize,
    /// How many one kind may have.
    share: usize,
    free: Arc<Semaphore>,
    held: Arc<Mutex<HashMap<JobId, Held>>>,
    share_freed: Arc<Notify>,
}

#[derive(Debug)]
struct Held {
    kind: String,
    lease: Lease,
}

/// A claimed job in its slot. Dropping it frees the slot and lets the lease run out.
#[derive(Debug)]
pub struct Work {
    pub job: ClaimedJob,
    slots: Slots,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut held = self.slots.held();
        let share_was_used_up = self.slots.used_by(&held, &self.job.kind) >= self.slots.share;
        // A job that was lost and claimed anew by this same process is under another lease already.
        if held.get(&self.job.id).is_some_and(|held| held.lease == self.job.lease()) {
            held.remove(&self.job.id);
        }
        if share_was_used_up {
            self.slots.share_freed.notify_one();
        }
    }
}

impl Slots {
    /// So many slots for jobs of so many kinds.
    pub fn new(count: usize, kinds: usize) -> Self {
        let share = if kinds > 1 { (count * 3 / 4).max(1) } else { count };
        let (free, held, share_freed) = (Arc::new(Semaphore::new(count)), Arc::default(), Arc::default());
        Self { count, share, free, held, share_freed }
    }

    /// How many there are, free or not.
    pub fn count(&self) -> usize {
        self.count
    }

    /// All slots that are free, waiting until there is at least one.
    pub async fn take_free(&self) -> OwnedSemaphorePermit {
        // The semaphore is never closed.
        let one = Arc::clone(&self.free).acquire_owned().await;
        let mut permits = one.unwrap_or_else(|_| unreachable!("nobody closes the slots"));
        let others = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        if let Ok(others) = Arc::clone(&self.free).try_acquire_many_owned(others) {
            permits.merge(others);
        }
        permits
    }

    /// Those of `kinds` that have not used up their share, and how many jobs of them may be claimed into so many free slots.
    pub fn claimable(&self, kinds: &[&'static str], free: usize) -> (Vec<&'static str>, usize) {
        let held = self.held();
        let left = |kind: &str| self.share.saturating_sub(self.used_by(&held, kind));
        let open: Vec<_> = kinds.iter().copied().filter(|kind| left(kind) > 0).collect();
        let jobs_max = open.iter().map(|kind| left(kind)).min().unwrap_or(0).min(free);
        (open, jobs_max)
    }

    /// Resolves when a kind whose share was used up has room again.
    pub async fn share_freed(&self) {
        self.share_freed.notified().await;
    }

    fn used_by(&self, held: &HashMap<JobId, Held>, kind: &str) -> usize {
        held.values().filter(|held| held.kind == kind).count()
    }

    /// Puts a job into one of the taken slots; gives it back as it is if there are more jobs than slots.
    pub fn fill(&self, permits: &mut OwnedSemaphorePermit, job: ClaimedJob) -> Result<Work, ClaimedJob> {
        let Some(permit) = permits.split(1) else { return Err(job) };
        self.held().insert(job.id, Held { kind: job.kind.clone(), lease: job.lease() });
        Ok(Work { job, slots: self.clone(), _permit: permit })
    }

    /// How many jobs are in hand.
    pub fn busy(&self) -> usize {
        self.held().len()
    }

    /// Extends every held lease long before it runs out, for as long as this process lives: so leases can be short and a
    /// handler may still take its time.
    pub async fn renew_leases(self, pool: Pool, lease: Duration) {
        loop {
            tokio::time::sleep(lease / 3).await;
            let held: Vec<Lease> = self.held().values().map(|held| held.lease).collect();
            if held.is_empty() {
                continue;
            }
            if let Err(error) = renew(&pool, &held, lease).await {
                tracing::warn!(%error, leases = held.len(), "leases could not be renewed");
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<JobId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn renew(pool: &Pool, held: &[Lease], lease: Duration) -> anyhow::Result<()> {
    let mut conn = pool.get().await?;
    Ok(jobs::renew(&mut conn, held, lease).await?)
}
