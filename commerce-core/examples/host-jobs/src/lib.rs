//! Runs a shop's jobs and sweeps in a host's own program, instead of commerce-worker.
//!
//! It may run in several processes, and also beside commerce-worker. Each job is claimed by one of them.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use commerce_core::jobs::{self, ClaimedJob, Failure, Services, Sweep, kinds};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// How many jobs run at once. The pool should have a few more connections.
const JOBS_AT_ONCE: usize = 8;

/// A job that takes longer is given up and tried again later.
const JOB_TIMEOUT: Duration = Duration::from_secs(60);

/// After this time the jobs of a killed process are due again. It is longer than a job may take, so leases
/// need no renewal.
const LEASE: Duration = Duration::from_secs(90);

/// How long it sleeps if there is nothing to do.
const PAUSE: Duration = Duration::from_millis(500);

/// Works until `stop` resolves, and returns when everything that was begun has ended.
pub async fn work_until(services: Services, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(do_jobs(services.clone(), stopped.clone()));
    for sweep in Sweep::ALL {
        tasks.spawn(repeat(sweep, services.clone(), stopped.clone()));
    }
    stop.await;
    stopping.send_replace(true);
    while tasks.join_next().await.is_some() {}
}

/// Claims no more jobs than it can begin, so that no job waits here while another process is idle.
async fn do_jobs(services: Services, mut stopped: watch::Receiver<bool>) {
    let mut at_work = JoinSet::new();
    while !*stopped.borrow() {
        let free = JOBS_AT_ONCE - at_work.len();
        let claimed = claim(&services, free).await.unwrap_or_else(|error| {
            eprintln!("no jobs can be claimed: {error}");
            Vec::new()
        });
        let pause = if claimed.is_empty() || claimed.len() < free { PAUSE } else { Duration::ZERO };
        for job in claimed {
            at_work.spawn(attempt(job, services.clone()));
        }
        let is_full = at_work.len() == JOBS_AT_ONCE;
        tokio::select! {
            Some(_) = at_work.join_next(), if is_full => {}
            () = sleep(pause), if !is_full => {}
            _ = stopped.changed() => {}
        }
        while at_work.try_join_next().is_some() {}
    }
    while at_work.join_next().await.is_some() {}
}

async fn claim(services: &Services, jobs_max: usize) -> Result<Vec<ClaimedJob>, Box<dyn Error>> {
    let mut conn = services.pool.get().await?;
    Ok(jobs::claim(&mut conn, "florist", kinds::ALL, jobs_max, LEASE).await?)
}

/// One attempt at a job. A failure is recorded with the time of the next attempt.
async fn attempt(job: ClaimedJob, services: Services) {
    let done = {
        let (job, services) = (job.clone(), services.clone());
        // A task of its own, so that a panic counts as a failure.
        tokio::spawn(async move { timeout(JOB_TIMEOUT, jobs::run(&job, &services)).await })
    };
    let failure = match done.await {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(failure))) => failure,
        Ok(Err(_elapsed)) => Failure::Retry("it took too long".to_owned()),
        Err(panic) => Failure::Retry(panic.to_string()),
    };
    if let Err(error) = write_failure(&services, &job, &failure).await {
        eprintln!(
            "job {} failed, which cannot be written ({error}); it is due when its lease lapses",
            job.id
        );
    }
}

async fn write_failure(
    services: &Services,
    job: &ClaimedJob,
    failure: &Failure,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let next = jobs::fail(&mut *services.pool.get().await?, job, failure).await?;
    eprintln!("job {} of kind {} failed: {failure:?}; next attempt: {next:?}", job.id, job.kind);
    Ok(())
}

/// Runs a sweep as often as it should run.
async fn repeat(sweep: Sweep, services: Services, mut stopped: watch::Receiver<bool>) {
    let mut ticks = interval(sweep.every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*stopped.borrow() {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopped.changed() => continue,
        }
        if let Err(error) = sweep.run(&services).await {
            eprintln!("the sweep {} failed, and its next run goes on: {error}", sweep.name());
        }
    }
}
