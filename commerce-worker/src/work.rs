//! The running worker: apalis over the jobs table, sweeps on crons, and an orderly end.

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

/// What a worker is made of.
pub struct Worker {
    pub name: String,
    pub pool: Pool,
    /// For the connection that listens.
    pub database_url: String,
    pub runner: Runner,
    pub sweeps: Vec<Sweep>,
    /// How many jobs at once.
    pub concurrency: usize,
    pub lease: Duration,
    pub poll_interval: Duration,
    /// After this an attempt has failed.
    pub job_timeout: Duration,
    /// How long running jobs may go on once `stop` has resolved.
    pub drain_timeout: Duration,
}

impl Worker {
    /// Works until `stop` resolves, then lets running jobs end, for `drain_timeout` at the most; what was claimed and not
    /// begun is given back. Whatever fails inside (Postgres away, a panic) is waited out, and begun anew.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (wake, slots) =
            (Arc::new(Wake::default()), Slots::new(self.concurrency, self.runner.kinds.len()));
        // Both are safe to cut off at any moment.
        let mut companions = tokio::task::JoinSet::new();
        companions.spawn(wake::listen(self.database_url.clone(), Arc::clone(&wake)));
        companions.spawn(slots.clone().renew_leases(self.pool.clone(), self.lease));

        let monitor = schedule::register(self.monitor(&wake, &slots), self.sweeps, &wake)?;
        let (control, mut running) = (monitor.context(), Box::pin(monitor.run()));
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            () = stop => {}
        }
        tracing::info!(busy = slots.busy(), "stopping: nothing new is begun");
        control.shutdown()?;
        match tokio::time::timeout(self.drain_timeout, running).await {
            Ok(ended) => Ok(ended?),
            Err(_elapsed) => {
                // They are done anew elsewhere once their leases lapse; their late effects would be rolled back.
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
        // A restart waits longer each time; the callback itself only says that there is one.
        Monitor::new().should_restart(|_, _| true).register(move |restarts| {
            let start_delay = if restarts == 0 { Duration::ZERO } else { restart_delay(restarts) };
            let (pool, runner, wake) = (pool.clone(), runner.clone(), Arc::clone(&wake));
            WorkerBuilder::new(name.as_str())
                .backend(JobsBackend::new(Claiming { start_delay, ..claiming.clone() }))
                // Otherwise all jobs would share one task, and so one thread.
                .parallelize(tokio::spawn)
                .build(move |work: Work| {
                    let (pool, runner, wake) = (pool.clone(), runner.clone(), Arc::clone(&wake));
                    async move {
                        runner.attempt(&pool, &work.job, job_timeout).await;
                        // It may have left other jobs.
                        wake.wake();
                    }
                })
        })
    }
}
