//! The rules of the jobs table, on a real Postgres.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails may panic"
)]

use std::collections::HashSet;
use std::time::Duration;

use commerce_core::db;
use commerce_core::ids::JobId;
use commerce_core::jobs::{self, ClaimedJob, CompleteError, Failure, Job, JobState, ManageJobError, NewJob};
use commerce_core::page::Limit;
use commerce_core::testing::TestDatabase;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Count {
    to: u32,
}

impl Job for Count {
    const KIND: &'static str = "count";
    const ATTEMPTS_MAX: i32 = 2;
}

const LEASE: Duration = Duration::from_secs(10);

async fn claim(conn: &mut AsyncPgConnection, jobs_max: usize) -> Vec<ClaimedJob> {
    jobs::claim(conn, "tester", &[Count::KIND], jobs_max, LEASE).await.unwrap()
}

async fn claim_one(conn: &mut AsyncPgConnection) -> ClaimedJob {
    let mut claimed = claim(conn, 1).await;
    claimed.pop().expect("a job is due")
}

async fn state(conn: &mut AsyncPgConnection, id: JobId) -> JobState {
    jobs::find(conn, id).await.unwrap().expect("the job is there").state
}

#[tokio::test]
async fn a_job_commits_or_vanishes_with_the_transaction_it_was_enqueued_in() {
    let database = TestDatabase::new().await;
    let mut conn = database.conn().await;
    let rolled_back = conn
        .transaction::<(), diesel::result::Error, _>(async |conn| {
            jobs::enqueue(conn, &Count { to: 1 }).await?;
            Err(diesel::result::Error::RollbackTransaction)
        })
        .await;
    assert!(rolled_back.is_err());
    assert!(claim(&mut conn, 10).await.is_empty());

    jobs::enqueue(&conn, &Count { to: 2 }).await.unwrap();
    let claimed = claim(&mut conn, 10).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].payload, serde_json::json!({ "to": 2 }));
    assert_eq!((claimed[0].attempt, claimed[0].attempts_max), (1, 2));
    drop(conn);
    database.finish().await;
}

#[tokio::test]
async fn no_job_is_given_to_two_claimers() {
    let database = TestDatabase::new().await;
    let rows = (0..400).map(|to| NewJob::new(&Count { to }).unwrap()).collect();
    jobs::enqueue_all(&*database.conn().await, rows).await.unwrap();

    let claimers = (0..8).map(|_| async {
        let mut conn = database.conn().await;
        let mut mine = Vec::new();
        loop {
            let claimed = claim(&mut conn, 7).await;
            if claimed.is_empty() {
                return mine;
            }
            mine.extend(claimed.iter().map(|job| job.id));
        }
    });
    let claimed: Vec<JobId> = futures_util::future::join_all(claimers).await.concat();
    assert_eq!(claimed.len(), 400);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 400);
    database.finish().await;
}

#[tokio::test]
async fn a_delayed_job_is_due_at_its_time_and_not_before() {
    let database = TestDatabase::new().await;
    let mut conn = database.conn().await;
    let in_an_hour = db::current_time(&mut conn).await.unwrap() + Duration::from_secs(3600);
    jobs::enqueue_all(&conn, vec![NewJob::new(&Count { to: 1 }).unwrap().at(in_an_hour)]).await.unwrap();
    assert!(claim(&mut conn, 1).await.is_empty());
    database.shift_clock(Duration::from_secs(3590)).await;
    assert!(claim(&mut conn, 1).await.is_empty());
    database.shift_clock(Duration::from_secs(3601)).await;
    assert_eq!(claim(&mut conn, 1).await.len(), 1);
    drop(conn);
    database.finish().await;
}

#[tokio::test]
async fn a_key_keeps_a_second_live_job_out() {
    let database = TestDatabase::new().await;
    let mut conn = database.conn().await;
    for to in [1, 2] {
        let row = NewJob::new(&Count { to }).unwrap().dedupe_by("the one".to_owned());
        jobs::enqueue_all(&conn, vec![row]).await.unwrap();
    }
    let claimed = claim(&mut conn, 10).await;
    assert_eq!(claimed.len(), 1);
    jobs::complete(&mut conn, claimed[0].lease()).await.unwrap();

    // Its work is done: the key is free again.
    let row = NewJob::new(&Count { to: 3 }).unwrap().dedupe_by("the one".to_owned());
    jobs::enqueue_all(&conn, vec![row]).await.unwrap();
    let third = claim(&mut conn, 10).await;
    assert_eq!(third.len(), 1);

    // A dead letter is for a person; the key is for those that live.
    jobs::fail(&mut conn, &third[0], &Failure::Abort("cannot be".into())).await.unwrap();
    let row = NewJob::new(&Count { to: 4 }).unwrap().dedupe_by("the one".to_owned());
    jobs::enqueue_all(&conn, vec![row]).await.unwrap();
    assert_eq!(claim(&mut conn, 10).await.len(), 1);
    jobs::retry(&mut conn, third[0].id).await.unwrap();
    drop(conn);
    database.discard().await;
}

