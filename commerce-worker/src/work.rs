//! The running worker: apalis over the jobs table, sweeps on crons, and a graceful shutdown.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{Monitor, ParallelizeExt as _, WorkerBuilder};
use commerce_core::db::Pool;

use crate::attempt::Runner;
use crate::backend::{Claiming, JobsBackend, restart_delay};
use crate::schedule::{self, Sweep};
use crate::slots::{Slots, Work};
use crate::wake::{self, Wake};

/// The parts of a worker.
pub struct Worker {
    pub name: String,
    pub pool: Pool,
    /// The URL for the connection that listens.
    pub database_url: String,
    pub runner: Runner,
    pub sweeps: Vec<Sweep>,
    /// How many jobs run at once.
    pub concurrency: usize,
    pub lease: Duration,
    pub poll_interval: Duration,
    /// An attempt that takes longer has failed.
    pub job_timeout: Duration,
    /// How long running jobs may continue after `stop` has resolved.
    pub drain_timeout: Duration,
}

impl Worker {
    /// Works until `stop` resolves. Then running jobs may finish within `drain_timeout`, and jobs that were
    /// claimed and not begun are given back. If something fails inside, such as the connection to Postgres or
    /// by a panic, the worker waits and starts it again.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (wake, slots) =
            (Arc::new(Wake::default()), Slots::new(self.concurrency, self.runner.kinds.len()));
        // Both can be cut off at any moment.
        let mut companions = tokio::task::JoinSet::new();
        companions.spawn(wake::listen(self.database_url.clone(), Arc::clone(&wake)));
        companions.spawn(slots.clone().renew_leases(self.pool.clone(), self.lease));

        let monitor = schedule::register(self.monitor(&wake, &slots), self.sweeps, &wake)?;
        let (control, mut running) = (monitor.context(), Box::pin(monitor.run()));
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            () = stop => {}
        }
        tracing::info!(busy = slots.busy(), "stopping: no new jobs are started");
        control.shutdown()?;
        match tokio::time::timeout(self.drain_timeout, running).await {
            Ok(ended) => Ok(ended?),
            Err(_elapsed) => {
                // Other workers run them again when their leases lapse. If they still finish here, their
                // effects are rolled back.
                tracing::warn!(
                    busy = slots.busy(),
                    "not all jobs ended in time; they are left to other workers"
                );
                Ok(())
            }
        }
    }

    fn monitor(&self, wake: &Arc<Wake>, slots: &Slots) -> Monitor {
        let claiming = Claiming {
            pool: self.pool.clone(),
            worker: self.name.clone(),
            kinds: self.runner.kinds.clone(),
            slots: slots.clone(),
            lease: self.lease,
            poll_interval: self.poll_interval,
            wake: Arc::clone(wake),
            start_delay: Duration::ZERO,
        };
        let (name, pool, runner, job_timeout) =
            (self.name.clone(), self.pool.clone(), self.runner.clone(), self.job_timeout);
        let wake = Arc::clone(wake);
        // Each restart waits longer. The callback says only that there is a restart.
        Monitor::new().should_restart(|_, _| true).register(move |restarts| {
            let start_delay = if restarts == 0 { Duration::ZERO } else { restart_delay(restarts) };
            let (pool, runner, wake) = (pool.clone(), runner.clone(), Arc::clone(&wake));
            WorkerBuilder::new(name.as_str())
                .backend(JobsBackend::new(Claiming { start_delay, ..claiming.clone() }))
                // Otherwise all jobs would share one task and so one thread.
                .parallelize(tokio::spawn)
                .build(move |work: Work| {
                    let (pool, runner, wake) = (pool.clone(), runner.clone(), Arc::clone(&wake));
                    async move {
                        runner.attempt(&pool, &work.job, job_timeout).await;
                        // The job may have added other jobs.
                        wake.wake();
                    }
                })
        })
    }
}
