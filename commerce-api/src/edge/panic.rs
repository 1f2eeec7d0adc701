//! If a handler panics, it answers 500 instead of cutting the connection.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// What the handler panicked with.
pub struct Panicked(Box<dyn Any + Send>);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.downcast_ref::<&str>().copied();
        let text = text.or_else(|| self.0.downcast_ref::<String>().map(String::as_str));
        write!(f, "a handler panicked: {}", text.unwrap_or("without a message"))
    }
}

/// Nothing that outlives the request is left half-changed. State is behind locks, and no lock is held while a
/// handler runs.
pub async fn catch<F: Future>(handler: F) -> Result<F::Output, Panicked> {
    AssertUnwindSafe(handler).catch_unwind().await.map_err(Panicked)
}
