//! `/webhooks`: what payment providers report, and how staff look at it.

use chrono::{DateTime, Utc};
use commerce_core::db::current_time;
use commerce_core::flows::{ReplayWebhookError, receive_webhook, replay_webhook};
use commerce_core::ids::WebhookId;
use commerce_core::page::Limit;
use commerce_core::payments::{
    self, InboundWebhook, ListWebhooksError, ProviderName, WebhookDelivery, WebhookError, list_webhooks,
};
use diesel_async::AsyncPgConnection;
use poem::Request;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::answer::{List, Okay, twenty};
use crate::http::auth::{Can, PaymentsRead, PaymentsRefund};
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::problem::{Code, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::raw_body::RawBody;
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Webhooks(pub State);

#[OpenApi(tag = "Tag::Payments")]
impl Webhooks {
    /// Receive a webhook
    ///
    /// For payment providers. The signature of the raw body is verified, each event is stored once, and a job applies it.
    /// Enter the URL of this operation, with the provider's name, in the provider's dashboard.
    #[oai(path = "/webhooks/:provider", method = "post", operation_id = "receive_webhook")]
    async fn receive(
        &self,
        provider: Path<String>,
        body: RawBody,
        request: &Request,
    ) -> Result<Okay<WebhookReceived>, Refused<NotVerified>> {
        let name =
            provider.0.parse::<ProviderName>().ok().filter(|name| self.0.providers.get(name).is_some());
        let name = name.ok_or(NotVerified(WebhookError::NotExpected))?;
        let provider = self.0.providers.get(&name).ok_or(NotVerified(WebhookError::NotExpected))?;
        let received_at = current_time(&mut *self.0.conn().await?).await.map_err(Problem::from)?;
        let delivery = WebhookDelivery::new(request.headers(), &body.0, received_at);
        let events = provider.webhook(&delivery).inspect_err(|error| {
            count(&name, "refused");
            tracing::warn!(provider = %name, %error, "a webhook was refused");
        });
        let events = events.map_err(NotVerified)?;
        let told = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let stored_for = name.clone();
        let store = async move |conn: &mut AsyncPgConnection| {
            Ok::<_, OnlyDatabase>(receive_webhook(conn, &stored_for, &events).await?)
        };
        let new = self.0.transaction("receive_webhook", store).await?;
        count(&name, if new > 0 { "new" } else { "known" });
        Ok(Okay::new(WebhookReceived { events: told }))
    }

    /// List webhook events
    ///
    /// What payment providers have reported, newest first. An event that is `failed` could not be applied.
    #[oai(path = "/admin/webhooks", method = "get", operation_id = "admin_list_webhooks")]
    async fn list(
        &self,
        _staff: Can<PaymentsRead>,
        status: Query<Option<WebhookStatus>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Webhook>>, Refused<ListWebhooksError>> {
        let limit = Limit::new(limit.0).unwrap_or_default();
        let mut conn = self.0.conn().await?;
        let page = list_webhooks(&mut conn, status.0.map(Into::into), limit, cursor.0.as_deref()).await?;
        Ok(Okay::page(page.map(Webhook::from)))
    }

    /// Replay a webhook event
    ///
    /// A job applies the event once more. What it reports is counted once in any case.
    #[oai(path = "/admin/webhooks/:id/replay", method = "post", operation_id = "admin_replay_webhook")]
    async fn replay(
        &self,
        staff: Can<PaymentsRefund>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
    ) -> Result<Okay<Webhook>, Refused<ReplayWebhookError>> {
        let request = key.request(&staff, b"");
        let (id, author) = (WebhookId(id.0), staff.author());
        let effect = async move |conn: &mut AsyncPgConnection| {
            replay_webhook(conn, id, &author).await.map(Webhook::from)
        };
        self.0.write("replay_webhook", request, effect).await
    }
}

fn count(provider: &ProviderName, result: &'static str) {
    let provider = provider.to_string();
    metrics::counter!("commerce_webhooks_total", "provider" => provider, "result" => result).increment(1);
}

/// What was received.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct WebhookReceived {
    /// The events in the webhook. Events that were received before are among them.
    pub events: i64,
}

impl Example for WebhookReceived {
    fn example() -> Self {
        Self { events: 1 }
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "payments::WebhookStatus")]
pub enum WebhookStatus {
    /// A job will apply it.
    Received,
    Processed,
    /// It is of no interest to the shop.
    Ignored,
    /// It could not be applied.
    Failed,
}

/// An event that a payment provider has reported.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Webhook {
    pub id: Uuid,
    /// The payment provider, such as `stripe`.
    pub provider: String,
    /// The provider's own id of the event.
    pub event_id: String,
    /// What was read from the webhook.
    pub event: Value,
    pub status: WebhookStatus,
    /// Why it was not applied yet.
    pub error: Option<String>,
    pub received_at: DateTime<Utc>,
    pub processed_at: Option<DateTime<Utc>>,
}

impl From<InboundWebhook> for Webhook {
    fn from(webhook: InboundWebhook) -> Self {
        Self {
            id: webhook.id.0,
            provider: webhook.provider.to_string(),
            event_id: webhook.event_id,
            event: webhook.event,
            status: webhook.status.into(),
            error: webhook.error,
            received_at: webhook.received_at,
            processed_at: webhook.processed_at,
        }
    }
}

impl Example for Webhook {
    fn example() -> Self {
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b81),
            provider: "stripe".to_owned(),
            event_id: "evt_1NG8Du2eZvKYlo2CUI79vXWy".to_owned(),
            event: json!({ "about": "ignored", "kind": "customer.created" }),
            status: WebhookStatus::Ignored,
            error: None,
            received_at: DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
            processed_at: None,
        }
    }
}

/// Why a webhook is refused.
#[derive(Debug)]
pub struct NotVerified(WebhookError);

impl Refusal for NotVerified {
    const CODES: &'static [Code] = &[Code::NotFound, Code::WebhookUnverified];

    fn problem(self) -> Problem {
        match self.0 {
            WebhookError::NotExpected => Problem::not_found("payment provider with webhooks"),
            error => Problem::new(Code::WebhookUnverified, error.to_string()),
        }
    }
}

impl Refusal for ListWebhooksError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for ReplayWebhookError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::WebhookIgnored];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => Problem::not_found("webhook event"),
            Self::Ignored => Problem::new(Code::WebhookIgnored, Code::WebhookIgnored.meaning()),
            Self::Database(error) => error.into(),
        }
    }
}
