//! Razorpay's webhooks: the signature, and what the events mean.

use data_encoding::HEXLOWER;
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::objects::{Event, Payload, RazorpayPayment, money};
use super::outcome::{capture, failed};
use super::refunds::state_of_refund;
use crate::payments::signature::is_signed_hex;
use crate::payments::{Dispute, Outcome, PaymentKey, RefundKey, WebhookDelivery, WebhookError, WebhookEvent};

/// The header with the signature of the body.
const SIGNATURE_HEADER: &str = "x-razorpay-signature";

/// The header with the id of the event. The body has none.
const EVENT_ID_HEADER: &str = "x-razorpay-event-id";

/// Verifies a webhook with any of the secrets, and reads it.
pub(super) fn read(secrets: &[String], delivery: &WebhookDelivery<'_>) -> Result<WebhookEvent, WebhookError> {
    let signature = text(delivery.headers, SIGNATURE_HEADER).ok_or(WebhookError::Unverified)?;
    let is_signed = |secret: &String| is_signed_hex(secret.as_bytes(), &[delivery.body], signature);
    if !secrets.iter().any(is_signed) {
        return Err(WebhookError::Unverified);
    }
    let event: Event = serde_json::from_slice(delivery.body).map_err(WebhookError::unreadable)?;
    let event_id =
        text(delivery.headers, EVENT_ID_HEADER).map_or_else(|| digest(delivery.body), str::to_owned);
    let Event { event: kind, payload } = event;
    let ignored = |kind: String, event_id: String| WebhookEvent::Ignored { event_id, kind };
    let told = match kind.as_str() {
        "payment.captured" | "payment.failed" | "payment.authorized" | "order.paid" => {
            payment(&kind, &payload)?.map(|(payment, outcome)| WebhookEvent::Payment {
                event_id: event_id.clone(),
                payment,
                outcome,
            })
        }
        "refund.created" | "refund.processed" | "refund.failed" => refund(&payload)
            .map(|(refund, outcome)| WebhookEvent::Refund { event_id: event_id.clone(), refund, outcome }),
        kind if kind.starts_with("payment.dispute.") => dispute(&payload)?
            .map(|(payment, dispute)| WebhookEvent::Dispute { event_id: event_id.clone(), payment, dispute }),
        _ => None,
    };
    Ok(told.unwrap_or_else(|| ignored(kind, event_id)))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Stands for the id of an event without one: the same body is the same event.
fn digest(body: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(body))
}

/// The outcome of an attempt. An event is a snapshot of its moment, so it is read as what its name says.
fn payment(kind: &str, payload: &Payload) -> Result<Option<(PaymentKey, Outcome)>, WebhookError> {
    let Some((payment, order)) = payment_and_order(payload) else { return Ok(None) };
    let outcome = match kind {
        "payment.captured" | "order.paid" => {
            Outcome::Succeeded(capture(order, payment).map_err(WebhookError::unreadable)?)
        }
        "payment.failed" => failed(order, payment),
        // Razorpay is about to capture it. If the shop captures it, the attempt is soon asked about: the event does
        // not say which of the two.
        _ => Outcome::Processing { reference: order.to_owned() },
    };
    Ok(Some((PaymentKey::Reference(order.to_owned()), outcome)))
}

/// The payment of an event, and the id of its order. A payment without an order is not one of ours.
fn payment_and_order(payload: &Payload) -> Option<(&RazorpayPayment, &str)> {
    let payment = &payload.payment.as_ref()?.entity;
    let order = payload.order.as_ref().map(|order| order.entity.id.as_str());
    Some((payment, order.or(payment.order_id.as_deref())?))
}

/// The outcome of a refund. One without our id was made in the dashboard, or by Razorpay for a payment that nobody
/// captured.
fn refund(payload: &Payload) -> Option<(RefundKey, crate::payments::RefundOutcome)> {
    let refund = &payload.refund.as_ref()?.entity;
    Some((RefundKey::Id(refund.refund_id()?), state_of_refund(refund)))
}

fn dispute(payload: &Payload) -> Result<Option<(PaymentKey, Dispute)>, WebhookError> {
    let (Some(dispute), Some((_, order))) = (&payload.dispute, payment_and_order(payload)) else {
        return Ok(None);
    };
    let dispute = &dispute.entity;
    let amount = money(dispute.amount, &dispute.currency).map_err(WebhookError::unreadable)?;
    let reason = dispute.reason_code.as_deref().unwrap_or("unknown");
    let told = Dispute::new(&dispute.id, amount, reason, &dispute.status);
    Ok(Some((PaymentKey::Reference(order.to_owned()), told)))
}
