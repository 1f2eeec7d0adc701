//! What every handler can reach.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use commerce_core::accounts::SecretKey;
use commerce_core::db::Pool;
use commerce_core::jobs::WAKE_CHANNEL;
use commerce_core::payments::Providers;
use commerce_core::settings::ShopSettings;
use tokio::sync::Notify;

use crate::auth::SessionCache;
use crate::tokens::TokenKeys;

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Shared>);

pub struct Shared {
    pub pool: Pool,
    pub shop: ShopSettings,
    pub providers: Providers,
    pub tokens: TokenKeys,
    /// Codes that are mailed are derived from it.
    pub secret: SecretKey,
    pub sessions: SessionCache,
    wake: Notify,
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

/// However many orders are placed, workers are not woken more often than this.
const WAKE_PAUSE: Duration = Duration::from_millis(20);

impl State {
    pub fn new(pool: Pool, shop: ShopSettings, providers: Providers, keys: Keys) -> Self {
        let Keys { tokens, secret } = keys;
        let state = Self(Arc::new(Shared {
            pool,
            shop,
            providers,
            tokens,
            secret,
            sessions: SessionCache::default(),
            wake: Notify::new(),
        }));
        tokio::spawn(wake_workers(Arc::downgrade(&state.0)));
        state
    }

    /// Says that a commit may have left jobs behind. Returns at once; many calls make one NOTIFY.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

/// Sends the coalesced NOTIFY, outside of any order's transaction. Workers also poll, so one that is lost costs little.
async fn wake_workers(state: std::sync::Weak<Shared>) {
    loop {
        let Some(shared) = state.upgrade() else { return };
        // Looks up now and then, so that the task ends with the last State.
        if tokio::time::timeout(Duration::from_secs(5), shared.wake.notified()).await.is_err() {
            continue;
        }
        if let Ok(mut conn) = shared.pool.get().await {
            use diesel_async::SimpleAsyncConnection as _;
            if let Err(error) = conn.batch_execute(&format!("NOTIFY {WAKE_CHANNEL}")).await {
                tracing::debug!(%error, "workers could not be woken; they will poll");
            }
        }
        drop(shared);
        tokio::time::sleep(WAKE_PAUSE).await;
    }
}
