//! What becomes of a job: done once, tried again, dead.

use std::time::Duration;

use commerce_core::jobs::{self, Failure, Job, JobState};
use diesel_async::SimpleAsyncConnection as _;

use crate::given::{
    self, Count, Gate, Handlers, RunningWorker, all_done, count, counting, database, enqueue, eventually,
    only_job, rows,
};

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_do_every_job_once() {
    let database = database().await;
    for number in 0..300 {
        enqueue(&database, number).await;
    }
    let start = |name: &str| {
        let worker = given::worker(&database, counting(&database));
        RunningWorker::start(commerce_worker::work::Worker { name: name.to_owned(), ..worker })
    };
    let workers = [start("one"), start("two")];
    all_done(&database).await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(rows(&database, "effects").await, 300);
    assert_eq!(rows(&database, "(SELECT DISTINCT number FROM effects) AS numbers").await, 300);
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failed_attempt_and_siblings_flow() {
    let database = database().await;
    let pool = database.pool().clone();
    let handlers = Handlers::new().with(move |lease, job: Count| {
        assert!(job.number != 13, "thirteen before the first await");
        let pool = pool.clone();
        async move {
            assert!(job.number != 14, "fourteen within");
            count(&pool, lease, job.number).await
        }
    });
    let worker = RunningWorker::start(given::worker(&database, handlers));
    for number in 10..20 {
        enqueue(&database, number).await;
    }
    // Time passes until both have used up their three attempts.
    for hours in 1.. {
        eventually("an attempt at each", async || {
            let waiting = format!("commerce.jobs WHERE attempt >= {} AND state <> 'leased'", hours.min(3));
            (rows(&database, &waiting).await == 2).then_some(())
        })
        .await;
        if hours == 3 {
            break;
        }
        database.shift_clock(Duration::from_secs(3600 * hours)).await;
    }
    worker.stop().await;
    assert_eq!(rows(&database, "effects").await, 8);
    assert_eq!(
        rows(
            &database,
            "commerce.jobs WHERE state = 'dead' AND last_error = 'panicked: thirteen before the first await'"
        )
        .await,
        1
    );
    assert_eq!(
        rows(&database, "commerce.jobs WHERE state = 'dead' AND last_error = 'panicked: fourteen within'")
            .await,
        1
    );
    database.discard().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_cannot_be_read_is_dead_at_once() {
    let database = database().await;
    let poison = "INSERT INTO commerce.jobs (id, kind, payload, attempts_max)
                  VALUES (gen_random_uuid(), 'count', '{\"number\": \"many\"}', 12)";
    database.conn().await.batch_execute(poison).await.unwrap();
    let worker = RunningWorker::start(given::worker(&database, counting(&database)));
    let dead = eventually("the job is dead", async || {
        Some(only_job(&database).await).filter(|job| job.state == JobState::Dead)
    })
    .await;
    assert_eq!(dead.attempt, 1);
    assert!(dead.last_error.unwrap().starts_with("the payload cannot be read: invalid type: string"));
    worker.stop().await;
    database.discard().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_takes_too_long_is_given_up() {
    let database = database().await;
    enqueue(&database, 1).await;
    let handlers = Handlers::new().with(|_, _: Count| std::future::pending::<Result<(), Failure>>());
    let job_timeout = Duration::from_millis(50);
    let worker = given::worker(&database, handlers);
    let worker = RunningWorker::start(commerce_worker::work::Worker { job_timeout, ..worker });
    let failed = eventually("the attempt has failed", async || only_job(&database).await.last_error).await;
    assert_eq!(failed, "not done within 50ms");
    worker.stop().await;
    database.discard().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_kind_is_left_alone() {
    let database = database().await;
    let strange = "INSERT INTO commerce.jobs (id, kind, payload, attempts_max)
                   VALUES (gen_random_uuid(), 'of_a_newer_version', '{}', 12)";
    database.conn().await.batch_execute(strange).await.unwrap();
    let worker = RunningWorker::start(given::worker(&database, counting(&database)));
    enqueue(&database, 1).await;
    eventually("the known job is done", async || (rows(&database, "effects").await == 1).then_some(())).await;
    worker.stop().await;
    let job = only_job(&database).await;
    assert_eq!((job.state, job.attempt), (JobState::Ready, 0));
    database.discard().await;
}

/// What must not wait behind a crowd of another kind.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Urgent {
    number: i32,
}

impl Job for Urgent {
    const KIND: &'static str = "urgent";
    const ATTEMPTS_MAX: i32 = 3;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_hangs_leaves_room_for_the_others() {
    let database = database().await;
    let (gate, pool) = (Gate::closed(), database.pool().clone());
    let (held, for_counts, for_urgent) = (gate.clone(), pool.clone(), pool.clone());
    let handlers = Handlers::new()
        .with(move |lease, job: Count| {
            let (held, pool) = (held.clone(), for_counts.clone());
            async move {
                held.pass().await;
                count(&pool, lease, job.number).await
            }
        })
        .with(move |lease, job: Urgent| {
            let pool = for_urgent.clone();
            async move { count(&pool, lease, job.number).await }
        });
    for number in 0..10 {
        enqueue(&database, number).await;
    }
    let worker = RunningWorker::start(given::worker(&database, handlers));
    eventually("three of four slots are taken", async || {
        (rows(&database, "commerce.jobs WHERE state = 'leased'").await == 3).then_some(())
    })
    .await;
    for number in 100..105 {
        jobs::enqueue(&*database.conn().await, &Urgent { number }).await.unwrap();
    }
    eventually("the urgent are done", async || (rows(&database, "effects").await == 5).then_some(())).await;
    assert_eq!(rows(&database, "commerce.jobs WHERE state = 'leased'").await, 3);
    gate.open();
    all_done(&database).await;
    worker.stop().await;
    assert_eq!(rows(&database, "effects").await, 15);
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_may_take_longer_than_its_lease() {
    let database = database().await;
    let id = enqueue(&database, 1).await;
    let (gate, pool) = (Gate::closed(), database.pool().clone());
    let held = gate.clone();
    let handlers = Handlers::new().with(move |lease, job: Count| {
        let (held, pool) = (held.clone(), pool.clone());
        async move {
            held.pass().await;
            count(&pool, lease, job.number).await
        }
    });
    let lease = Duration::from_secs(1);
    let worker = given::worker(&database, handlers);
    let worker = RunningWorker::start(commerce_worker::work::Worker { lease, ..worker });
    let leased_until = async || {
        let job = commerce_core::jobs::find(&mut *database.conn().await, id).await.unwrap().unwrap();
        (job.state == JobState::Leased).then_some(job.run_at)
    };
    let first = eventually("the job is leased", leased_until).await;
    // Two leases later it is still the same attempt's.
    eventually("the lease was renewed", async || {
        leased_until().await.filter(|until| *until > first + lease * 2)
    })
    .await;
    assert_eq!(only_job(&database).await.attempt, 1);
    gate.open();
    all_done(&database).await;
    worker.stop().await;
    assert_eq!(rows(&database, "effects").await, 1);
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_outlives_its_connections() {
    let database = database().await;
    let worker = RunningWorker::start(given::worker(&database, counting(&database)));
    enqueue(&database, 1).await;
    all_done(&database).await;
    for round in 2..5 {
        // As a restart of Postgres does, every connection breaks; those of this test's pool too.
        let mut other = commerce_core::db::connect(database.url()).await.unwrap();
        other
            .batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await
            .unwrap();
        commerce_core::jobs::enqueue(&other, &Count { number: round }).await.unwrap();
        eventually("the job is done", async || {
            let query = diesel::sql_query("SELECT 1 FROM commerce.jobs");
            let mut conn = commerce_core::db::connect(database.url()).await.unwrap();
            diesel_async::RunQueryDsl::execute(query, &mut conn).await.unwrap().eq(&0).then_some(())
        })
        .await;
    }
    worker.stop().await;
    let mut conn = commerce_core::db::connect(database.url()).await.unwrap();
    let query = diesel::sql_query("SELECT 1 FROM effects");
    assert_eq!(diesel_async::RunQueryDsl::execute(query, &mut conn).await.unwrap(), 4);
    drop(conn);
    database.discard().await;
}
