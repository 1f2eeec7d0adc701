//! Learns about new jobs: from other processes through Postgres, and from this process directly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commerce_core::{db, jobs};
use diesel_async::SimpleAsyncConnection;
use futures_util::StreamExt;
use tokio::sync::Notify;

const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Wakes the claimer of jobs.
#[derive(Debug, Default)]
pub struct Wake {
    wanted: Notify,
    is_listening: AtomicBool,
}

impl Wake {
    /// Makes the claimer look at once.
    pub fn wake(&self) {
        self.wanted.notify_one();
    }

    /// Resolves when [`wake`](Self::wake) was called since the last time.
    pub async fn woken(&self) {
        self.wanted.notified().await;
    }

    /// Whether notifications of other processes arrive. If not, the claimer must poll.
    pub fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Relaxed)
    }

    /// Also wakes the claimer. After a change it must look for jobs it was not told about, and it must know
    /// whether it can sleep for long.
    fn set_listening(&self, is_listening: bool) {
        self.is_listening.store(is_listening, Ordering::Relaxed);
        self.wake();
    }
}

/// Listens for ever on a connection of its own, and reconnects if the connection breaks.
pub async fn listen(database_url: String, wake: Arc<Wake>) {
    loop {
        if let Err(error) = listen_once(&database_url, &wake).await {
            tracing::warn!(%error, "not listening for new jobs at the moment; polling often instead");
        }
        wake.set_listening(false);
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}

async fn listen_once(database_url: &str, wake: &Wake) -> anyhow::Result<()> {
    let mut conn = db::connect(database_url).await?;
    conn.batch_execute(&format!("LISTEN {}", jobs::WAKE_CHANNEL)).await?;
    wake.set_listening(true);
    let mut notifications = std::pin::pin!(conn.notifications_stream());
    while let Some(notification) = notifications.next().await {
        notification?;
        wake.wake();
    }
    anyhow::bail!("the connection was closed")
}
