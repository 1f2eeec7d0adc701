//! Scheduled work, on apalis crons. Each sweep fires in every replica, so each is safe to run in two at once.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{Monitor, ParallelizeExt as _, WorkerBuilder};
use apalis_cron::{CronScheduler, Tick};
use commerce_core::db::Pool;
use commerce_core::jobs::{self, Services};
use commerce_core::payments;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::Mutex;

use crate::wake::Wake;

/// A task that is repeated on a schedule.
#[derive(Clone)]
pub struct Sweep {
    /// The name in logs and metrics.
    pub name: &'static str,
    /// Second, minute, hour, day, month and weekday, in UTC.
    pub cron: &'static str,
    /// Returns the number of things that it changed.
    pub run: Arc<dyn Fn() -> BoxFuture<'static, anyhow::Result<usize>> + Send + Sync>,
}

impl Sweep {
    /// A sweep that is skipped while its last run still goes on.
    pub fn new<F, Fut>(name: &'static str, cron: &'static str, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = anyhow::Result<usize>> + Send + 'static,
    {
        let running = Arc::new(Mutex::new(()));
        let run_alone = move || match Arc::clone(&running).try_lock_owned() {
            Ok(running) => {
                let run = run();
                async move {
                    let _running = running;
                    run.await
                }
                .boxed()
            }
            Err(_) => {
                tracing::debug!(sweep = name, "the sweep is still running: this tick is skipped");
                async { Ok(0) }.boxed()
            }
        };
        Self { name, cron, run: Arc::new(run_alone) }
    }

    fn of_shop(sweep: jobs::Sweep, services: &Services) -> Self {
        let services = services.clone();
        Self::new(sweep.name(), cron(sweep), move || {
            let services = services.clone();
            async move {
                let changed = sweep.run(&services).await?;
                if changed > 0 {
                    tracing::info!(sweep = sweep.name(), changed, "swept");
                }
                Ok(changed)
            }
        })
    }
}

const EVERY_SECOND: &str = "* * * * * *";

/// The schedule of a sweep. Sweeps that run every minute are spread over the minute.
fn cron(sweep: jobs::Sweep) -> &'static str {
    match sweep {
        jobs::Sweep::KeepSearchIndex => "*/5 * * * * *",
        jobs::Sweep::PruneIdempotencyKeys | jobs::Sweep::PruneRateLimits => "7 * * * * *",
        jobs::Sweep::PruneCodes => "17 * * * * *",
        jobs::Sweep::PruneSessions => "27 11 * * * *",
        jobs::Sweep::PruneEmails => "37 13 * * * *",
        jobs::Sweep::PruneDeadJobs => "37 23 * * * *",
        jobs::Sweep::PruneGuestCarts => "27 33 * * * *",
        jobs::Sweep::PruneUnverifiedAccounts => "27 43 * * * *",
        jobs::Sweep::PruneKnownNetworks => "37 43 * * * *",
        jobs::Sweep::TellLowStock => "17 */15 * * * *",
        jobs::Sweep::SweepFiles => "47 */5 * * * *",
        // A sweep that has no place yet runs as often as it should at least.
        _ => match sweep.every().as_secs() {
            3600.. => "57 53 * * * *",
            60.. => "57 * * * * *",
            _ => EVERY_SECOND,
        },
    }
}

/// All sweeps that a shop needs.
pub fn sweeps(services: &Services, has_search_index: bool) -> Vec<Sweep> {
    let (of_moments, of_calendar): (Vec<_>, Vec<_>) = jobs::Sweep::ALL
        .into_iter()
        .filter(|sweep| has_search_index || *sweep != jobs::Sweep::KeepSearchIndex)
        .partition(|sweep| sweep.waits_for_moments());
    let mut sweeps = vec![at_their_moments(services, &of_moments)];
    sweeps.extend(of_calendar.into_iter().map(|sweep| Sweep::of_shop(sweep, services)));
    sweeps
}

/// A cron fires at full seconds.
const TICK: Duration = Duration::from_secs(1);

