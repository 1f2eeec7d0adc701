//! Work that time brings, on apalis crons. Each sweep fires in every replica, so each is safe to run in two at once.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{Monitor, ParallelizeExt as _, WorkerBuilder};
use apalis_cron::{CronScheduler, Tick};
use commerce_core::catalog::image::{self, Media};
use commerce_core::db::Pool;
use commerce_core::payments::Providers;
use commerce_core::search::{self, Kept, Meilisearch};
use commerce_core::settings::ShopSettings;
use commerce_core::{accounts, flows, idempotency, inventory, jobs, notifications, rate_limit};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

/// One thing that is done again and again.
#[derive(Clone)]
pub struct Sweep {
    /// In logs and metrics.
    pub name: &'static str,
    /// Second, minute, hour, day, month, weekday; in UTC.
    pub cron: &'static str,
    /// Returns how many things it changed.
    pub run: Arc<dyn Fn() -> BoxFuture<'static, anyhow::Result<usize>> + Send + Sync>,
}

impl Sweep {
    pub fn new<F, Fut>(name: &'static str, cron: &'static str, run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = anyhow::Result<usize>> + Send + 'static,
    {
        Self { name, cron, run: Arc::new(move || run().boxed()) }
    }
}

/// How many rows a sweep takes at a time. It goes on while there are so many.
const BATCH: i64 = 100;

/// All that a shop needs.
pub fn sweeps(pool: &Pool, shop: &ShopSettings, providers: &Providers, media: &Media) -> Vec<Sweep> {
    let stored = (pool.clone(), media.clone());
    let (attempted, shop, providers) = (pool.clone(), shop.clone(), providers.clone());
    let on_pool = |name, cron, sweep: fn(Pool) -> BoxFuture<'static, anyhow::Result<usize>>| {
        let pool = pool.clone();
        Sweep::new(name, cron, move || sweep(pool.clone()))
    };
    vec![
        on_pool("expire_orders", "* * * * * *", |pool| expire_orders(pool).boxed()),
        // Apart from the others: a provider that does not answer holds up only the orders that wait for it.
        Sweep::new("expire_attempted_orders", "* * * * * *", move || {
            expire_attempted_orders(attempted.clone(), shop.clone(), providers.clone())
        }),
        on_pool("release_lapsed_holds", "* * * * * *", |pool| release_lapsed_holds(pool).boxed()),
        on_pool("prune_idempotency_keys", "7 * * * * *", |pool| prune_idempotency_keys(pool).boxed()),
        on_pool("prune_codes", "17 * * * * *", |pool| prune_codes(pool).boxed()),
        on_pool("prune_sessions", "27 11 * * * *", |pool| prune_sessions(pool).boxed()),
        on_pool("prune_rate_limits", "7 * * * * *", |pool| prune_rate_limits(pool).boxed()),
        on_pool("prune_emails", "37 13 * * * *", |pool| prune_emails(pool).boxed()),
        Sweep::new("sweep_files", "47 */5 * * * *", move || sweep_files(stored.0.clone(), stored.1.clone())),
        on_pool("measure_queue", "*/10 * * * * *", |pool| measure_queue(pool).boxed()),
    ]
}

/// Looks after the search index, and sends what no job has sent. It takes a while where the index is built anew.
pub fn search_sweep(pool: &Pool, server: &Meilisearch) -> Sweep {
    let (pool, server) = (pool.clone(), server.clone());
    Sweep::new("keep_search_index", "*/5 * * * * *", move || keep_search_index(pool.clone(), server.clone()))
}

async fn keep_search_index(pool: Pool, server: Meilisearch) -> anyhow::Result<usize> {
    Ok(match search::keep_index(&pool, &server).await? {
        Kept::ElsewhereInHand => 0,
        Kept::UpToDate { sent } => sent,
        Kept::Rebuilt { products } => {
            tracing::info!(products, "the search index was built");
            usize::try_from(products)?
        }
    })
}

/// A cron ticks at full seconds. A look in between leaves time for the work itself within a second of an order's time.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

