//! Jobs as an operator sees them: each failure, many at once, and kinds that are paused.

use std::time::Duration;

use commerce_core::ids::{EmailId, JobId};
use commerce_core::jobs::kinds::{DeleteFiles, SendEmail};
use commerce_core::jobs::{
    self, Failure, JobFilter, JobSort, JobState, MANY_JOBS_MAX, Managed, NewJob, kinds,
};
use commerce_core::page::Limit;
use commerce_core::request::Actor;
use commerce_core::testing::TestDatabase;
use diesel_async::SimpleAsyncConnection;

const LEASE: Duration = Duration::from_secs(60);

async fn enqueue(db: &TestDatabase) -> JobId {
    jobs::enqueue(&*db.conn().await, &SendEmail { email_id: EmailId::new() }).await.unwrap()
}

async fn claim(db: &TestDatabase) -> Vec<jobs::ClaimedJob> {
    jobs::claim(&mut *db.conn().await, "tester", kinds::ALL, 100, LEASE).await.unwrap()
}

#[tokio::test]
async fn each_failure_is_kept_and_the_last_twenty_of_them() {
    let db = TestDatabase::new().await;
    let id = enqueue(&db).await;
    let conn = &mut db.conn().await;
    for number in 1..=25 {
        let job = claim(&db).await.remove(0);
        jobs::fail(conn, &job, &Failure::Retry(format!("failure {number}"))).await.unwrap();
        jobs::retry(conn, id).await.unwrap();
    }
    let job = jobs::find(conn, id).await.unwrap().unwrap();
    let errors: Vec<&str> = job.failures.0.iter().map(|failure| failure.error.as_str()).collect();
    let expected: Vec<String> = (6..=25).map(|number| format!("failure {number}")).collect();
    assert_eq!(errors, expected);
    assert!(
        job.failures
            .0
            .iter()
            .all(|failure| failure.attempt == 1 && failure.worker.as_deref() == Some("tester"))
    );
    assert_eq!((job.state, job.last_error.as_deref()), (JobState::Ready, Some("failure 25")));

    // A worker that vanishes leaves a failure too.
    let _lost = claim(&db).await;
    db.shift_clock(2 * LEASE).await;
    let again = claim(&db).await.remove(0);
    assert_eq!(again.attempt, 2);
    let job = jobs::find(conn, id).await.unwrap().unwrap();
    assert_eq!(job.failures.0.last().unwrap().error, "the worker vanished");
    jobs::complete(conn, again.lease()).await.unwrap();
    db.finish().await;
}

#[tokio::test]
async fn jobs_are_listed_by_state_kind_error_and_time() {
    let db = TestDatabase::new().await;
    let (first, second) = (enqueue(&db).await, enqueue(&db).await);
    let conn = &mut db.conn().await;
    let job = claim(&db).await.into_iter().find(|job| job.id == first).unwrap();
    jobs::fail(conn, &job, &Failure::Abort("no such 100% mailbox".to_owned())).await.unwrap();
    let other = jobs::enqueue(conn, &DeleteFiles { keys: Vec::new() }).await.unwrap();
    let list = async |filter: JobFilter, sort| -> Vec<JobId> {
        let limit = Limit::new(1).unwrap();
        let (mut ids, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = jobs::list_jobs(&mut *db.conn().await, &filter, sort, limit, cursor.as_deref())
                .await
                .unwrap();
            ids.extend(page.data.into_iter().map(|job| job.id));
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return ids,
            }
        }
    };
    let of = |state| JobFilter { state: Some(state), ..Default::default() };
    assert_eq!(list(JobFilter::default(), JobSort::OldestFirst).await, [first, second, other]);
    assert_eq!(list(JobFilter::default(), JobSort::NewestFirst).await, [other, second, first]);
    assert_eq!(list(of(JobState::Leased), JobSort::DueFirst).await, [second]);
    assert_eq!(list(of(JobState::Dead), JobSort::DueFirst).await, [first]);
    let by_error = JobFilter { error: Some("100% MAIL".to_owned()), ..Default::default() };
    assert_eq!(list(by_error, JobSort::OldestFirst).await, [first]);
    let failed = JobFilter { failed: Some(true), ..Default::default() };
    assert_eq!(list(failed, JobSort::OldestFirst).await, [first]);
    let kind = JobFilter { kind: Some("delete_files".to_owned()), ..Default::default() };
    assert_eq!(list(kind, JobSort::OldestFirst).await, [other]);
    db.discard().await;
}

