//! How a peer misbehaves.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// What a peer does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It does nothing and does not answer, until it is [released](Faults::release). Then it does what it was asked for,
    /// even if whoever asked is gone.
    HangBefore,
    /// It does what it was asked for, and does not answer until it is released.
    HangAfter,
    /// It does nothing and answers 503.
    ErrorBefore,
    /// It does what it was asked for and answers 500.
    ErrorAfter,
    /// It does nothing and answers 500, and a provider that keeps its answers to a key keeps this one.
    ErrorKept,
    /// It does nothing and answers 429 with `Retry-After` in seconds.
    TooMany { retry_after: u64 },
    /// It answers 409, because the same request is being worked on.
    Conflict,
}

/// The faults that are still to come, each for one request of an operation (see [`super::Call::operation`]).
#[derive(Debug, Default)]
pub struct Faults {
    coming: Mutex<VecDeque<(String, Fault)>>,
    hanging: AtomicUsize,
    released: Notify,
}

impl Faults {
    /// The next request of this operation that has no fault yet gets this one.
    pub fn add(&self, operation: &str, fault: Fault) {
        self.lock().push_back((operation.to_owned(), fault));
    }

    /// How many requests have hung since the last release.
    pub fn hanging(&self) -> usize {
        self.hanging.load(Ordering::SeqCst)
    }

    /// Whatever hangs goes on.
    pub fn release(&self) {
        self.hanging.store(0, Ordering::SeqCst);
        self.released.notify_waiters();
    }

    /// No fault comes any more, and whatever hangs goes on.
    pub fn clear(&self) {
        self.lock().clear();
        self.release();
    }

    pub(crate) async fn hang(&self) {
        let released = self.released.notified();
        self.hanging.fetch_add(1, Ordering::SeqCst);
        released.await;
    }

    /// The fault of this request.
    pub(crate) fn take(&self, operation: &str) -> Option<Fault> {
        let mut faults = self.lock();
        let place = faults.iter().position(|(named, _)| named == operation)?;
        faults.remove(place).map(|(_, fault)| fault)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, Fault)>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
