//! Stripe's webhooks: the signature, and what the events mean.

use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::amount::from_stripe;
use super::objects::{
    Event, Expandable, Metadata, PaymentIntent, Session, StripeDispute, StripeRefund, payment_id, refund_id,
};
use super::outcome::{ASYNC_FAILED, authorization, capture, of_session};
use super::refunds::state_of_refund;
use crate::ids::PaymentId;
use crate::payments::signature::is_signed_hex;
use crate::payments::{Dispute, Outcome, PaymentKey, RefundKey, WebhookDelivery, WebhookError, WebhookEvent};

/// The header with the time and the signatures: `t=1492774577,v1=5257a869…,v1=…`.
const SIGNATURE_HEADER: &str = "stripe-signature";

/// The most seconds between the signature and the receipt.
const TOLERANCE: i64 = 300;

/// Verifies a webhook with any of the secrets, and reads it.
pub(super) fn read(secrets: &[String], delivery: &WebhookDelivery<'_>) -> Result<WebhookEvent, WebhookError> {
    verify(secrets, delivery)?;
    let event: Event = serde_json::from_slice(delivery.body).map_err(WebhookError::unreadable)?;
    let Event { id, kind, data } = event;
    let about = About::of(&kind, data.object)?;
    Ok(match about {
        Some(About::Payment(payment, outcome)) => WebhookEvent::Payment { event_id: id, payment, outcome },
        Some(About::Refund(refund)) => match refund.metadata.as_ref().and_then(refund_id) {
            Some(ours) => WebhookEvent::Refund {
                event_id: id,
                refund: RefundKey::Id(ours),
                outcome: state_of_refund(&refund),
            },
            // Somebody refunded it in Stripe's dashboard.
            None => WebhookEvent::Ignored { event_id: id, kind },
        },
        Some(About::Dispute(payment, dispute)) => WebhookEvent::Dispute { event_id: id, payment, dispute },
        None => WebhookEvent::Ignored { event_id: id, kind },
    })
}

/// What an event is about. Other sales of the same account have no payment of ours, and are ignored.
enum About {
    Payment(PaymentKey, Outcome),
    Refund(StripeRefund),
    Dispute(PaymentKey, Dispute),
}

impl About {
    fn of(kind: &str, object: Value) -> Result<Option<Self>, WebhookError> {
        match kind {
            "checkout.session.completed"
            | "checkout.session.expired"
            | "checkout.session.async_payment_succeeded"
            | "checkout.session.async_payment_failed" => Self::of_session(kind, &parse(object)?),
            "payment_intent.succeeded"
            | "payment_intent.amount_capturable_updated"
            | "payment_intent.canceled" => Self::of_intent(kind, &parse(object)?),
            "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
                Ok(Some(Self::Refund(parse(object)?)))
            }
            "charge.dispute.created"
            | "charge.dispute.updated"
            | "charge.dispute.closed"
            | "charge.dispute.funds_withdrawn"
            | "charge.dispute.funds_reinstated" => Self::of_dispute(parse(object)?),
            // `payment_intent.payment_failed` is one of them: the page is still open, and the shopper may take another
            // card. So is `charge.refunded`: the events of the refund say more.
            _ => Ok(None),
        }
    }

    fn of_session(kind: &str, session: &Session) -> Result<Option<Self>, WebhookError> {
        let Some(payment) = own_payment(session.metadata.as_ref()) else { return Ok(None) };
        let outcome = match kind {
            "checkout.session.expired" => Outcome::Expired,
            "checkout.session.async_payment_failed" => Outcome::Failed {
                reference: session.payment_intent_id().map(str::to_owned),
                code: ASYNC_FAILED.to_owned(),
            },
            _ => of_session(session).map_err(WebhookError::unreadable)?,
        };
        Ok(Some(Self::Payment(PaymentKey::Id(payment), outcome)))
    }

    fn of_intent(kind: &str, intent: &PaymentIntent) -> Result<Option<Self>, WebhookError> {
        let Some(payment) = own_payment(Some(&intent.metadata)) else { return Ok(None) };
        let outcome = match kind {
            "payment_intent.succeeded" => capture(intent).map(Outcome::Succeeded),
            // It is also sent when nothing is left to be captured.
            "payment_intent.amount_capturable_updated" if intent.amount_capturable == 0 => return Ok(None),
            "payment_intent.amount_capturable_updated" => authorization(intent).map(Outcome::Authorized),
            _ => Ok(Outcome::Expired),
        };
        let outcome = outcome.map_err(WebhookError::unreadable)?;
        Ok(Some(Self::Payment(PaymentKey::Id(payment), outcome)))
    }

    /// A dispute has no metadata of ours. It is about a payment that succeeded, whose reference is the intent.
    fn of_dispute(dispute: StripeDispute) -> Result<Option<Self>, WebhookError> {
        let intent = match dispute.payment_intent {
            Some(Expandable::Id(id)) => id,
            Some(Expandable::Object(intent)) => intent.id,
            None => return Ok(None),
        };
        let amount = from_stripe(dispute.amount, &dispute.currency).map_err(WebhookError::unreadable)?;
        let dispute = Dispute::new(dispute.id, amount, dispute.reason, dispute.status);
        Ok(Some(Self::Dispute(PaymentKey::Reference(intent), dispute)))
    }
}

fn own_payment(metadata: Option<&Metadata>) -> Option<PaymentId> {
    metadata.and_then(payment_id)
}

fn parse<T: DeserializeOwned>(object: Value) -> Result<T, WebhookError> {
    serde_json::from_value(object).map_err(WebhookError::unreadable)
}

/// The signature covers the time, a dot and the body.
fn verify(secrets: &[String], delivery: &WebhookDelivery<'_>) -> Result<(), WebhookError> {
    let (time, signatures) = parts(delivery.headers).ok_or(WebhookError::Unverified)?;
    let seconds: i64 = time.parse().map_err(|_| WebhookError::Unverified)?;
    if delivery.received_at.timestamp().abs_diff(seconds) > TOLERANCE.unsigned_abs() {
        return Err(WebhookError::Unverified);
    }
    let signed = [time.as_bytes(), b".", delivery.body];
    let is_right =
        |signature: &&str| secrets.iter().any(|secret| is_signed_hex(secret.as_bytes(), &signed, signature));
    if signatures.iter().any(is_right) { Ok(()) } else { Err(WebhookError::Unverified) }
}

/// The time, and the signatures of the scheme v1. A header with several times is not from Stripe.
fn parts(headers: &HeaderMap) -> Option<(&str, Vec<&str>)> {
    let header = headers.get(SIGNATURE_HEADER)?.to_str().ok()?;
    let of = |name: &'static str| {
        let items = header.split(',').filter_map(|item| item.trim().split_once('='));
        items.filter(move |(key, _)| *key == name).map(|(_, value)| value)
    };
    let mut times = of("t");
    let (time, None) = (times.next()?, times.next()) else { return None };
    Some((time, of("v1").collect()))
}