async fn expire_orders(pool: Pool) -> anyhow::Result<usize> {
    let mut expired = 0;
    for pause in [Duration::ZERO, LOOK_AGAIN_AFTER] {
        tokio::time::sleep(pause).await;
        loop {
            let batch = flows::expire_unattempted_orders(&pool, BATCH).await?;
            expired += batch;
            if i64::try_from(batch)? < BATCH {
                break;
            }
        }
    }
    Ok(expired)
}

async fn expire_attempted_orders(
    pool: Pool,
    shop: ShopSettings,
    providers: Providers,
) -> anyhow::Result<usize> {
    let first = flows::expire_attempted_orders(&pool, &shop, &providers, BATCH).await?;
    tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    Ok(first + flows::expire_attempted_orders(&pool, &shop, &providers, BATCH).await?)
}

async fn release_lapsed_holds(pool: Pool) -> anyhow::Result<usize> {
    Ok(inventory::release_lapsed_holds(&mut *pool.get().await?, BATCH).await?)
}

async fn prune_idempotency_keys(pool: Pool) -> anyhow::Result<usize> {
    Ok(idempotency::prune(&mut *pool.get().await?).await?)
}

async fn prune_codes(pool: Pool) -> anyhow::Result<usize> {
    Ok(accounts::one_time_code::prune_codes(&mut *pool.get().await?).await?)
}

async fn prune_sessions(pool: Pool) -> anyhow::Result<usize> {
    Ok(accounts::prune_sessions(&mut *pool.get().await?).await?)
}

async fn prune_rate_limits(pool: Pool) -> anyhow::Result<usize> {
    Ok(rate_limit::prune(&mut *pool.get().await?).await?)
}

async fn prune_emails(pool: Pool) -> anyhow::Result<usize> {
    Ok(notifications::prune(&mut *pool.get().await?).await?)
}

async fn sweep_files(pool: Pool, media: Media) -> anyhow::Result<usize> {
    Ok(image::sweep_files(&pool, &media, BATCH).await?)
}

/// Gauges of the jobs table. A kind and state that ran empty goes to zero.
async fn measure_queue(pool: Pool) -> anyhow::Result<usize> {
    let states = jobs::queue_states(&mut *pool.get().await?).await?;
    for kind in jobs::kinds::ALL {
        for state in jobs::JobState::ALL {
            let found = states.iter().find(|found| found.kind == *kind && found.state == *state);
            let labels = [("kind", kind.to_string()), ("state", state.to_string())];
            metrics::gauge!("commerce_jobs", &labels).set(found.map_or(0.0, |found| found.jobs as f64));
            let overdue_ms = found.and_then(|found| found.overdue_ms).unwrap_or(0);
            metrics::gauge!("commerce_jobs_overdue_seconds", &labels).set(overdue_ms as f64 / 1000.0);
        }
    }
    Ok(0)
}

/// Has the monitor run the sweeps.
pub fn register(mut monitor: Monitor, sweeps: Vec<Sweep>) -> anyhow::Result<Monitor> {
    for sweep in sweeps {
        let schedule = cron::Schedule::from_str(sweep.cron)?;
        let running = Arc::new(Mutex::new(()));
        monitor = monitor.register(move |_| {
            let (sweep, running) = (sweep.clone(), Arc::clone(&running));
            WorkerBuilder::new(sweep.name)
                .backend(CronScheduler::new(schedule.clone()))
                .parallelize(tokio::spawn)
                .build(move |_: Tick| run(sweep.clone(), Arc::clone(&running)))
        });
    }
    Ok(monitor)
}

/// Runs a sweep, unless its last run still goes on.
async fn run(sweep: Sweep, running: Arc<Mutex<()>>) {
    let Ok(_running) = running.try_lock() else {
        tracing::debug!(sweep = sweep.name, "still at it: this tick is left out");
        return;
    };
    let outcome = match (sweep.run)().await {
        Ok(changed) => {
            if changed > 0 {
                tracing::info!(sweep = sweep.name, changed, "swept");
            }
            "done"
        }
        Err(error) => {
            tracing::warn!(sweep = sweep.name, %error, "sweep failed; the next tick tries again");
            "failed"
        }
    };
    metrics::counter!("commerce_sweeps_total", "sweep" => sweep.name, "outcome" => outcome).increment(1);
}
