//! Hearing from other processes that there are new jobs.

use std::sync::Arc;
use std::time::Duration;

use commerce_core::{db, jobs};
use diesel_async::SimpleAsyncConnection;
use futures_util::StreamExt;
use tokio::sync::Notify;

const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Listens for ever on a connection of its own, and opens a new one when that breaks. What is said meanwhile is lost, and
/// found by polling.
pub async fn listen(database_url: String, wake: Arc<Notify>) {
    loop {
        if let Err(error) = listen_once(&database_url, &wake).await {
            tracing::warn!(%error, "not listening for new jobs at the moment; polling goes on");
        }
        tokio::time::sleep(RECONNECT_AFTER).await;
    }
}

async fn listen_once(database_url: &str, wake: &Notify) -> anyhow::Result<()> {
    let mut conn = db::connect(database_url).await?;
    conn.batch_execute(&format!("LISTEN {}", jobs::WAKE_CHANNEL)).await?;
    let mut notifications = std::pin::pin!(conn.notifications_stream());
    while let Some(notification) = notifications.next().await {
        notification?;
        wake.notify_one();
    }
    anyhow::bail!("the connection was closed")
}
