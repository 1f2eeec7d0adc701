//! The webhooks of the mock provider: signed JSON with one event each.

use serde::Deserialize;

use super::signature::{is_signed_hex, sign_hex};
use super::{
    Capture, Outcome, PaymentKey, RefundKey, RefundOutcome, WebhookDelivery, WebhookError, WebhookEvent,
};
use crate::ids::{PaymentId, RefundId};
use crate::money::Money;

/// The header with the signature: HMAC-SHA256 of the body, in hexadecimal.
pub(super) const SIGNATURE_HEADER: &str = "mock-signature";

pub(super) fn sign(secret: &[u8], body: &[u8]) -> String {
    sign_hex(secret, &[body])
}

pub(super) fn read(secret: &[u8], delivery: &WebhookDelivery<'_>) -> Result<WebhookEvent, WebhookError> {
    let signature = delivery.headers.get(SIGNATURE_HEADER).and_then(|header| header.to_str().ok());
    if !signature.is_some_and(|signature| is_signed_hex(secret, &[delivery.body], signature)) {
        return Err(WebhookError::Unverified);
    }
    let told: MockWebhook = serde_json::from_slice(delivery.body).map_err(WebhookError::unreadable)?;
    Ok(told.into())
}

/// The body of a webhook of this provider.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum MockWebhook {
    PaymentSucceeded {
        id: String,
        payment_id: PaymentId,
        captured: Money,
    },
    PaymentFailed {
        id: String,
        payment_id: PaymentId,
        code: String,
    },
    RefundSucceeded {
        id: String,
        refund_id: RefundId,
        reference: String,
    },
    RefundFailed {
        id: String,
        refund_id: RefundId,
        code: String,
    },
    /// An event that the shop ignores.
    Ping {
        id: String,
    },
}

impl From<MockWebhook> for WebhookEvent {
    fn from(told: MockWebhook) -> Self {
        let of_payment = |event_id, payment_id, outcome| Self::Payment {
            event_id,
            payment: PaymentKey::Id(payment_id),
            outcome,
        };
        let of_refund = |event_id, refund_id, outcome| Self::Refund {
            event_id,
            refund: RefundKey::Id(refund_id),
            outcome,
        };
        match told {
            MockWebhook::PaymentSucceeded { id, payment_id, captured } => {
                let reference = format!("mock_{}", payment_id.0.simple());
                of_payment(id, payment_id, Outcome::Succeeded(Capture::new(reference, captured)))
            }
            MockWebhook::PaymentFailed { id, payment_id, code } => {
                of_payment(id, payment_id, Outcome::Failed { reference: None, code })
            }
            MockWebhook::RefundSucceeded { id, refund_id, reference } => {
                of_refund(id, refund_id, RefundOutcome::Succeeded { reference })
            }
            MockWebhook::RefundFailed { id, refund_id, code } => {
                of_refund(id, refund_id, RefundOutcome::Failed { reference: None, code })
            }
            MockWebhook::Ping { id } => Self::Ignored { event_id: id, kind: "ping".to_owned() },
        }
    }
}