#[tokio::test]
async fn a_lapsed_lease_gives_the_job_to_another_and_fences_the_first() {
    let database = TestDatabase::new().await;
    let mut conn = database.conn().await;
    let id = jobs::enqueue(&conn, &Count { to: 1 }).await.unwrap();
    let first = claim_one(&mut conn).await;
    database.shift_clock(LEASE + Duration::from_secs(1)).await;
    let second = claim_one(&mut conn).await;
    assert_eq!((second.id, second.attempt), (id, 2));

    // Nothing that the first does touches the job any more.
    assert!(matches!(jobs::complete(&mut conn, first.lease()).await, Err(CompleteError::LeaseLost(_))));
    jobs::fail(&mut conn, &first, &Failure::Abort("too late".into())).await.unwrap();
    jobs::release(&mut conn, &[first.lease()]).await.unwrap();
    jobs::renew(&mut conn, &[first.lease()], Duration::from_secs(3600)).await.unwrap();
    let row = jobs::find(&mut conn, id).await.unwrap().unwrap();
    assert_eq!((row.state, row.attempt, row.last_error), (JobState::Leased, 2, None));

    jobs::complete(&mut conn, second.lease()).await.unwrap();
    assert!(jobs::find(&mut conn, id).await.unwrap().is_none());
    drop(conn);
    database.finish().await;
}

#[tokio::test]
async fn a_lease_that_lapses_in_the_last_attempt_leaves_a_dead_job() {
    let database = TestDatabase::new().await;
    let mut conn = database.conn().await;
    let id = jobs::enqueue(&conn, &Count { to: 1 }).await.unwrap();
    for attempt in 1..=2 {
        assert_eq!(claim_one(&mut conn).await.attempt, attempt);
        database.shift_clock(LEASE * 2 * attempt.unsigned_abs()).await;
    }
    assert!(claim(&mut conn, 1).await.is_empty());
    let row = jobs::find(&mut conn, id).await.unwrap().unwrap();
    assert_eq!(row.state, JobState::Dead);
    assert_eq!(row.last_error.unwrap(), "the worker tester vanished during the last attempt");
    drop(conn);
    database.discard().await;
}

#[tokio::test]
async fn failures_are_tried_again_later_until_the_attempts_are_used_up() {
    let database = TestDatabase::new().await;
    let mut conn = database.conn().await;
    let id = jobs::enqueue(&conn, &Count { to: 1 }).await.unwrap();
    let first = claim_one(&mut conn).await;
    jobs::fail(&mut conn, &first, &Failure::Retry("no \0luck".into())).await.unwrap();
    let row = jobs::find(&mut conn, id).await.unwrap().unwrap();
    assert_eq!((row.state, row.last_error.as_deref()), (JobState::Ready, Some("no luck")));
    let waits = row.run_at - row.updated_at;
    assert!((740..=1260).contains(&waits.num_milliseconds()), "{waits}");

    database.shift_clock(Duration::from_secs(2)).await;
    let second = claim_one(&mut conn).await;
    jobs::fail(&mut conn, &second, &Failure::Retry("x".repeat(10_000))).await.unwrap();
    let row = jobs::find(&mut conn, id).await.unwrap().unwrap();
    assert_eq!((row.state, row.attempt), (JobState::Dead, 2));
    assert_eq!(row.last_error.unwrap().len(), 2000);
    drop(conn);
    database.discard().await;
}

#[tokio::test]
async fn what_can_never_succeed_is_dead_at_once() {
    let database = TestDatabase::new().await;
    let mut conn = database.conn().await;
    let id = jobs::enqueue(&conn, &Count { to: 1 }).await.unwrap();
    let job = claim_one(&mut conn).await;
    jobs::fail(&mut conn, &job, &Failure::Abort("nonsense".into())).await.unwrap();
    assert_eq!(state(&mut conn, id).await, JobState::Dead);
    database.shift_clock(Duration::from_secs(1_000_000)).await;
    assert!(claim(&mut conn, 1).await.is_empty());
    drop(conn);
    database.discard().await;
}