/// Once a second, one query tells whether something expires before the next look, and when. So an order
/// expires in time, and a worker with nothing to do sends one query a second.
fn at_their_moments(services: &Services, sweeps: &[jobs::Sweep]) -> Sweep {
    let pool = services.pool.clone();
    let sweeps: Arc<[_]> = sweeps.iter().map(|sweep| (*sweep, Sweep::of_shop(*sweep, services))).collect();
    let look = move || {
        let (pool, sweeps) = (pool.clone(), Arc::clone(&sweeps));
        async move {
            let left = jobs::time_left(&mut *pool.get().await?).await?;
            let due = sweeps.iter().filter_map(|(kind, sweep)| {
                let wait = left.until(*kind).filter(|left| *left < TICK)?;
                Some(async move {
                    tokio::time::sleep(wait).await;
                    sweep.run_once().await
                })
            });
            Ok(join_all(due).await.into_iter().sum())
        }
        .boxed()
    };
    // Not `Sweep::new`, because while one sweep waits for a payment provider, the next tick must still serve
    // the others.
    Sweep { name: "look_for_moments", cron: EVERY_SECOND, run: Arc::new(look) }
}

/// Gauges of what waits: jobs and refunds. A kind and state without any is set to zero.
pub fn measure_what_waits(pool: &Pool) -> Sweep {
    let pool = pool.clone();
    Sweep::new("measure_what_waits", "*/10 * * * * *", move || {
        let pool = pool.clone();
        async move {
            let mut conn = pool.get().await?;
            let (states, refunds) =
                (jobs::queue_states(&mut conn).await?, payments::refund_states(&mut conn).await?);
            drop(conn);
            for (status, refunds) in refunds {
                metrics::gauge!("commerce_refunds", "status" => status.as_str()).set(refunds as f64);
            }
            for kind in jobs::kinds::ALL {
                for state in jobs::JobState::ALL {
                    let found = states.iter().find(|found| found.kind == *kind && found.state == *state);
                    let labels = [("kind", kind.to_string()), ("state", state.to_string())];
                    metrics::gauge!("commerce_jobs", &labels)
                        .set(found.map_or(0.0, |found| found.jobs as f64));
                    let overdue_ms = found.and_then(|found| found.overdue_ms).unwrap_or(0);
                    metrics::gauge!("commerce_jobs_overdue_seconds", &labels).set(overdue_ms as f64 / 1000.0);
                }
            }
            Ok(0)
        }
    })
}

/// Registers the sweeps with the monitor. A sweep that changed something may have added jobs, so it wakes the
/// claimer.
pub fn register(mut monitor: Monitor, sweeps: Vec<Sweep>, wake: &Arc<Wake>) -> anyhow::Result<Monitor> {
    for sweep in sweeps {
        let schedule = cron::Schedule::from_str(sweep.cron)?;
        let wake = Arc::clone(wake);
        monitor = monitor.register(move |_| {
            let (sweep, wake) = (sweep.clone(), Arc::clone(&wake));
            WorkerBuilder::new(sweep.name)
                .backend(CronScheduler::new(schedule.clone()))
                .parallelize(tokio::spawn)
                .build(move |_: Tick| {
                    let (sweep, wake) = (sweep.clone(), Arc::clone(&wake));
                    async move {
                        if sweep.run_once().await > 0 {
                            wake.wake();
                        }
                    }
                })
        });
    }
    Ok(monitor)
}

impl Sweep {
    /// Runs the sweep, logs the result, and returns the number of things that it changed.
    async fn run_once(&self) -> usize {
        let (outcome, changed) = match (self.run)().await {
            Ok(changed) => ("done", changed),
            Err(error) => {
                tracing::warn!(sweep = self.name, %error, "sweep failed; the next tick tries again");
                ("failed", 0)
            }
        };
        metrics::counter!("commerce_sweeps_total", "sweep" => self.name, "outcome" => outcome).increment(1);
        changed
    }
}
