//! A worker with nothing to do: what it asks of Postgres, and how soon it hears.

use std::time::Duration;

use commerce_core::jobs::Waker;
use commerce_core::testing::TestDatabase;
use commerce_worker::schedule::sweeps;
use commerce_worker::work::Worker;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl as _;

use crate::given::{self, RunningWorker, counting, database, eventually, rows, services};
use crate::pace::{percentile, pick_up_times};

#[derive(diesel::QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    transactions: i64,
}

/// How many transactions there were in this database, of which each statement outside of one is one.
async fn transactions(database: &TestDatabase) -> i64 {
    let query = "SELECT xact_commit + xact_rollback AS transactions FROM pg_stat_database
                 WHERE datname = current_database()";
    let counted: Counted = diesel::sql_query(query).get_result(&mut database.conn().await).await.unwrap();
    counted.transactions
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_asks_five_times_a_second_at_most_and_is_woken_at_once() {
    let database = database().await;
    // As the program is shipped: all sweeps, and its own interval.
    let poll_interval = Duration::from_millis(500);
    let worker = Worker {
        poll_interval,
        sweeps: sweeps(&services(&database), false),
        ..given::worker(&database, counting(&database))
    };
    let worker = RunningWorker::start(worker);
    // The start is not counted. Nothing else happens in this database, whose server counts with a delay.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let window = Duration::from_secs(10);
    let mut windows = Vec::new();
    for _ in 0..2 {
        let before = transactions(&database).await;
        tokio::time::sleep(window).await;
        windows.push((transactions(&database).await - before) * 60 / window.as_secs() as i64);
    }
    println!("idle: {windows:?} statements a minute");
    // Once a minute the prunes run too, all in one of these windows.
    let per_minute = windows.into_iter().min().unwrap();
    assert!((100..=300).contains(&per_minute), "{per_minute} statements a minute");

    let waker = Waker::start(database.pool().clone());
    given::enqueue(&database, -1).await;
    eventually("the worker listens", async || {
        waker.wake();
        (rows(&database, "effects").await == 1).then_some(())
    })
    .await;
    let times = pick_up_times(&database, 40, Some(&waker)).await;
    println!("pick-up, notified: p50 {:?}, p99 {:?}", percentile(&times, 50), percentile(&times, 99));
    assert!(percentile(&times, 50) < poll_interval / 5, "it did not wait for its next look");
    worker.stop().await;
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_sleeps_no_longer_than_until_the_next_job_is_due() {
    let database = database().await;
    // It knows of the job from its look after the first one, and would not look for a minute.
    let poll_interval = Duration::from_secs(60);
    let worker = Worker { poll_interval, ..given::worker(&database, counting(&database)) };
    given::enqueue_after(&database, 2, Duration::from_secs(2)).await;
    let due_at = given::only_job(&database).await.run_at;
    let worker = RunningWorker::start(worker);
    given::all_done(&database).await;
    let in_time = format!(
        "effects WHERE happened_at BETWEEN '{due_at}' AND timestamptz '{due_at}' + interval '1 second'"
    );
    assert_eq!(rows(&database, &in_time).await, 1);
    worker.stop().await;
    database.finish().await;
}
