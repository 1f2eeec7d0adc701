//! What every handler can reach.

use std::ops::Deref;
use std::sync::Arc;

use commerce_core::accounts::{PasswordHasher, SecretKey};
use commerce_core::catalog::image::Media;
use commerce_core::db::Pool;
use commerce_core::jobs::Waker;
use commerce_core::payments::Providers;
use commerce_core::search::SearchEngine;
use commerce_core::settings::ShopSettings;

use crate::http::rate_limit::{RateLimiter, RateLimits};
use crate::http::session_cache::SessionCache;
use crate::http::session_cookie::SessionCookies;
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
    pub hasher: PasswordHasher,
    pub cookies: SessionCookies,
    /// Finds products by words.
    pub search: Arc<dyn SearchEngine>,
    /// Counts what is not allowed at any pace.
    pub limits: RateLimiter,
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

/// What a [`State`] is made of.
pub struct Parts {
    pub pool: Pool,
    pub shop: ShopSettings,
    pub providers: Providers,
    pub media: Media,
    pub keys: Keys,
    pub hasher: PasswordHasher,
    pub cookies: SessionCookies,
    pub search: Arc<dyn SearchEngine>,
    pub rate_limits: RateLimits,
}

impl State {
    pub fn new(parts: Parts) -> Self {
        let Parts { pool, shop, providers, media, keys, hasher, cookies, search, rate_limits } = parts;
        let Keys { tokens, secret } = keys;
        Self(Arc::new(Shared {
            shop,
            providers,
            media,
            tokens,
            secret,
            sessions: SessionCache::default(),
            hasher,
            cookies,
            search,
            limits: RateLimiter::new(pool.clone(), rate_limits),
            waker: Waker::start(pool.clone()),
            pool,
        }))
    }

    /// Says that a commit may have left jobs behind. Returns at once; many calls make one NOTIFY.
    pub fn wake(&self) {
        self.waker.wake();
    }
}
