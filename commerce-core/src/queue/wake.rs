//! Tells workers that there is something to do, before they would poll.

use std::sync::Arc;
use std::time::Duration;

use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use tokio::sync::Notify;

use crate::db::Pool;

/// The channel on which a process may send a NOTIFY after its commits, to announce new jobs. Workers also
/// poll.
pub const WAKE_CHANNEL: &str = "commerce_jobs";

/// At most one notification is sent in this time, however many transactions commit.
const PAUSE: Duration = Duration::from_millis(10);

/// Wakes workers after commits. It is not a NOTIFY in the committing transaction, because Postgres lets only
/// one transaction with a notification commit at a time, which would delay orders. If a notification is lost
/// (a crash, a full pool), workers find the jobs by polling.
#[derive(Debug, Clone)]
pub struct Waker {
    wanted: Arc<Notify>,
}

impl Waker {
    /// Starts the task that sends the notifications, within a tokio runtime. The task ends with the last
    /// clone of the waker.
    pub fn start(pool: Pool) -> Self {
        let wanted = Arc::new(Notify::new());
        let asked = Arc::downgrade(&wanted);
        tokio::spawn(async move {
            while let Some(wanted) = asked.upgrade() {
                // Checks from time to time whether the waker still has owners.
                let asked_in_time = tokio::time::timeout(Duration::from_secs(5), wanted.notified()).await;
                drop(wanted);
                if asked_in_time.is_ok() {
                    if let Err(error) = notify(&pool).await {
                        tracing::debug!(%error, "workers were not woken; they will find the jobs by polling");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Self { wanted }
    }

    /// Call this after a commit that may have enqueued a job. It returns at once.
    pub fn wake(&self) {
        self.wanted.notify_one();
    }
}

async fn notify(pool: &Pool) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut conn = pool.get().await?;
    diesel::sql_query("SELECT pg_notify($1, '')").bind::<Text, _>(WAKE_CHANNEL).execute(&mut conn).await?;
    Ok(())
}
