//! One attempt at a job: runs it, and records a failure, which may be an error, a panic or a timeout.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use commerce_core::db::Pool;
use commerce_core::jobs::{self, ClaimedJob, Failure, NextAttempt, Services, kinds};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::Instrument as _;

/// Runs a worker's jobs, and says which kinds it takes.
#[derive(Clone)]
pub struct Runner {
    pub kinds: Vec<&'static str>,
    /// Does a job and completes it.
    pub run: Arc<dyn Fn(ClaimedJob) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>,
}

impl Runner {
    /// A runner for every kind of job.
    pub fn of_shop(services: Services) -> Self {
        let run = move |job: ClaimedJob| {
            let services = services.clone();
            async move { jobs::run(&job, &services).await }.boxed()
        };
        Self { kinds: kinds::ALL.to_vec(), run: Arc::new(run) }
    }

    /// Makes one attempt at a job, and records the failure if it fails.
    pub async fn attempt(&self, pool: &Pool, job: &ClaimedJob, time_limit: Duration) {
        let span = tracing::info_span!("job", id = %job.id, kind = job.kind, attempt = job.attempt);
        async {
            let started = Instant::now();
            let outcome = match self.run(job, time_limit).await {
                Ok(()) => "done",
                Err(failure) => write_failure(pool, job, &failure).await,
            };
            metrics::counter!("commerce_jobs_total", "kind" => job.kind.clone(), "outcome" => outcome)
                .increment(1);
            metrics::histogram!("commerce_job_seconds", "kind" => job.kind.clone()).record(started.elapsed());
            tracing::debug!(outcome, elapsed = ?started.elapsed(), "attempt ended");
        }
        .instrument(span)
        .await;
    }

    async fn run(&self, job: &ClaimedJob, time_limit: Duration) -> Result<(), Failure> {
        // The closure is called inside the future, so that a panic before its first await is caught too.
        let attempt = async { (self.run)(job.clone()).await };
        match AssertUnwindSafe(tokio::time::timeout(time_limit, attempt)).catch_unwind().await {
            Ok(Ok(result)) => result,
            Ok(Err(_elapsed)) => Err(Failure::Retry(format!("not done within {time_limit:?}"))),
            Err(panic) => Err(Failure::Retry(format!("panicked: {}", panic_message(panic.as_ref())))),
        }
    }
}

async fn write_failure(pool: &Pool, job: &ClaimedJob, failure: &Failure) -> &'static str {
    let (Failure::Retry(error) | Failure::Abort(error)) = failure;
    let written = async { anyhow::Ok(jobs::fail(&mut *pool.get().await?, job, failure).await?) };
    match written.await {
        Ok(NextAttempt::Never) => {
            tracing::error!(error, "job is dead: see `commerce-worker jobs show {}`", job.id);
            "dead"
        }
        Ok(NextAttempt::After(delay)) => {
            tracing::warn!(error, ?delay, "attempt failed; another will follow");
            "retried"
        }
        Err(cause) => {
            tracing::warn!(error, %cause, "attempt failed and cannot be written; its lease will lapse");
            "retried"
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
