//! Webhooks: verified events are stored, and the job `process_webhook` applies each of them once.

use chrono::TimeDelta;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::settle_webhook::{SettleWebhookError, settle_webhook};
use crate::audit_log::{self, Author, Subject};
use crate::db::{Pool, PoolError, Retryable, current_time};
use crate::ids::WebhookId;
use crate::payments::{self, InboundWebhook, ProviderName, WebhookEvent, WebhookStatus};
use crate::queue::{self, Failure, Job, Lease, LeaseLost, NewJob};
use crate::settings::ShopSettings;

/// Applies a stored event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessWebhook {
    /// The event.
    pub webhook_id: WebhookId,
}

impl Job for ProcessWebhook {
    const KIND: &'static str = "process_webhook";
    const ATTEMPTS_MAX: i32 = 20;
}

/// Why a stored event was not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessWebhookError {
    /// There is no event with this id.
    #[error("there is no webhook event {0}")]
    NotFound(WebhookId),
    /// Another version of the program has stored it.
    #[error("the stored event cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It could not be applied.
    #[error(transparent)]
    Settle(#[from] SettleWebhookError),
    /// The pool had no connection.
    #[error("no database connection is available: {0}")]
    NoConnection(#[from] PoolError),
    /// Another worker has taken over the job.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ProcessWebhookError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Settle(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<ProcessWebhookError> for Failure {
    fn from(error: ProcessWebhookError) -> Self {
        match error {
            ProcessWebhookError::NotFound(_) | ProcessWebhookError::Unreadable(_) => {
                Failure::Abort(error.to_string())
            }
            _ => Failure::Retry(error.to_string()),
        }
    }
}

/// Stores the events of a verified webhook, each once, and enqueues the jobs that apply them. Returns the number of events
/// that were new.
pub async fn receive_webhook(
    conn: &mut AsyncPgConnection,
    provider: &ProviderName,
    events: &[WebhookEvent],
) -> Result<usize, QueryError> {
    conn.transaction(async |conn| {
        let mut new = 0;
        for event in events {
            let Some(id) = payments::insert_webhook(conn, provider, event).await? else { continue };
            new += 1;
            if !matches!(event, WebhookEvent::Ignored { .. }) {
                enqueue(conn, id).await?;
            }
        }
        Ok(new)
    })
    .await
}

async fn enqueue(conn: &AsyncPgConnection, webhook_id: WebhookId) -> Result<(), QueryError> {
    let job = NewJob::new(&ProcessWebhook { webhook_id })
        .map_err(|error| QueryError::SerializationError(error.into()))?
        .dedupe_by(format!("process_webhook:{webhook_id}"));
    queue::enqueue_all(conn, vec![job]).await
}

/// For so long an event may wait for the payment that it is about: a webhook can be faster than the answer to the request
/// that began the payment.
const UNKNOWN_FOR: TimeDelta = TimeDelta::minutes(10);

/// The whole job: applies the event and completes the job in one transaction. An event about a payment that stays unknown
/// has failed. It may belong to another shop with the same account at the provider.
pub async fn run_webhook(
    pool: &Pool,
    shop: &ShopSettings,
    webhook_id: WebhookId,
    lease: Lease,
) -> Result<(), ProcessWebhookError> {
    let webhook = payments::find_webhook(&mut *pool.get().await?, webhook_id).await?;
    let webhook = webhook.ok_or(ProcessWebhookError::NotFound(webhook_id))?;
    let event: WebhookEvent = serde_json::from_value(webhook.event.clone())?;
    let applied =
        queue::complete_with(pool, "process_webhook", lease, async |conn: &mut AsyncPgConnection| {
            if webhook.status == WebhookStatus::Received {
                settle_webhook(conn, shop, &webhook.provider, &event).await?;
                payments::set_webhook_status(conn, webhook_id, WebhookStatus::Processed, None).await?;
            }
            Ok(())
        });
    let error: ProcessWebhookError = match applied.await {
        Ok(()) => {
            measure(pool, &webhook).await;
            return Ok(());
        }
        Err(error) => error,
    };
    let is_unknown = matches!(
        &error,
        ProcessWebhookError::Settle(
            SettleWebhookError::UnknownPayment { .. } | SettleWebhookError::UnknownRefund { .. }
        )
    );
    let now = current_time(&mut *pool.get().await?).await?;
    if is_unknown && webhook.received_at + UNKNOWN_FOR < now {
        return give_up(pool, webhook_id, lease, &error).await;
    }
    let message = error.to_string();
    payments::set_webhook_status(&mut *pool.get().await?, webhook_id, webhook.status, Some(&message)).await?;
    Err(error)
}

async fn give_up(
    pool: &Pool,
    webhook_id: WebhookId,
    lease: Lease,
    error: &ProcessWebhookError,
) -> Result<(), ProcessWebhookError> {
    let message = error.to_string();
    queue::complete_with(pool, "give_up_webhook", lease, async |conn: &mut AsyncPgConnection| {
        payments::set_webhook_status(conn, webhook_id, WebhookStatus::Failed, Some(&message)).await?;
        Ok::<_, ProcessWebhookError>(())
    })
    .await?;
    tracing::warn!(%webhook_id, %error, "a webhook event could not be applied");
    Ok(())
}

/// How long the event waited, as a metric.
async fn measure(pool: &Pool, webhook: &InboundWebhook) {
    let Ok(mut conn) = pool.get().await else { return };
    let Ok(now) = current_time(&mut conn).await else { return };
    let lag = (now - webhook.received_at).to_std().unwrap_or_default();
    let provider = webhook.provider.to_string();
    metrics::histogram!("commerce_webhook_lag_seconds", "provider" => provider).record(lag.as_secs_f64());
}

/// Why an event is not replayed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayWebhookError {
    /// There is no such event.
    #[error("there is no such webhook event")]
    NotFound,
    /// The event has no effect.
    #[error("the event is of no interest to the shop, and was ignored")]
    Ignored,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ReplayWebhookError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Has an event applied once more, whatever became of it. What it tells is counted once in any case. It is recorded in the
/// audit log.
pub async fn replay_webhook(
    conn: &mut AsyncPgConnection,
    webhook_id: WebhookId,
    author: &Author,
) -> Result<InboundWebhook, ReplayWebhookError> {
    conn.transaction(async |conn| {
        let webhook = payments::find_webhook(conn, webhook_id).await?.ok_or(ReplayWebhookError::NotFound)?;
        if webhook.status == WebhookStatus::Ignored {
            return Err(ReplayWebhookError::Ignored);
        }
        let replayed = payments::set_webhook_status(conn, webhook_id, WebhookStatus::Received, None).await?;
        enqueue(conn, webhook_id).await?;
        let facts = |status| {
            Some(json!({ "provider": webhook.provider, "event_id": webhook.event_id, "status": status }))
        };
        let (before, after) = (facts(webhook.status), facts(WebhookStatus::Received));
        let subject = Subject::Webhook(webhook_id);
        audit_log::record_facts(conn, author, "admin_replay_webhook", subject, before, after).await?;
        replayed.ok_or(ReplayWebhookError::NotFound)
    })
    .await
}
