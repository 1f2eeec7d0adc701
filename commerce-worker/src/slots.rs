//! How many jobs a worker runs at once, and the leases that it holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commerce_core::db::Pool;
use commerce_core::ids::JobId;
use commerce_core::jobs::kinds::{CheckPayment, EndPayment, RefundPayment};
use commerce_core::jobs::{self, ClaimedJob, Job as _, Lease};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The slots for running jobs. A job is claimed only into a free slot, so that it never waits here while
/// another worker is idle. Jobs that wait for the same server take no more than three quarters of the slots, so
/// that mails waiting for a slow server leave room for refunds: those of one kind, and those of all kinds that
/// ask payment providers. The slots outlive a restart of the backend: a running job keeps its slot.
#[derive(Debug, Clone)]
pub struct Slots {
    count: usize,
    /// The most slots for jobs that wait for the same server.
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

/// A claimed job in its slot. Dropping it frees the slot and lets the lease lapse.
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
        // If the job was lost and claimed again by this process, it is already under another lease.
        if held.get(&self.job.id).is_some_and(|held| held.lease == self.job.lease()) {
            held.remove(&self.job.id);
        }
        if share_was_used_up {
            self.slots.share_freed.notify_one();
        }
    }
}

impl Slots {
    /// Creates `count` slots for jobs of so many kinds.
    pub fn new(count: usize, kinds: usize) -> Self {
        let share = if kinds > 1 { (count * 3 / 4).max(1) } else { count };
        let (free, held, share_freed) = (Arc::new(Semaphore::new(count)), Arc::default(), Arc::default());
        Self { count, share, free, held, share_freed }
    }

    /// The number of slots, free or not.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes all free slots, and waits until there is at least one.
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

    /// The kinds that have not used up their share, and how many of their jobs may be claimed into so many
    /// free slots.
    pub fn claimable(&self, kinds: &[&'static str], free: usize) -> (Vec<&'static str>, usize) {
        let held = self.held();
        let left = |kind: &str| self.share.saturating_sub(self.used_by(&held, kind));
        let open: Vec<_> = kinds.iter().copied().filter(|kind| left(kind) > 0).collect();
        let jobs_max = open.iter().map(|kind| left(kind)).min().unwrap_or(0).min(free);
        (open, jobs_max)
    }

    /// Resolves when a kind that had used up its share has room again.
    pub async fn share_freed(&self) {
        self.share_freed.notified().await;
    }

    fn used_by(&self, held: &HashMap<JobId, Held>, kind: &str) -> usize {
        held.values().filter(|held| waits_for(&held.kind) == waits_for(kind)).count()
    }

    /// Puts a job into one of the taken slots. Returns the job if there are more jobs than slots.
    pub fn fill(&self, permits: &mut OwnedSemaphorePermit, job: ClaimedJob) -> Result<Work, ClaimedJob> {
        let Some(permit) = permits.split(1) else { return Err(job) };
        self.held().insert(job.id, Held { kind: job.kind.clone(), lease: job.lease() });
        Ok(Work { job, slots: self.clone(), _permit: permit })
    }

    /// The number of running jobs.
    pub fn busy(&self) -> usize {
        self.held().len()
    }

    /// Extends every held lease long before it lapses, as long as this process lives. So leases can be short,
    /// and a handler may still take its time.
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

/// What the jobs of a kind share their slots by.
fn waits_for(kind: &str) -> &str {
    match kind {
        CheckPayment::KIND | EndPayment::KIND | RefundPayment::KIND => "payment providers",
        kind => kind,
    }
}

async fn renew(pool: &Pool, held: &[Lease], lease: Duration) -> anyhow::Result<()> {
    let mut conn = pool.get().await?;
    Ok(jobs::renew(&mut conn, held, lease).await?)
}

#[cfg(test)]
mod tests {
    use commerce_core::ids::LeaseToken;
    use commerce_core::jobs::kinds;

    use super::*;

    fn job(kind: &str) -> ClaimedJob {
        ClaimedJob {
            id: JobId::new(),
            kind: kind.to_owned(),
            payload: serde_json::Value::Null,
            attempt: 1,
            attempts_max: 20,
            lease_token: LeaseToken::new(),
        }
    }

    #[tokio::test]
    async fn jobs_that_ask_payment_providers_share_three_quarters_of_the_slots() {
        let slots = Slots::new(16, kinds::ALL.len());
        let mut free = slots.take_free().await;
        let asking = [CheckPayment::KIND, EndPayment::KIND, RefundPayment::KIND];
        let mut work: Vec<Work> =
            asking.iter().cycle().take(12).map(|kind| slots.fill(&mut free, job(kind)).unwrap()).collect();
        let (open, jobs_max) = slots.claimable(kinds::ALL, free.num_permits());
        assert!(asking.iter().all(|kind| !open.contains(kind)), "{open:?}");
        assert_eq!((open.len(), jobs_max), (kinds::ALL.len() - asking.len(), 4));
        // Any of them makes room for any other.
        work.truncate(11);
        slots.share_freed().await;
        let (open, jobs_max) = slots.claimable(kinds::ALL, free.num_permits());
        assert_eq!((open.len(), jobs_max), (kinds::ALL.len(), 1));
    }
}
