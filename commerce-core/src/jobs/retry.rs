//! Whether a failed job is tried again, and when.

use std::time::Duration;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use crate::queue::{self, ClaimedJob, Failure};

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextAttempt {
    /// Another attempt after this time.
    After(Duration),
    /// No attempt. The job is dead until a person moves it.
    Never,
}

/// Decides by the failure and the number of attempts.
pub fn next_attempt(job: &ClaimedJob, failure: &Failure) -> NextAttempt {
    match failure {
        Failure::Retry(_) if job.attempt < job.attempts_max => NextAttempt::After(delay_after(job.attempt)),
        Failure::Retry(_) | Failure::Abort(_) => NextAttempt::Never,
    }
}

const DELAY_MAX: Duration = Duration::from_secs(60 * 60);

/// One second after the first attempt, doubling up to an hour. Each delay varies by ±25 %, so that jobs that
/// failed together do not return together.
fn delay_after(attempt: i32) -> Duration {
    let doublings = attempt.clamp(1, 13).unsigned_abs() - 1;
    let delay = Duration::from_secs(1 << doublings).min(DELAY_MAX);
    delay.mul_f64(rand::random_range(0.75..=1.25))
}

/// Records a failed attempt: the error, and the time of the next attempt or the dead state. Returns which.
/// Changes nothing if the lease was lost.
pub async fn fail(
    conn: &mut AsyncPgConnection,
    job: &ClaimedJob,
    failure: &Failure,
) -> QueryResult<NextAttempt> {
    let (Failure::Retry(error) | Failure::Abort(error)) = failure;
    let next = next_attempt(job, failure);
    let again_after = match next {
        NextAttempt::After(delay) => Some(delay),
        NextAttempt::Never => None,
    };
    queue::end_attempt(conn, job.lease(), error, again_after).await?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, LeaseToken};

    #[test]
    fn retries_wait_longer_each_time_up_to_a_cap() {
        for (attempt, seconds) in [(1, 1.0), (2, 2.0), (5, 16.0), (12, 2048.0), (13, 3600.0), (99, 3600.0)] {
            let delay = delay_after(attempt).as_secs_f64();
            assert!((seconds * 0.75..=seconds * 1.25).contains(&delay), "attempt {attempt}: {delay}");
        }
    }

    #[test]
    fn the_last_attempt_and_one_that_can_never_succeed_have_no_next() {
        let job = |attempt| ClaimedJob {
            id: JobId::new(),
            kind: "send_email".to_owned(),
            payload: serde_json::Value::Null,
            attempt,
            attempts_max: 3,
            lease_token: LeaseToken::new(),
        };
        let (retry, abort) = (Failure::Retry("busy".to_owned()), Failure::Abort("unreadable".to_owned()));
        assert!(matches!(next_attempt(&job(2), &retry), NextAttempt::After(_)));
        assert_eq!(next_attempt(&job(3), &retry), NextAttempt::Never);
        assert_eq!(next_attempt(&job(1), &abort), NextAttempt::Never);
    }
}
