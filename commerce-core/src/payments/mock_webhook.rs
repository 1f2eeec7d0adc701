//! The webhooks of the mock provider: signed JSON with one event each.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::{
    Capture, Outcome, PaymentKey, RefundKey, RefundOutcome, WebhookDelivery, WebhookError, WebhookEvent,
};
use crate::ids::{PaymentId, RefundId};
use crate::money::Money;

/// The header with the signature: HMAC-SHA256 of the body, in hexadecimal.
pub(super) const SIGNATURE_HEADER: &str = "mock-signature";

pub(super) fn sign(secret: &[u8], body: &[u8]) -> String {
    mac(secret, body).finalize().into_bytes().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

pub(super) fn read(secret: &[u8], delivery: &WebhookDelivery<'_>) -> Result<WebhookEvent, WebhookError> {
    let signature = delivery.headers.get(SIGNATURE_HEADER).ok_or(WebhookError::Unverified)?;
    let signature = decode_hex(signature.as_bytes()).ok_or(WebhookError::Unverified)?;
    mac(secret, delivery.body).verify_slice(&signature).map_err(|_| WebhookError::Unverified)?;
    let told: MockWebhook = serde_json::from_slice(delivery.body).map_err(WebhookError::unreadable)?;
    Ok(told.into())
}

fn mac(secret: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| unreachable!("any length will do"));
    mac.update(body);
    mac
}

fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.chunks(2);
    pairs
        .map(|pair| match pair {
            &[high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
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
