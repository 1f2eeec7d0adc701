//! The objects of Stripe's API, as far as they are read.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use crate::ids::{PaymentId, RefundId};

/// Our ids are written into the metadata of what we create.
pub(super) type Metadata = BTreeMap<String, String>;

/// The key of our payment's id in the metadata.
pub(super) const PAYMENT_ID: &str = "payment_id";
/// The key of our order's id.
pub(super) const ORDER_ID: &str = "order_id";
/// The key of our refund's id.
pub(super) const REFUND_ID: &str = "refund_id";
/// The key of the number of the refund's attempt.
pub(super) const ATTEMPT: &str = "attempt";

/// The value, if there is one that can be read.
pub(super) fn metadata_value<T: FromStr>(metadata: &Metadata, key: &str) -> Option<T> {
    metadata.get(key)?.parse().ok()
}

/// The payment that an object with this metadata belongs to.
pub(super) fn payment_id(metadata: &Metadata) -> Option<PaymentId> {
    metadata_value(metadata, PAYMENT_ID)
}

/// The refund that an object with this metadata belongs to.
pub(super) fn refund_id(metadata: &Metadata) -> Option<RefundId> {
    metadata_value(metadata, REFUND_ID)
}

/// An object, or only its id if it was not expanded.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Expandable<T> {
    Id(String),
    Object(Box<T>),
}

impl<T> Expandable<T> {
    pub fn object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(object),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Session {
    pub id: String,
    pub status: Option<String>,
    pub payment_status: String,
    pub url: Option<String>,
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    pub amount_total: Option<i64>,
    pub currency: Option<String>,
    pub client_reference_id: Option<String>,
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl Session {
    /// The id of its payment intent. There is one once the shopper has tried to pay.
    pub fn payment_intent_id(&self) -> Option<&str> {
        match self.payment_intent.as_ref()? {
            Expandable::Id(id) => Some(id),
            Expandable::Object(intent) => Some(&intent.id),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct PaymentIntent {
    pub id: String,
    pub status: String,
    #[serde(default)]
    pub amount_received: i64,
    #[serde(default)]
    pub amount_capturable: i64,
    pub currency: String,
    pub latest_charge: Option<Expandable<Charge>>,
    pub last_payment_error: Option<ErrorBody>,
    #[serde(default)]
    pub metadata: Metadata,
}

#[derive(Debug, Deserialize)]
pub(super) struct Charge {
    pub balance_transaction: Option<Expandable<BalanceTransaction>>,
    pub payment_method_details: Option<PaymentMethodDetails>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PaymentMethodDetails {
    pub card: Option<CardDetails>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CardDetails {
    pub capture_before: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct BalanceTransaction {
    pub fee: i64,
    pub currency: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct StripeRefund {
    pub id: String,
    pub status: Option<String>,
    pub failure_reason: Option<String>,
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StripeDispute {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    pub reason: String,
    pub status: String,
    pub payment_intent: Option<Expandable<PaymentIntent>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub data: Vec<T>,
    pub has_more: bool,
}

/// Why something failed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorBody {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub code: Option<String>,
    pub decline_code: Option<String>,
    pub param: Option<String>,
}

impl ErrorBody {
    /// The most exact code that there is.
    pub fn best_code(&self) -> Option<&str> {
        self.decline_code.as_deref().or(self.code.as_deref()).or(self.kind.as_deref())
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorAnswer {
    pub error: ErrorBody,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub data: EventData,
}

#[derive(Debug, Deserialize)]
pub(super) struct EventData {
    pub object: serde_json::Value,
}
