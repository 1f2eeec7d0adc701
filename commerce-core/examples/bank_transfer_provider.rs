//! A host's own payment provider: the shopper transfers the money, and the bank's webhook reports what came
//! in.
//!
//! `cargo run -p commerce-core --example bank_transfer_provider` prints what the shopper must do and what a
//! webhook reports.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use commerce_core::money::Money;
use commerce_core::payments::{
    Capture, Invoice, Outcome, Payment, PaymentKey, PaymentProvider, ProviderError, ProviderName, Providers,
    Refund, RefundKey, RefundOutcome, RequiredAction, WebhookDelivery, WebhookError, WebhookEvent,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

/// The name of the provider in requests, answers and the database.
pub const NAME: &str = "bank_transfer";

/// The header of the bank's webhook with its signature: HMAC-SHA256 of the body, in Base64.
pub const SIGNATURE_HEADER: &str = "bank-signature";

/// Takes transfers to one account.
pub struct BankTransfer {
    name: ProviderName,
    iban: String,
    webhook_secret: Vec<u8>,
}

impl BankTransfer {
    /// `iban` is the shop's account; `webhook_secret` is shared with the bank.
    pub fn new(
        iban: &str,
        webhook_secret: &[u8],
    ) -> Result<Self, commerce_core::payments::InvalidProviderName> {
        let name = ProviderName::new(NAME)?;
        Ok(Self { name, iban: iban.to_owned(), webhook_secret: webhook_secret.to_owned() })
    }

    /// The text that the shopper enters in the transfer.
    fn reference(payment: &Payment) -> String {
        format!("ORDER-{}", payment.id.0.simple())
    }

    /// Only the bank knows more. The shopper was told what to do.
    fn waiting(&self, payment: &Payment) -> Outcome {
        let reference = Self::reference(payment);
        let amount = Money::new(payment.amount_minor, payment.currency).to_string();
        let data = serde_json::json!({ "iban": self.iban, "reference": reference, "amount": amount });
        Outcome::RequiresAction { reference, action: RequiredAction::Client { data } }
    }
}

/// The signature that the bank gives a webhook.
pub fn sign(secret: &[u8], body: &[u8]) -> String {
    STANDARD.encode(mac(secret, body).finalize().into_bytes())
}

fn mac(secret: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| unreachable!("any length will do"));
    mac.update(body);
    mac
}

/// The bank's webhook: money came in or went out.
#[derive(Deserialize)]
struct Booking {
    id: String,
    direction: String,
    reference: String,
    money: Money,
}

impl PaymentProvider for BankTransfer {
    fn name(&self) -> ProviderName {
        self.name.clone()
    }

    fn check_request(&self, request: &serde_json::Value) -> Result<(), String> {
        let asks_nothing = request.as_object().is_some_and(serde_json::Map::is_empty);
        if asks_nothing { Ok(()) } else { Err("a bank transfer has no details".to_owned()) }
    }

    fn start<'a>(
        &'a self,
        payment: &'a Payment,
        _: &'a Invoice,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async { Ok(self.waiting(payment)) }.boxed()
    }

    fn confirm<'a>(
        &'a self,
        payment: &'a Payment,
        _: &'a serde_json::Value,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async { Ok(self.waiting(payment)) }.boxed()
    }

    /// The bank account stays open, so a transfer that comes after this is late money.
    fn expire<'a>(&'a self, _: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async { Ok(Outcome::Expired) }.boxed()
    }

    fn attempt_status<'a>(
        &'a self,
        payment: &'a Payment,
    ) -> BoxFuture<'a, Result<Option<Outcome>, ProviderError>> {
        async { Ok(Some(self.waiting(payment))) }.boxed()
    }

    /// The transfer is ordered at the bank in another way. The bank's webhook reports when it is done.
    fn refund<'a>(
        &'a self,
        _: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<RefundOutcome, ProviderError>> {
        async { Ok(RefundOutcome::Pending { reference: format!("REFUND-{}", refund.provider_key()) }) }
            .boxed()
    }

    fn refund_status<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<Option<RefundOutcome>, ProviderError>> {
        async { self.refund(payment, refund).await.map(Some) }.boxed()
    }

    fn webhook(&self, delivery: &WebhookDelivery<'_>) -> Result<Vec<WebhookEvent>, WebhookError> {
        let signature = delivery.headers.get(SIGNATURE_HEADER).ok_or(WebhookError::Unverified)?;
        let signature = STANDARD.decode(signature).map_err(|_| WebhookError::Unverified)?;
        mac(&self.webhook_secret, delivery.body)
            .verify_slice(&signature)
            .map_err(|_| WebhookError::Unverified)?;
        let bookings: Vec<Booking> =
            serde_json::from_slice(delivery.body).map_err(WebhookError::unreadable)?;
        Ok(bookings.into_iter().map(WebhookEvent::from).collect())
    }
}

impl From<Booking> for WebhookEvent {
    fn from(booking: Booking) -> Self {
        let Booking { id: event_id, direction, reference, money } = booking;
        match direction.as_str() {
            "in" => WebhookEvent::Payment {
                event_id,
                payment: PaymentKey::Reference(reference.clone()),
                outcome: Outcome::Succeeded(Capture::new(reference, money)),
            },
            "out" => WebhookEvent::Refund {
                event_id,
                refund: RefundKey::Reference(reference.clone()),
                outcome: RefundOutcome::Succeeded { reference },
            },
            _ => WebhookEvent::Ignored { event_id, kind: direction },
        }
    }
}

#[allow(dead_code, reason = "the tests run the provider without it")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let provider: Arc<dyn PaymentProvider> =
        Arc::new(BankTransfer::new("GB33BUKB20201555555555", b"secret")?);
    let providers = Providers::new([Arc::clone(&provider)]);
    println!("enabled: {providers:?}");
    let body = br#"[{"id": "1", "direction": "in", "reference": "ORDER-1", "money": {"amount_minor": 1250, "currency": "GBP"}}]"#;
    let mut headers = http::HeaderMap::new();
    headers.insert(SIGNATURE_HEADER, sign(b"secret", body).parse()?);
    let now = chrono::Utc::now();
    match provider.webhook(&WebhookDelivery::new(&headers, body, now)) {
        Ok(events) => println!("the bank tells: {events:?}"),
        Err(error) => println!("refused: {error}"),
    }
    Ok(())
}
