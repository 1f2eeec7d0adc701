//! What every handler can reach.

use std::ops::Deref;
use std::sync::Arc;

use commerce_core::accounts::SecretKey;
use commerce_core::catalog::image::Media;
use commerce_core::db::Pool;
use commerce_core::jobs::Waker;
use commerce_core::payments::Providers;
use commerce_core::search::{PostgresEngine, SearchEngine};
use commerce_core::settings::ShopSettings;

use crate::edge::rate_limit::RateLimits;
use crate::edge::same_origin::Browsers;
use crate::http::auth::SessionCache;
use crate::http::tokens::TokenKeys;

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Shared>);

pub struct Shared {
    pub pool: Pool,
    pub shop: ShopSettings,
    pub providers: Providers,
    /// Where uploaded images are kept.
    pub media: Media,
    pub tokens: TokenKeys,
    /// Codes that are mailed are derived from it.
    pub secret: SecretKey,
    pub sessions: SessionCache,
    /// Which pages may act with a cookie.
    pub browsers: Browsers,
    /// Finds products by words.
    pub search: Arc<dyn SearchEngine>,
    /// Whether clients are limited by address.
    pub rate_limits: RateLimits,
    waker: Waker,
}

/// What the server keeps secret.
pub struct Keys {
    pub tokens: TokenKeys,
    pub secret: SecretKey,
}

impl Deref for State {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl State {
    pub fn new(
        pool: Pool,
        shop: ShopSettings,
        providers: Providers,
        media: Media,
        keys: Keys,
        browsers: Browsers,
    ) -> Self {
        let Keys { tokens, secret } = keys;
        let waker = Waker::start(pool.clone());
        let search = Arc::new(PostgresEngine::new(pool.clone()));
        Self(Arc::new(Shared {
            pool,
            shop,
            providers,
            media,
            tokens,
            secret,
            sessions: SessionCache::default(),
            browsers,
            search,
            rate_limits: RateLimits::On,
            waker,
        }))
    }

    /// With another engine than Postgres. To be called before the state is shared.
    pub fn with_search(mut self, search: Arc<dyn SearchEngine>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.search = search;
        }
        self
    }

    /// With limits by address switched off. To be called before the state is shared.
    pub fn with_rate_limits(mut self, rate_limits: RateLimits) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.rate_limits = rate_limits;
        }
        self
    }

    /// Says that a commit may have left jobs behind. Returns at once; many calls make one NOTIFY.
    pub fn wake(&self) {
        self.waker.wake();
    }
}