#[tokio::test]
async fn a_job_that_was_given_back_is_due_with_its_attempt_uncounted() {
    let database = TestDatabase::new().await;
    let mut conn = database.conn().await;
    jobs::enqueue(&conn, &Count { to: 1 }).await.unwrap();
    for _ in 0..5 {
        let job = claim_one(&mut conn).await;
        assert_eq!(job.attempt, 1);
        jobs::release(&mut conn, &[job.lease()]).await.unwrap();
    }
    drop(conn);
    database.finish().await;
}

#[tokio::test]
async fn a_renewed_lease_holds_and_a_row_that_is_being_finished_is_not_waited_for() {
    let database = TestDatabase::new().await;
    let (mut conn, mut other) = (database.conn().await, database.conn().await);
    for to in [1, 2] {
        jobs::enqueue(&conn, &Count { to }).await.unwrap();
    }
    let claimed = claim(&mut conn, 2).await;
    let leases = [claimed[0].lease(), claimed[1].lease()];
    conn.transaction::<(), CompleteError, _>(async |conn| {
        jobs::complete(conn, leases[0]).await?;
        // This transaction holds the row of the first job: the renewal would wait for ever if it waited.
        jobs::renew(&mut other, &leases, LEASE * 10).await?;
        Ok(())
    })
    .await
    .unwrap();
    database.shift_clock(LEASE * 5).await;
    assert!(claim(&mut conn, 2).await.is_empty());
    database.shift_clock(LEASE * 11).await;
    assert_eq!(claim_one(&mut conn).await.id, claimed[1].id);
    drop((conn, other));
    database.discard().await;
}

#[tokio::test]
async fn an_effect_happens_once_however_many_attempts_race_for_it() {
    use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};

    let database = TestDatabase::new().await;
    let mut conn = database.conn().await;
    conn.batch_execute("CREATE TABLE effects (job uuid)").await.unwrap();
    jobs::enqueue(&conn, &Count { to: 1 }).await.unwrap();
    let job = claim_one(&mut conn).await;
    let (id, lease) = (job.id, job.lease());
    let racers = (0..10).map(|_| {
        db::in_transaction(database.pool(), "race", async move |conn| {
            jobs::complete(conn, lease).await?;
            diesel::sql_query("INSERT INTO effects VALUES ($1)")
                .bind::<diesel::sql_types::Uuid, _>(id)
                .execute(conn)
                .await?;
            Ok::<_, CompleteError>(())
        })
    });
    let results = futures_util::future::join_all(racers).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let effects = diesel::sql_query("SELECT * FROM effects").execute(&mut conn).await.unwrap();
    assert_eq!(effects, 1);
    drop(conn);
    database.finish().await;
}

#[tokio::test]
async fn an_operator_lists_retries_and_cancels() {
    let database = TestDatabase::new().await;
    let mut conn = database.conn().await;
    let id = jobs::enqueue(&conn, &Count { to: 1 }).await.unwrap();
    let job = claim_one(&mut conn).await;
    assert!(matches!(jobs::retry(&mut conn, id).await, Err(ManageJobError::Leased(_))));
    assert!(matches!(jobs::cancel(&mut conn, id).await, Err(ManageJobError::Leased(_))));
    jobs::fail(&mut conn, &job, &Failure::Abort("nonsense".into())).await.unwrap();

    let dead = jobs::list(&mut conn, Some(JobState::Dead), Limit::default()).await.unwrap();
    assert_eq!(dead.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
    assert!(jobs::list(&mut conn, Some(JobState::Ready), Limit::default()).await.unwrap().is_empty());
    let queue = jobs::queue_states(&mut conn).await.unwrap();
    assert_eq!(
        (queue.len(), queue[0].state, queue[0].jobs, queue[0].overdue_ms),
        (1, JobState::Dead, 1, None)
    );

    jobs::retry(&mut conn, id).await.unwrap();
    assert_eq!(claim_one(&mut conn).await.attempt, 1);
    database.shift_clock(LEASE * 2).await;
    assert_eq!(claim_one(&mut conn).await.attempt, 2);
    database.shift_clock(LEASE * 4).await;
    assert!(claim(&mut conn, 1).await.is_empty());

    jobs::cancel(&mut conn, id).await.unwrap();
    assert!(matches!(jobs::cancel(&mut conn, id).await, Err(ManageJobError::NotFound(_))));
    assert!(matches!(jobs::retry(&mut conn, id).await, Err(ManageJobError::NotFound(_))));
    drop(conn);
    database.finish().await;
}
