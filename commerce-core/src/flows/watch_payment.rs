//! The jobs that see to attempts, and when they run. `check_payment.rs` and `end_payment.rs` do them.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use serde::{Deserialize, Serialize};

use crate::db::current_time;
use crate::ids::PaymentId;
use crate::payments::Payment;
use crate::queue::{self, Job, NewJob};

/// Asks the provider about an open attempt, and settles its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPayment {
    /// The attempt.
    pub payment_id: PaymentId,
}

impl Job for CheckPayment {
    const KIND: &'static str = "check_payment";
    const ATTEMPTS_MAX: i32 = 20;
}

/// Ends a closed attempt at its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndPayment {
    /// The attempt.
    pub payment_id: PaymentId,
}

impl Job for EndPayment {
    const KIND: &'static str = "end_payment";
    const ATTEMPTS_MAX: i32 = 20;
}

/// The time after which an attempt is first asked about. A webhook or the shopper's browser is faster.
pub(super) const FIRST_PAUSE: TimeDelta = TimeDelta::minutes(1);
pub(super) const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// The longest pause between questions about an attempt that the shop has closed.
const LONGEST_PAUSE_CLOSED: TimeDelta = TimeDelta::hours(6);

/// When an attempt that the shop has closed is asked about again, because its money may still come.
pub(super) fn next_time_closed(payment: &Payment, now: DateTime<Utc>) -> DateTime<Utc> {
    now + (now - payment.created_at).clamp(FIRST_PAUSE, LONGEST_PAUSE_CLOSED)
}

/// Before an authorization lapses, staff have this time to capture it.
pub(super) const NOTICE: TimeDelta = TimeDelta::days(1);

/// Has the attempt asked about in a minute.
pub(super) async fn check_later(conn: &AsyncPgConnection, payment: &Payment) -> QueryResult<()> {
    enqueue_check(conn, payment.id, payment.updated_at + FIRST_PAUSE, "").await
}

/// Has an authorized attempt asked about a minute after its capture or its end was asked for, because the answer may be
/// lost. It is a job beside the one that comes before the authorization lapses.
pub(super) async fn check_soon(conn: &mut AsyncPgConnection, id: PaymentId) -> QueryResult<()> {
    let now = current_time(conn).await?;
    enqueue_check(conn, id, now + FIRST_PAUSE, ":capture").await
}

/// Has an authorized attempt asked about a day before it lapses.
pub(super) async fn check_before_lapse(
    conn: &AsyncPgConnection,
    id: PaymentId,
    lapses_at: DateTime<Utc>,
) -> QueryResult<()> {
    enqueue_check(conn, id, lapses_at - NOTICE, "").await
}

/// If such a job already waits or runs, that one is enough: it enqueues the next one itself.
pub(super) async fn enqueue_check(
    conn: &AsyncPgConnection,
    payment_id: PaymentId,
    run_at: DateTime<Utc>,
    why: &str,
) -> QueryResult<()> {
    let job = NewJob::new(&CheckPayment { payment_id })
        .map_err(|error| QueryError::SerializationError(error.into()))?
        .dedupe_by(format!("check_payment:{payment_id}{why}"));
    queue::enqueue_all(conn, vec![job.at(run_at)]).await
}

/// Has the attempt ended at its provider, once.
pub(super) async fn end_at_provider(conn: &AsyncPgConnection, payment_id: PaymentId) -> QueryResult<()> {
    queue::enqueue_all(conn, vec![end_job(payment_id)?]).await
}

/// Has the attempt ended at its provider later, because the provider has not decided about it yet.
pub(super) async fn end_later(conn: &mut AsyncPgConnection, payment: &Payment) -> QueryResult<()> {
    let run_at = next_time_closed(payment, current_time(conn).await?);
    queue::enqueue_all(conn, vec![end_job(payment.id)?.at(run_at)]).await
}

fn end_job(payment_id: PaymentId) -> QueryResult<NewJob> {
    let job = NewJob::new(&EndPayment { payment_id });
    let job = job.map_err(|error| QueryError::SerializationError(error.into()))?;
    Ok(job.dedupe_by(format!("end_payment:{payment_id}")))
}
