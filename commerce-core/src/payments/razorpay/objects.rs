//! The objects of Razorpay's API, as far as they are read.

use serde::Deserialize;
use serde_json::Value;

use crate::ids::RefundId;
use crate::money::{Currency, Money};

/// The key of our payment's id in the notes of an order.
pub(super) const PAYMENT_ID: &str = "payment_id";
/// The key of our order's id.
pub(super) const ORDER_ID: &str = "order_id";
/// The key of our refund's id in the notes of a refund.
pub(super) const REFUND_ID: &str = "refund_id";
/// The key of the number of the refund's attempt.
pub(super) const ATTEMPT: &str = "attempt";

/// An amount that Razorpay reports in a currency that the shop does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no currency that the shop knows")]
pub(super) struct UnknownCurrency(pub String);

/// An amount of Razorpay, which is in the minor units of ISO 4217.
pub(super) fn money(amount: i64, currency: &str) -> Result<Money, UnknownCurrency> {
    let currency: Currency = currency.parse().map_err(|_| UnknownCurrency(currency.to_owned()))?;
    Ok(Money::new(amount, currency))
}

#[derive(Debug, Deserialize)]
pub(super) struct RazorpayOrder {
    pub id: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct RazorpayPayment {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    pub status: String,
    pub order_id: Option<String>,
    #[serde(default)]
    pub captured: Option<bool>,
    /// With tax, in paise.
    pub fee: Option<i64>,
    pub error_code: Option<String>,
    pub error_reason: Option<String>,
    #[serde(default)]
    pub created_at: i64,
}

impl RazorpayPayment {
    /// Whether money was taken. A payment whose money was refunded was captured before, unless Razorpay refunded it
    /// because nobody captured it.
    pub fn is_captured(&self) -> bool {
        match self.status.as_str() {
            "captured" => true,
            "refunded" => self.captured == Some(true),
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct RazorpayRefund {
    pub id: String,
    pub status: String,
    /// An object, or an empty list if there are none.
    #[serde(default)]
    pub notes: Value,
}

impl RazorpayRefund {
    /// The refund of ours that it was made for.
    pub fn refund_id(&self) -> Option<RefundId> {
        self.notes.get(REFUND_ID)?.as_str()?.parse().ok()
    }

    /// The number of the attempt of our refund.
    pub fn attempt(&self) -> Option<i32> {
        self.notes.get(ATTEMPT)?.as_str()?.parse().ok()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct RazorpayDispute {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    pub reason_code: Option<String>,
    pub status: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Collection<T> {
    pub items: Vec<T>,
}

/// Why something was refused.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorBody {
    pub code: Option<String>,
    pub description: Option<String>,
    pub field: Option<String>,
    pub reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorAnswer {
    pub error: ErrorBody,
}

/// The body of a webhook.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub event: String,
    #[serde(default)]
    pub payload: Payload,
}

/// The objects that an event is about.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Payload {
    pub payment: Option<Entity<RazorpayPayment>>,
    pub order: Option<Entity<RazorpayOrder>>,
    pub refund: Option<Entity<RazorpayRefund>>,
    pub dispute: Option<Entity<RazorpayDispute>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entity<T> {
    pub entity: T,
}
