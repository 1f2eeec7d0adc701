//! What is done with each kind of job: decode, call one function of commerce-core.
//!
//! A handler completes its row itself (`jobs::complete`), in the transaction of its effect. What goes wrong is written
//! into the row here: an error, a panic, a handler that takes too long.

pub mod delete_files;
pub mod index_products;
pub mod refund_payment;
pub mod resize_image;
pub mod send_email;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use commerce_core::db::Pool;
use commerce_core::jobs::{self, ClaimedJob, Failure, Job, Lease};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::Instrument as _;

type Handler = Arc<dyn Fn(ClaimedJob) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// The kinds of job that a worker takes, each with its handler.
#[derive(Clone, Default)]
pub struct Handlers {
    by_kind: BTreeMap<&'static str, Handler>,
}

impl Handlers {
    pub fn new() -> Self {
        Self::default()
    }

    /// Does jobs of kind `J` with `handler`. A payload that is no `J` kills its job: it would never become one.
    pub fn with<J, F, Fut>(mut self, handler: F) -> Self
    where
        J: Job + 'static,
        F: Fn(Lease, J) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let decode_and_run = move |job: ClaimedJob| {
            let handler = Arc::clone(&handler);
            async move {
                let lease = job.lease();
                let payload = serde_json::from_value(job.payload)
                    .map_err(|error| Failure::Abort(format!("the payload cannot be read: {error}")))?;
                handler(lease, payload).await
            }
            .boxed()
        };
        self.by_kind.insert(J::KIND, Arc::new(decode_and_run));
        self
    }

    pub fn kinds(&self) -> Vec<&'static str> {
        self.by_kind.keys().copied().collect()
    }

    /// Makes one attempt at a job, and writes its failure if it fails.
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
        let Some(handler) = self.by_kind.get(job.kind.as_str()) else {
            return Err(Failure::Retry(format!("this worker does not know jobs of kind {:?}", job.kind)));
        };
        // The handler is called within the future, so that a panic before its first await is caught as well.
        let attempt = async { handler(job.clone()).await };
        match AssertUnwindSafe(tokio::time::timeout(time_limit, attempt)).catch_unwind().await {
            Ok(Ok(result)) => result,
            Ok(Err(_elapsed)) => Err(Failure::Retry(format!("not done within {time_limit:?}"))),
            Err(panic) => Err(Failure::Retry(format!("panicked: {}", panic_message(panic.as_ref())))),
        }
    }
}

async fn write_failure(pool: &Pool, job: &ClaimedJob, failure: &Failure) -> &'static str {
    let (outcome, error) = match failure {
        Failure::Retry(error) if job.attempt < job.attempts_max => ("retried", error),
        Failure::Retry(error) | Failure::Abort(error) => ("dead", error),
    };
    if outcome == "dead" {
        tracing::error!(error, "job is dead: see `commerce-worker jobs show {}`", job.id);
    } else {
        tracing::warn!(error, "attempt failed; another will follow");
    }
    let written = async { anyhow::Ok(jobs::fail(&mut *pool.get().await?, job, failure).await?) };
    if let Err(error) = written.await {
        tracing::warn!(%error, "the failure could not be written; the job is due again when its lease lapses");
    }
    outcome
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
