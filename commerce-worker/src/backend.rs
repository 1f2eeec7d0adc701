//! apalis over `commerce.jobs`: a [`Backend`] whose tasks are rows under a lease.
//!
//! A claimer task takes due rows, only into free slots, and hands them to the apalis worker through a
//! channel. It looks for rows when it is woken, when the next known job is due, and at every `poll_interval`.
//! Handlers finish their rows themselves, in the transaction of their effect, so there is nothing to
//! acknowledge here. On close the claimer is awaited and never aborted, because a claim that is cut off in
//! the middle would strand its leases. Jobs that were claimed and not begun are given back.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::layers::Identity;
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use commerce_core::db::Pool;
use commerce_core::jobs::{self, ClaimedJob, Lease};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use crate::slots::{Slots, Work};
use crate::wake::Wake;

/// A claim that takes longer is given up, so that a dead network cannot block the claimer for ever. The time
/// is longer than the server allows for a statement. If the claim took jobs after all, their leases lapse.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the claimer looks while it cannot listen to other processes. It is also the shortest time
/// between two looks that nobody requested, because a due row that cannot be claimed is locked by somebody.
const SHORT_PAUSE: Duration = Duration::from_millis(50);

/// The settings of a claimer.
#[derive(Clone)]
pub struct Claiming {
    pub pool: Pool,
    /// The worker's name, which is written into the rows for operators.
    pub worker: String,
    pub kinds: Vec<&'static str>,
    pub slots: Slots,
    /// A job is due again if its lease was not renewed for this long.
    pub lease: Duration,
    /// The longest time between looks at the table.
    pub poll_interval: Duration,
    /// Makes the claimer look at once.
    pub wake: Arc<Wake>,
    /// How long to wait before the first look.
    pub start_delay: Duration,
}

/// The source of an apalis worker's tasks. It starts claiming when the worker first polls it.
pub struct JobsBackend {
    claiming: Claiming,
    running: Option<Running>,
    closing: Option<BoxFuture<'static, ()>>,
}

struct Running {
    claimer: JoinHandle<()>,
    work: mpsc::Receiver<Work>,
}

/// The claimer ended although nobody asked it to, so it panicked. The monitor starts a new one.
#[derive(Debug, thiserror::Error)]
#[error("the claimer of jobs ended unexpectedly")]
pub struct ClaimerEnded;

impl JobsBackend {
    pub fn new(claiming: Claiming) -> Self {
        Self { claiming, running: None, closing: None }
    }
}

impl Backend for JobsBackend {
    type Task = Task<Work>;
    type Error = ClaimerEnded;

    fn poll_ready(&mut self, _: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), ClaimerEnded>> {
        self.running.get_or_insert_with(|| {
            let (sender, work) = mpsc::channel(self.claiming.slots.count());
            let claimer = tokio::spawn(self.claiming.clone().claim_until_closed(worker.clone(), sender));
            Running { claimer, work }
        });
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<Work>, ClaimerEnded>>> {
        let Some(running) = &mut self.running else { return Poll::Ready(Some(Err(ClaimerEnded))) };
        running.work.poll_recv(cx).map(|work| Some(work.map(Task::new).ok_or(ClaimerEnded)))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), ClaimerEnded>> {
        let (pool, running) = (&self.claiming.pool, &mut self.running);
        let closing = self.closing.get_or_insert_with(|| close(pool.clone(), running.take()).boxed());
        closing.poll_unpin(cx).map(Ok)
    }
}

impl BackendConfig for JobsBackend {
    type Args = Work;
    type Id = Infallible;
    type Kind = Ephemeral;
    type Config = Claiming;
    type Layer = Identity;

