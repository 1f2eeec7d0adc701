//! The apalis backend by itself, polled by hand.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use apalis_core::backend::Backend as _;
use apalis_core::worker::context::WorkerContext;
use commerce_core::jobs::{Job as _, JobState};
use commerce_worker::backend::{Claiming, JobsBackend};
use commerce_worker::slots::Slots;

use crate::given::{Count, database, enqueue, eventually, rows};

fn claiming(database: &commerce_core::testing::TestDatabase, slots: usize) -> Claiming {
    Claiming {
        pool: database.pool().clone(),
        worker: "tester".to_owned(),
        kinds: vec![Count::KIND],
        slots: Slots::new(slots, 1),
        lease: Duration::from_secs(60),
        poll_interval: Duration::from_millis(10),
        wake: Arc::default(),
        start_delay: Duration::ZERO,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_claimed_only_into_free_slots() {
    let database = database().await;
    for number in 0..10 {
        enqueue(&database, number).await;
    }
    let (mut backend, context) = (JobsBackend::new(claiming(&database, 3)), WorkerContext::new("tester"));
    let mut in_hand = Vec::new();
    for _ in 0..3 {
        poll_fn(|cx| backend.poll_ready(cx, &context)).await.unwrap();
        in_hand.push(poll_fn(|cx| backend.poll_next(cx, &context)).await.unwrap().unwrap());
    }
    let leased = "commerce.jobs WHERE state = 'leased'";
    assert_eq!(rows(&database, leased).await, 3);
    let more =
        tokio::time::timeout(Duration::from_millis(200), poll_fn(|cx| backend.poll_next(cx, &context))).await;
    assert!(more.is_err(), "there is no free slot");
    assert_eq!(rows(&database, leased).await, 3);

    drop(in_hand.pop());
    in_hand.push(poll_fn(|cx| backend.poll_next(cx, &context)).await.unwrap().unwrap());
    assert_eq!(rows(&database, leased).await, 4);
    poll_fn(|cx| backend.poll_close(cx, &context)).await.unwrap();
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_claimed_and_not_begun_goes_back_with_its_attempt_uncounted() {
    let database = database().await;
    for number in 0..5 {
        enqueue(&database, number).await;
    }
    let (mut backend, context) = (JobsBackend::new(claiming(&database, 4)), WorkerContext::new("tester"));
    poll_fn(|cx| backend.poll_ready(cx, &context)).await.unwrap();
    // The claimer fills its slots; nobody asks for the jobs.
    eventually("four jobs are leased", async || {
        (rows(&database, "commerce.jobs WHERE state = 'leased'").await == 4).then_some(())
    })
    .await;
    poll_fn(|cx| backend.poll_close(cx, &context)).await.unwrap();
    let jobs =
        commerce_core::jobs::list(&mut *database.conn().await, None, Default::default()).await.unwrap();
    assert_eq!(jobs.len(), 5);
    assert!(jobs.iter().all(|job| (job.state, job.attempt) == (JobState::Ready, 0)), "{jobs:#?}");
    database.finish().await;
}
