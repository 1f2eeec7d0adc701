//! The state that every handler can use.

use std::ops::Deref;
use std::sync::Arc;

use commerce_core::accounts::{PasswordHasher, SecretKey};
use commerce_core::catalog::image::Media;
use commerce_core::db::Pool;
use commerce_core::jobs::Waker;
use commerce_core::payments::Providers;
use commerce_core::search::SearchEngine;
use commerce_core::settings::ShopSettings;

use crate::http::cart_token::CartTokens;
use crate::http::client_ip::ClientIp;
use crate::http::rate_limit::{RateLimiter, RateLimits};
use crate::http::readers::Readers;
use crate::http::second_factor::SecondFactors;
use crate::http::session_cache::SessionCache;
use crate::http::session_cookie::SessionCookies;
use crate::http::tokens::TokenKeys;

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Shared>);

pub struct Shared {
    pub pool: Pool,
    pub readers: Readers,
    pub shop: ShopSettings,
    pub providers: Providers,
    /// Where uploaded images are kept.
    pub media: Media,
    pub tokens: TokenKeys,
    /// Mailed codes and the secrets of authenticator apps are derived from it.
    pub secret: SecretKey,
    pub cart_tokens: CartTokens,
    pub sessions: SessionCache,
    pub hasher: PasswordHasher,
    pub cookies: SessionCookies,
    pub second_factors: SecondFactors,
    /// Finds products by words.
    pub search: Arc<dyn SearchEngine>,
    /// Limits requests and guesses.
    pub limits: RateLimiter,
    waker: Waker,
}

/// The secrets of the server.
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

/// The parts that make a [`State`].
pub struct Parts {
    pub pool: Pool,
    pub readers: Readers,
    pub shop: ShopSettings,
    pub providers: Providers,
    pub media: Media,
    pub keys: Keys,
    pub hasher: PasswordHasher,
    pub cookies: SessionCookies,
    pub second_factors: SecondFactors,
    pub search: Arc<dyn SearchEngine>,
    pub rate_limits: RateLimits,
    /// Units that a network may order in an hour.
    pub units_per_hour: u32,
}

impl State {
    pub fn new(parts: Parts) -> Self {
        let Parts {
            pool,
            readers,
            shop,
            providers,
            media,
            keys,
            hasher,
            cookies,
            second_factors,
            search,
            rate_limits,
            units_per_hour,
        } = parts;
        let Keys { tokens, secret } = keys;
        Self(Arc::new(Shared {
            shop,
            providers,
            media,
            tokens,
            cart_tokens: CartTokens::new(&secret),
            secret,
            sessions: SessionCache::default(),
            hasher,
            cookies,
            second_factors,
            search,
            limits: RateLimiter::new(pool.clone(), rate_limits, units_per_hour),
            waker: Waker::start(pool.clone()),
            pool,
            readers,
        }))
    }

    /// The password hasher for somebody without a login, whose network gets a share of its places.
    pub fn hasher_for(&self, from: Option<&ClientIp>) -> PasswordHasher {
        match self.limits.networks(from).last() {
            Some((widest, _)) => self.hasher.for_client(widest),
            None => self.hasher.clone(),
        }
    }

    /// Tells workers that a commit may have added jobs. Returns at once. Many calls send one NOTIFY.
    pub fn wake(&self) {
        self.waker.wake();
    }
}