#[tokio::test]
async fn many_jobs_are_retried_and_cancelled_and_running_ones_are_left_alone() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    conn.batch_execute(
        "INSERT INTO commerce.jobs (id, kind, payload, attempts_max, attempt, state, last_error)
         SELECT gen_random_uuid(), 'send_email', '{}', 3, 3, 'dead', 'refused ' || n FROM generate_series(1, 1100) AS n",
    )
    .await
    .unwrap();
    let running = {
        jobs::enqueue(conn, &DeleteFiles { keys: Vec::new() }).await.unwrap();
        claim(&db).await.remove(0)
    };
    let dead = JobFilter { state: Some(JobState::Dead), ..Default::default() };
    let some = JobFilter { error: Some("refused 110".to_owned()), ..dead.clone() };
    assert_eq!(jobs::retry_matching(conn, &some).await.unwrap(), Managed { jobs: 2, more: false });
    let most = usize::try_from(MANY_JOBS_MAX).unwrap();
    assert_eq!(jobs::cancel_matching(conn, &dead).await.unwrap(), Managed { jobs: most, more: true });
    assert_eq!(jobs::cancel_matching(conn, &dead).await.unwrap(), Managed { jobs: 98, more: false });
    // Also the running one matches, and goes on.
    let all = JobFilter::default();
    assert_eq!(jobs::cancel_matching(conn, &all).await.unwrap(), Managed { jobs: 2, more: false });
    jobs::complete(conn, running.lease()).await.unwrap();
    db.finish().await;
}

#[tokio::test]
async fn more_jobs_than_one_retry_takes_are_all_due_in_the_end() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    conn.batch_execute(
        "INSERT INTO commerce.jobs (id, kind, payload, attempts_max, attempt, run_at)
         SELECT gen_random_uuid(), 'send_email', '{}', 3, 1, commerce.clock() + interval '1 hour'
         FROM generate_series(1, 1100)",
    )
    .await
    .unwrap();
    let waiting = JobFilter { state: Some(JobState::Ready), ..Default::default() };
    let most = usize::try_from(MANY_JOBS_MAX).unwrap();
    assert_eq!(jobs::retry_matching(conn, &waiting).await.unwrap(), Managed { jobs: most, more: true });
    assert_eq!(jobs::retry_matching(conn, &waiting).await.unwrap(), Managed { jobs: 100, more: false });
    assert_eq!(jobs::retry_matching(conn, &waiting).await.unwrap(), Managed { jobs: 0, more: false });
    db.discard().await;
}

/// Two operators, and a worker that claims: each job is done once or cancelled once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_claimed_is_not_cancelled_too() {
    let db = TestDatabase::new().await;
    let jobs_of: Vec<NewJob> =
        (0..200).map(|_| NewJob::new(&SendEmail { email_id: EmailId::new() }).unwrap()).collect();
    jobs::enqueue_all(&*db.conn().await, jobs_of).await.unwrap();
    let all = JobFilter::default();
    let cancel = async || jobs::cancel_matching(&mut *db.conn().await, &all).await.unwrap().jobs;
    let (one, other, claimed) = tokio::join!(cancel(), cancel(), claim(&db));
    for job in &claimed {
        jobs::complete(&mut *db.conn().await, job.lease()).await.unwrap();
    }
    let left = jobs::cancel_matching(&mut *db.conn().await, &all).await.unwrap().jobs;
    assert_eq!(one + other + claimed.len() + left, 200);
    db.finish().await;
}

#[tokio::test]
async fn a_paused_kind_waits_and_the_others_go_on() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    assert!(jobs::pause(conn, "send_email", Actor::System).await.unwrap());
    assert!(!jobs::pause(conn, "send_email", Actor::System).await.unwrap());
    let mail = enqueue(&db).await;
    assert_eq!(jobs::next_due(conn, kinds::ALL).await.unwrap(), None);
    assert!(claim(&db).await.is_empty());
    let other = jobs::enqueue(conn, &DeleteFiles { keys: Vec::new() }).await.unwrap();
    let claimed = claim(&db).await;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [other]);
    jobs::complete(conn, claimed[0].lease()).await.unwrap();
    assert_eq!(jobs::list_pauses(conn).await.unwrap()[0].kind, "send_email");
    assert!(jobs::resume(conn, "send_email").await.unwrap());
    assert!(!jobs::resume(conn, "send_email").await.unwrap());
    assert_eq!(jobs::next_due(conn, kinds::ALL).await.unwrap(), Some(Duration::ZERO));
    let claimed = claim(&db).await;
    assert_eq!(claimed[0].id, mail);
    jobs::complete(conn, claimed[0].lease()).await.unwrap();
    db.finish().await;
}
