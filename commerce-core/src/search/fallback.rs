//! A search engine with a fallback.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::engine::{EngineError, EngineQuery, Matches, SearchEngine};

/// Asks the first engine, and asks the second one if the first is [unavailable](EngineError::Unavailable).
/// For a while after that, the first engine is not asked at all, so that shoppers do not wait for it again
/// and again.
///
/// The first engine itself sets how long its server may take. Only it can distinguish a slow server from a
/// wait for a database connection, which would delay the second engine as well.
pub struct WithFallback {
    first: Arc<dyn SearchEngine>,
    second: Arc<dyn SearchEngine>,
    cool_down: Duration,
    left_alone_until: Mutex<Option<Instant>>,
}

/// The default time for which an engine is not asked after a failure.
pub const COOL_DOWN: Duration = Duration::from_secs(5);

impl WithFallback {
    /// An engine that asks `first`, and `second` while `first` fails. After a failure `first` is not asked
    /// for `cool_down`.
    pub fn new(first: Arc<dyn SearchEngine>, second: Arc<dyn SearchEngine>, cool_down: Duration) -> Self {
        Self { first, second, cool_down, left_alone_until: Mutex::new(None) }
    }

    async fn ask_both(&self, query: &EngineQuery) -> Result<Matches, EngineError> {
        if !self.is_left_alone() {
            match self.first.find(query).await {
                Err(error @ (EngineError::NoIndex | EngineError::Unavailable(_))) => {
                    self.leave_alone(&error.to_string())
                }
                answer => {
                    count(self.first.name());
                    return answer;
                }
            }
        }
        metrics::counter!("commerce_search_fallbacks_total").increment(1);
        count(self.second.name());
        self.second.find(query).await
    }

    fn is_left_alone(&self) -> bool {
        let until = self.left_alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn leave_alone(&self, reason: &str) {
        tracing::warn!(engine = self.first.name(), reason, "search falls back to {}", self.second.name());
        let mut until = self.left_alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + self.cool_down);
    }
}

fn count(engine: &'static str) {
    metrics::counter!("commerce_searches_total", "engine" => engine).increment(1);
}

impl SearchEngine for WithFallback {
    fn name(&self) -> &'static str {
        self.first.name()
    }

    fn find<'a>(&'a self, query: &'a EngineQuery) -> BoxFuture<'a, Result<Matches, EngineError>> {
        self.ask_both(query).boxed()
    }

    /// The state of the first engine. While it is down the shop can still search, but not as well.
    fn check(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.first.check()
    }
}
