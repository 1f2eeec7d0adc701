//! How a peer misbehaves.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What a peer does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It does nothing and never answers.
    HangBefore,
    /// It does what it was asked for and never answers.
    HangAfter,
    /// It does nothing and answers 503.
    ErrorBefore,
    /// It does what it was asked for and answers 500.
    ErrorAfter,
    /// It does nothing and answers 429 with `Retry-After` in seconds.
    TooMany { retry_after: u64 },
    /// It answers 409, because the same request is being worked on.
    Conflict,
}

/// The faults that are still to come, each for one request of an operation (see [`super::Call::operation`]).
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<(String, Fault)>>);

impl Faults {
    /// The next request of this operation that has no fault yet gets this one.
    pub fn add(&self, operation: &str, fault: Fault) {
        self.lock().push_back((operation.to_owned(), fault));
    }

    /// The fault of this request.
    pub(crate) fn take(&self, operation: &str) -> Option<Fault> {
        let mut faults = self.lock();
        let place = faults.iter().position(|(named, _)| named == operation)?;
        faults.remove(place).map(|(_, fault)| fault)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, Fault)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
