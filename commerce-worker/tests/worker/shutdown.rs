//! An orderly end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use commerce_core::jobs::{Failure, JobState};
use commerce_worker::work::Worker;

use crate::given::{self, Count, Gate, Handlers, RunningWorker, count, database, enqueue, eventually, rows};

#[tokio::test(flavor = "multi_thread")]
async fn running_jobs_end_and_nothing_new_is_begun() {
    let database = database().await;
    for number in 0..10 {
        enqueue(&database, number).await;
    }
    let (gate, pool) = (Gate::closed(), database.pool().clone());
    let (held, begun) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = begun.clone();
    let handlers = Handlers::new().with(move |lease, job: Count| {
        let (held, pool) = (held.clone(), pool.clone());
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            held.pass().await;
            count(&pool, lease, job.number).await
        }
    });
    let worker = RunningWorker::start(given::worker(&database, handlers));
    // Not only leased: what is leased and not begun when the end is asked for is given back.
    eventually("four jobs are at work", async || (begun.load(Ordering::SeqCst) == 4).then_some(())).await;
    let ending = worker.begin_to_stop();
    gate.open();
    ending.await.unwrap().unwrap();

    assert_eq!(rows(&database, "effects").await, 4);
    let left =
        commerce_core::jobs::list(&mut *database.conn().await, None, Default::default()).await.unwrap();
    assert_eq!(left.len(), 6);
    assert!(left.iter().all(|job| (job.state, job.attempt) == (JobState::Ready, 0)), "{left:#?}");
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_end_does_not_hold_up_the_end() {
    let database = database().await;
    enqueue(&database, 1).await;
    let handlers = Handlers::new().with(|_, _: Count| std::future::pending::<Result<(), Failure>>());
    let drain_timeout = Duration::from_millis(300);
    let worker = RunningWorker::start(Worker { drain_timeout, ..given::worker(&database, handlers) });
    eventually("the job is at work", async || {
        (rows(&database, "commerce.jobs WHERE state = 'leased'").await == 1).then_some(())
    })
    .await;
    let asked = Instant::now();
    worker.stop().await;
    assert!(asked.elapsed() >= drain_timeout, "it had its time");
    assert!(asked.elapsed() < Duration::from_secs(10));
    database.discard().await;
}