    fn config(&self) -> &Claiming {
        &self.claiming
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

async fn close(pool: Pool, running: Option<Running>) {
    let Some(Running { claimer, mut work }) = running else { return };
    work.close();
    // This fails only if the claimer panicked. It holds nothing then.
    let _ = claimer.await;
    let mut unstarted = Vec::new();
    while let Ok(work) = work.try_recv() {
        unstarted.push(work.job.clone());
    }
    give_back(&pool, &unstarted).await;
}

/// Gives back jobs that were claimed and not begun. Their attempt is not counted. If that fails, their leases
/// lapse.
async fn give_back(pool: &Pool, unstarted: &[ClaimedJob]) {
    if unstarted.is_empty() {
        return;
    }
    let leases: Vec<Lease> = unstarted.iter().map(ClaimedJob::lease).collect();
    let given_back = async { anyhow::Ok(jobs::release(&mut *pool.get().await?, &leases).await?) };
    if let Err(error) = given_back.await {
        tracing::warn!(%error, jobs = unstarted.len(), "jobs could not be given back; their leases will lapse");
    }
}

impl Claiming {
    /// Claims jobs until the channel is closed or the worker takes no more.
    async fn claim_until_closed(self, worker: WorkerContext, work: mpsc::Sender<Work>) {
        pause(&work, self.start_delay).await;
        let mut failures = 0;
        while !work.is_closed() && !worker.is_shutting_down() {
            let mut slots = tokio::select! {
                slots = self.slots.take_free() => slots,
                () = work.closed() => break,
            };
            let (kinds, jobs_max) = self.slots.claimable(&self.kinds, slots.num_permits());
            let looked = async {
                let claimed = self.claim(&kinds, jobs_max).await?;
                let perhaps_more = jobs_max > 0 && claimed.len() == jobs_max;
                self.hand_over(claimed, &mut slots, &worker, &work).await;
                drop(slots);
                if perhaps_more { Ok(()) } else { self.wait_for_more(&worker, &work).await }
            };
            match looked.await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, "jobs cannot be claimed");
                    pause(&work, restart_delay(failures)).await;
                }
            }
        }
        // The claimer waits until the worker closes the channel. To end before that would look like a
        // failure.
        work.closed().await;
    }

    async fn claim(&self, kinds: &[&str], jobs_max: usize) -> anyhow::Result<Vec<ClaimedJob>> {
        let claimed = async {
            let mut conn = self.pool.get().await?;
            anyhow::Ok(jobs::claim(&mut conn, &self.worker, kinds, jobs_max, self.lease).await?)
        };
        tokio::time::timeout(CLAIM_TIMEOUT, claimed).await?
    }

    /// Resolves when there is a reason to claim: the claimer was woken, a slot or a share is free again, or a
    /// job is due. Until then it checks from time to time when the next job is due, which costs a fraction of
    /// a claim.
    async fn wait_for_more(&self, worker: &WorkerContext, work: &mpsc::Sender<Work>) -> anyhow::Result<()> {
        while !work.is_closed() && !worker.is_shutting_down() {
            let due_in = self.next_due().await?;
            let longest = if self.wake.is_listening() {
                self.poll_interval
            } else {
                self.poll_interval.min(SHORT_PAUSE)
            };
            let time = due_in.unwrap_or(longest).clamp(SHORT_PAUSE.min(longest), longest);
            tokio::select! {
                () = self.wake.woken() => return Ok(()),
                () = self.slots.share_freed() => return Ok(()),
                () = pause(work, time) => {}
            }
            if due_in.is_some_and(|due_in| due_in <= time) {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        let (kinds, _) = self.slots.claimable(&self.kinds, 1);
        let next = async { anyhow::Ok(jobs::next_due(&mut *self.pool.get().await?, &kinds).await?) };
        tokio::time::timeout(CLAIM_TIMEOUT, next).await?
    }

    /// Puts each job into a slot and passes it on. Nothing new is started once shutdown has begun.
    async fn hand_over(
        &self,
        claimed: Vec<ClaimedJob>,
        slots: &mut OwnedSemaphorePermit,
        worker: &WorkerContext,
        work: &mpsc::Sender<Work>,
    ) {
        let mut unstarted = Vec::new();
        for job in claimed {
            if worker.is_shutting_down() {
                unstarted.push(job);
                continue;
            }
            match self.slots.fill(slots, job) {
                Ok(filled) => {
                    if let Err(mpsc::error::SendError(refused)) = work.send(filled).await {
                        unstarted.push(refused.job.clone());
                    }
                }
                Err(job) => unstarted.push(job),
            }
        }
        give_back(&self.pool, &unstarted).await;
    }
}

/// Sleeps, but ends early if the channel is closed.
async fn pause(work: &mpsc::Sender<Work>, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = work.closed() => {}
    }
}

/// How long a failed claimer waits before it starts again: half a second, doubling up to eight seconds. When
/// a failed job is tried again is decided in core: `jobs/retry.rs`.
pub fn restart_delay(failures: usize) -> Duration {
    let doublings = u32::try_from(failures).unwrap_or(u32::MAX).saturating_sub(1).min(4);
    Duration::from_millis(500 << doublings)
}
