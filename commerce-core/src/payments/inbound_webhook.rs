//! The rows of webhook events that providers have sent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{ProviderName, WebhookEvent};
use crate::db::{self, clock};
use crate::ids::WebhookId;
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::inbound_webhooks;
use crate::text_enum::text_enum;

text_enum! {
    /// What became of an event.
    pub enum WebhookStatus {
        /// A job will apply it.
        Received = "received",
        /// It was applied.
        Processed = "processed",
        /// It is of no interest to the shop.
        Ignored = "ignored",
        /// It could not be applied. Staff may replay it.
        Failed = "failed",
    }
}

/// A webhook's event, as it is stored.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = inbound_webhooks)]
pub struct InboundWebhook {
    /// Its id.
    pub id: WebhookId,
    /// The provider that sent it.
    pub provider: ProviderName,
    /// The provider's own id of the event.
    pub event_id: String,
    /// The event, as JSON of [`WebhookEvent`].
    pub event: serde_json::Value,
    /// What became of it.
    pub status: WebhookStatus,
    /// Why it was not applied yet.
    pub error: Option<String>,
    /// When it was first received.
    pub received_at: DateTime<Utc>,
    /// When it was applied.
    pub processed_at: Option<DateTime<Utc>>,
}

/// Stores an event, unless it is stored already. Returns the id of a new one.
pub(crate) async fn insert_webhook(
    conn: &mut AsyncPgConnection,
    provider: &ProviderName,
    event: &WebhookEvent,
) -> QueryResult<Option<WebhookId>> {
    let status = match event {
        WebhookEvent::Ignored { .. } => WebhookStatus::Ignored,
        _ => WebhookStatus::Received,
    };
    let json = serde_json::to_value(event)
        .map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
    diesel::insert_into(inbound_webhooks::table)
        .values((
            inbound_webhooks::id.eq(WebhookId::new()),
            inbound_webhooks::provider.eq(provider),
            inbound_webhooks::event_id.eq(event.event_id()),
            inbound_webhooks::event.eq(json),
            inbound_webhooks::status.eq(status),
        ))
        .on_conflict((inbound_webhooks::provider, inbound_webhooks::event_id))
        .do_nothing()
        .returning(inbound_webhooks::id)
        .get_result(conn)
        .await
        .optional()
}

/// An event by id.
pub async fn find_webhook(
    conn: &mut AsyncPgConnection,
    id: WebhookId,
) -> QueryResult<Option<InboundWebhook>> {
    inbound_webhooks::table.find(id).select(InboundWebhook::as_select()).first(conn).await.optional()
}

/// Writes what became of an event.
pub(crate) async fn set_webhook_status(
    conn: &mut AsyncPgConnection,
    id: WebhookId,
    status: WebhookStatus,
    error: Option<&str>,
) -> QueryResult<Option<InboundWebhook>> {
    let processed_at = diesel::dsl::case_when(
        status.into_sql::<diesel::sql_types::Text>().eq(WebhookStatus::Processed),
        clock().nullable(),
    );
    diesel::update(inbound_webhooks::table.find(id))
        .set((
            inbound_webhooks::status.eq(status),
            inbound_webhooks::error.eq(error),
            inbound_webhooks::processed_at.eq(processed_at),
        ))
        .returning(InboundWebhook::as_returning())
        .get_result(conn)
        .await
        .optional()
}

/// Why webhooks could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListWebhooksError {
    /// The cursor was not issued by this list.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

const SORT: &str = "-received_at";

/// One page of the events, in one status or in all, newest first.
pub async fn list_webhooks(
    conn: &mut AsyncPgConnection,
    status: Option<WebhookStatus>,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<InboundWebhook>, ListWebhooksError> {
    let mut query = inbound_webhooks::table.select(InboundWebhook::as_select()).into_boxed();
    if let Some(status) = status {
        query = query.filter(inbound_webhooks::status.eq(status));
    }
    if let Some(last) = Cursor::<DateTime<Utc>>::place::<WebhookId>(cursor, SORT)? {
        let place = (inbound_webhooks::received_at, inbound_webhooks::id)
            .into_sql::<Record<(Timestamptz, SqlUuid)>>();
        query = query.filter(place.lt(last));
    }
    let rows: Vec<InboundWebhook> = query
        .order((inbound_webhooks::received_at.desc(), inbound_webhooks::id.desc()))
        .limit(limit.rows_and_one())
        .load(conn)
        .await?;
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(SORT, last.received_at, last.id)))
}

/// How long an event is remembered. Providers send an event again for a few days at most.
pub const WEBHOOKS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Deletes events that are older than [`WEBHOOKS_KEPT`], `batch` at a time. Returns their number.
pub async fn prune_webhooks(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let delete = "DELETE FROM commerce.inbound_webhooks WHERE id = ANY (ARRAY(
         SELECT id FROM commerce.inbound_webhooks WHERE received_at < commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED))";
    db::prune(conn, batch, WEBHOOKS_KEPT, delete).await
}
