//! How soon and how fast. Each prints its figures (`--no-capture`); what is asserted leaves room for a busy machine.

use std::time::{Duration, Instant};

use commerce_core::db;
use commerce_core::jobs::{self, NewJob, Waker};
use commerce_core::testing::TestDatabase;
use commerce_worker::work::Worker;

use crate::given::{self, Count, RunningWorker, all_done, counting, database, eventually, rows};

/// Enqueues one job after the other on an idle worker; how long each waited for its effect, sorted.
pub async fn pick_up_times(database: &TestDatabase, jobs: i32, waker: Option<&Waker>) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0..jobs {
        let started = Instant::now();
        given::enqueue(database, number).await;
        if let Some(waker) = waker {
            waker.wake();
        }
        while rows(database, &format!("effects WHERE number = {number}")).await == 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "the job was not done");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(started.elapsed());
        // Not in step with the worker's polling.
        tokio::time::sleep(Duration::from_millis(u64::from(rand::random_range(0..50u8)))).await;
    }
    times.sort();
    times
}

pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_picks_a_job_up_at_its_next_look() {
    let database = database().await;
    let poll_interval = Duration::from_millis(50);
    let worker =
        RunningWorker::start(Worker { poll_interval, ..given::worker(&database, counting(&database)) });
    let times = pick_up_times(&database, 60, None).await;
    println!("pick-up, polling 50 ms: p50 {:?}, p99 {:?}", percentile(&times, 50), percentile(&times, 99));
    assert!(percentile(&times, 50) < Duration::from_secs(1));
    worker.stop().await;
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_wakes_a_worker_that_would_not_look_for_a_minute() {
    let database = database().await;
    let poll_interval = Duration::from_secs(60);
    let worker =
        RunningWorker::start(Worker { poll_interval, ..given::worker(&database, counting(&database)) });
    let waker = Waker::start(database.pool().clone());
    // What was said before the worker listened is lost, so the first is said until it is heard.
    given::enqueue(&database, -1).await;
    eventually("the worker listens", async || {
        waker.wake();
        (rows(&database, "effects").await == 1).then_some(())
    })
    .await;
    let times = pick_up_times(&database, 60, Some(&waker)).await;
    println!("pick-up, notified: p50 {:?}, p99 {:?}", percentile(&times, 50), percentile(&times, 99));
    assert!(percentile(&times, 50) < Duration::from_secs(1));
    worker.stop().await;
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_job_runs_within_a_second_of_its_time() {
    let database = database().await;
    let worker = RunningWorker::start(given::worker(&database, counting(&database)));
    let mut conn = database.conn().await;
    let run_at = db::current_time(&mut conn).await.unwrap() + Duration::from_millis(1500);
    jobs::enqueue_all(&conn, vec![NewJob::new(&Count { number: 1 }).unwrap().at(run_at)]).await.unwrap();
    all_done(&database).await;
    let happened_at = format!(
        "effects WHERE happened_at BETWEEN '{run_at}' AND timestamptz '{run_at}' + interval '1 second'"
    );
    assert_eq!(rows(&database, &happened_at).await, 1);
    drop(conn);
    worker.stop().await;
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_jobs_flow() {
    const JOBS: i32 = 2000;
    let database = database().await;
    let rows = (0..JOBS).map(|number| NewJob::new(&Count { number }).unwrap()).collect();
    jobs::enqueue_all(&*database.conn().await, rows).await.unwrap();
    let pool = db::pool(database.url(), &db::PoolSettings::default()).unwrap();
    let handlers = {
        let pool = pool.clone();
        given::Handlers::new().with(move |lease, job: Count| {
            let pool = pool.clone();
            async move { given::count(&pool, lease, job.number).await }
        })
    };
    let started = Instant::now();
    let worker = Worker { pool, concurrency: 16, ..given::worker(&database, handlers) };
    let worker = RunningWorker::start(worker);
    all_done(&database).await;
    let per_second = f64::from(JOBS) / started.elapsed().as_secs_f64();
    println!("throughput, 16 at once: {per_second:.0} jobs/s");
    assert!(per_second > 50.0);
    worker.stop().await;
    assert_eq!(given::rows(&database, "effects").await, 2000);
    database.finish().await;
}
