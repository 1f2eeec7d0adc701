//! A provider that has stopped answering.
//!
//! Whoever asks it waits for nothing, and meanwhile holds what others need: a connection of the API, a slot of a worker.
//! So one request at a time tries it, and all others fail at once, until it answers again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ProviderName;

/// After so many requests in a row without an answer a provider is silent.
const UNANSWERED_MAX: u32 = 5;

/// How long a silent provider is left alone before the next request tries it.
const PAUSE: Duration = Duration::from_secs(2);

/// Requests to one provider that are under way at once. A provider that answers in a second takes two hundred payments a
/// second. One that does not answer leaves most connections of the API to others.
const UNDER_WAY_MAX: usize = 200;

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotSent {
    /// The provider is silent, and another request tries it.
    #[error("it has stopped answering")]
    Silent,
    /// Too many requests wait for it.
    #[error("{UNDER_WAY_MAX} requests wait for its answer")]
    Crowded,
}

/// Watches whether one provider answers. Clones watch together.
#[derive(Debug, Clone)]
pub(super) struct Silence {
    provider: ProviderName,
    /// The longest time for one request.
    timeout: Duration,
    under_way: Arc<Semaphore>,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Requests without an answer since the last answer.
    unanswered: u32,
    answered_at: Option<Instant>,
    /// Until then nobody tries a silent provider.
    left_alone_until: Option<Instant>,
}

/// A request that may be sent.
#[derive(Debug)]
pub(super) struct Permission {
    silence: Silence,
    begun_at: Instant,
    _place: OwnedSemaphorePermit,
}

impl Silence {
    pub fn new(provider: ProviderName, timeout: Duration) -> Self {
        let under_way = Arc::new(Semaphore::new(UNDER_WAY_MAX));
        Self { provider, timeout, under_way, heard: Arc::default() }
    }

    /// Whether a request may be sent now.
    pub fn permission(&self, now: Instant) -> Result<Permission, NotSent> {
        let place = Arc::clone(&self.under_way).try_acquire_owned().map_err(|_| NotSent::Crowded)?;
        let mut heard = self.heard();
        if heard.unanswered >= UNANSWERED_MAX {
            if heard.left_alone_until.is_some_and(|until| now < until) {
                return Err(NotSent::Silent);
            }
            // The caller may give up before the end of the request.
            heard.left_alone_until = Some(now + self.timeout + PAUSE);
        }
        Ok(Permission { silence: self.clone(), begun_at: now, _place: place })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permission {
    /// There was an answer, whatever it says.
    pub fn answered(self, now: Instant) {
        let mut heard = self.silence.heard();
        if heard.unanswered >= UNANSWERED_MAX {
            tracing::info!(provider = %self.silence.provider, "a payment provider answers again");
        }
        *heard = Heard { answered_at: Some(now), ..Heard::default() };
    }

    /// There was no answer. If another request was answered meanwhile, that says nothing about the provider.
    pub fn unanswered(self, now: Instant) {
        let mut heard = self.silence.heard();
        if heard.answered_at.is_some_and(|answered_at| answered_at > self.begun_at) {
            return;
        }
        heard.unanswered = heard.unanswered.saturating_add(1);
        if heard.unanswered == UNANSWERED_MAX {
            tracing::error!(
                provider = %self.silence.provider,
                "a payment provider has stopped answering: one request at a time tries it"
            );
        }
        heard.left_alone_until = Some(now + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(6);

    fn silence() -> Silence {
        Silence::new(ProviderName::MOCK, TIMEOUT)
    }

    /// At this time so many requests have had no answer.
    fn silent(at: Instant) -> Silence {
        let silence = silence();
        for _ in 0..UNANSWERED_MAX {
            silence.permission(at).unwrap().unanswered(at);
        }
        silence
    }

    #[test]
    fn a_silent_provider_is_tried_by_one_request_at_a_time() {
        let mut now = Instant::now();
        let silence = silent(now);
        assert_eq!(silence.permission(now).unwrap_err(), NotSent::Silent);
        now += PAUSE;
        let trial = silence.permission(now).unwrap();
        assert_eq!(silence.permission(now).unwrap_err(), NotSent::Silent);
        now += TIMEOUT;
        trial.unanswered(now);
        assert_eq!(silence.permission(now).unwrap_err(), NotSent::Silent);
        now += PAUSE;
        silence.permission(now).unwrap().answered(now);
        let both = [silence.permission(now), silence.permission(now)];
        assert!(both.iter().all(Result::is_ok), "it answers again");
    }

    #[test]
    fn a_trial_that_is_given_up_is_followed_by_another() {
        let mut now = Instant::now();
        let silence = silent(now);
        now += PAUSE;
        drop(silence.permission(now).unwrap());
        assert_eq!(silence.permission(now).unwrap_err(), NotSent::Silent);
        now += TIMEOUT + PAUSE;
        silence.permission(now).unwrap();
    }

    #[test]
    fn a_provider_that_answers_others_is_not_silent() {
        let (silence, begin) = (silence(), Instant::now());
        let slow: Vec<_> = (0..2 * UNANSWERED_MAX).map(|_| silence.permission(begin).unwrap()).collect();
        let end = begin + TIMEOUT;
        silence.permission(end).unwrap().answered(end);
        slow.into_iter().for_each(|request| request.unanswered(end));
        silence.permission(end).unwrap();
    }

    #[test]
    fn so_many_requests_wait_at_once_and_no_more() {
        let (silence, now) = (silence(), Instant::now());
        let mut waiting: Vec<_> = (0..UNDER_WAY_MAX).map(|_| silence.permission(now).unwrap()).collect();
        assert_eq!(silence.permission(now).unwrap_err(), NotSent::Crowded);
        waiting.pop().unwrap().answered(now);
        silence.permission(now).unwrap();
    }
}
