//! Applies what a verified webhook reports. It is safe in any order and any number of times.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::complete_refund::{CompleteRefundError, complete_refund};
use super::settle_payment::{SettlePaymentError, settle_payment};
use crate::db::Retryable;
use crate::ids::{PaymentId, RefundId};
use crate::notifications::{Template, enqueue_alert};
use crate::orders::{self, EventKind};
use crate::payments::{self, Dispute, PaymentKey, ProviderName, RefundKey, WebhookEvent};
use crate::request::Origin;
use crate::settings::ShopSettings;

/// Why a webhook's event had no effect. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SettleWebhookError {
    /// The webhook may arrive before the shop has recorded the provider's answer. Try again later.
    #[error("no payment {payment:?} of {provider} is known here")]
    UnknownPayment {
        /// The provider that reports it.
        provider: ProviderName,
        /// The provider's id of the payment, or ours.
        payment: PaymentKey,
    },
    /// The same for refunds.
    #[error("no refund {refund:?} of {provider} is known here")]
    UnknownRefund {
        /// The provider that reports it.
        provider: ProviderName,
        /// The provider's id of the refund, or ours.
        refund: RefundKey,
    },
    /// The payment's outcome could not be written.
    #[error(transparent)]
    Settle(#[from] SettlePaymentError),
    /// The refund's outcome could not be written.
    #[error(transparent)]
    Refund(#[from] CompleteRefundError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for SettleWebhookError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::UnknownPayment { .. } | Self::UnknownRefund { .. } => false,
            Self::Settle(error) => error.is_retryable(),
            Self::Refund(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
        }
    }
}

/// Applies one event to its payment or refund. A provider reports about its own payments only: an event about
/// another provider's payment finds nothing.
pub async fn settle_webhook(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    provider: &ProviderName,
    event: &WebhookEvent,
) -> Result<(), SettleWebhookError> {
    match event {
        WebhookEvent::Payment { payment, outcome, .. } => {
            let id = find_payment(conn, provider, payment).await?;
            settle_payment(conn, shop, id, outcome.clone(), &Origin::system()).await?;
        }
        WebhookEvent::Refund { refund, outcome, .. } => {
            let id = find_refund(conn, provider, refund).await?;
            complete_refund(conn, shop, id, outcome, &Origin::system()).await?;
        }
        WebhookEvent::Dispute { event_id, payment, dispute } => {
            let id = find_payment(conn, provider, payment).await?;
            tell_dispute(conn, shop, id, event_id, dispute).await?;
        }
        WebhookEvent::Ignored { event_id, kind } => {
            tracing::debug!(%provider, event_id, kind, "a webhook event was ignored");
        }
    }
    Ok(())
}

/// The order shows the dispute, and the shop gets an alert. The sums stay: the provider's bank has not decided.
async fn tell_dispute(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    payment_id: PaymentId,
    event_id: &str,
    dispute: &Dispute,
) -> QueryResult<()> {
    conn.transaction(async |conn| {
        let Some(order_id) = payments::order_of(conn, payment_id).await? else { return Ok(()) };
        let Some(order) = orders::lock(conn, order_id).await? else { return Ok(()) };
        if orders::was_recorded(conn, order.id, EventKind::PaymentDisputed, ("event_id", event_id.to_owned()))
            .await? {
            return Ok(());
        }
        let Dispute { reference, amount, reason, state, .. } = dispute;
        let data = json!({
            "payment_id": payment_id, "event_id": event_id, "reference": reference,
            "amount_minor": amount.amount_minor, "currency": amount.currency, "reason": reason, "state": state,
        });
        orders::record(conn, order.id, EventKind::PaymentDisputed, data, &Origin::system()).await?;
        let Some(alert_email) = &shop.alert_email else { return Ok(()) };
        let data = json!({
            "order_id": order.id, "amount": amount.to_string(), "reason": reason, "state": state,
        });
        enqueue_alert(conn, Template::DisputeAlert, alert_email, data).await
    })
    .await
}

async fn find_payment(
    conn: &mut AsyncPgConnection,
    provider: &ProviderName,
    key: &PaymentKey,
) -> Result<PaymentId, SettleWebhookError> {
    let payment = match key {
        PaymentKey::Id(id) => payments::find(conn, *id).await?,
        PaymentKey::Reference(reference) => payments::find_by_reference(conn, provider, reference).await?,
    };
    let own = payment.filter(|payment| payment.provider == *provider);
    own.map(|payment| payment.id).ok_or_else(|| SettleWebhookError::UnknownPayment {
        provider: provider.clone(),
        payment: key.clone(),
    })
}

async fn find_refund(
    conn: &mut AsyncPgConnection,
    provider: &ProviderName,
    key: &RefundKey,
) -> Result<RefundId, SettleWebhookError> {
    let refund = match key {
        RefundKey::Id(id) => payments::find_refund(conn, *id).await?,
        RefundKey::Reference(reference) => {
            payments::find_refund_by_reference(conn, provider, reference).await?
        }
    };
    let unknown = || SettleWebhookError::UnknownRefund { provider: provider.clone(), refund: key.clone() };
    let refund = refund.ok_or_else(unknown)?;
    let payment = payments::find(conn, refund.payment_id).await?;
    let own = payment.is_some_and(|payment| payment.provider == *provider);
    if own { Ok(refund.id) } else { Err(unknown()) }
}
