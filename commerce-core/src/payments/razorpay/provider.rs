//! The provider: what the shop asks for, in Razorpay's requests.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

use super::api::Api;
use super::objects::RazorpayPayment;
use super::outcome::{Standing, capture, failed, of_payments};
use super::refunds::{state_of_refund, state_of_refunds};
use super::requests::{self, HOLD_MINUTES, checkout_data, checkout_data_with, order_request, refund_request};
use super::settings::RazorpaySettings;
use super::webhook;
use crate::money::Money;
use crate::payments::provider_http::ProviderSetupError;
use crate::payments::signature::is_signed_hex;
use crate::payments::{
    CaptureMethod, Invoice, Outcome, Payment, PaymentProvider, ProviderError, ProviderName, Refund,
    RefundOutcome, RequiredAction, WebhookDelivery, WebhookError, WebhookEvent,
};

/// Takes money with Razorpay's checkout. An attempt is one Razorpay order.
pub struct RazorpayProvider {
    api: Api,
    settings: RazorpaySettings,
}

/// What the shopper's browser gets from the checkout and sends to `/confirm`.
#[derive(Debug, Deserialize)]
struct Confirmation {
    razorpay_order_id: String,
    razorpay_payment_id: String,
    razorpay_signature: String,
}

impl RazorpayProvider {
    /// The provider. Razorpay is not contacted yet.
    pub fn new(settings: RazorpaySettings) -> Result<Self, ProviderSetupError> {
        Ok(Self { api: Api::new(&settings)?, settings })
    }

    /// The id of the attempt's order. An attempt without a reference is looked for by its receipt, because the answer
    /// about it may have been lost.
    async fn order_id(&self, payment: &Payment) -> Result<Option<String>, ProviderError> {
        if let Some(reference) = &payment.provider_reference {
            return Ok(Some(reference.clone()));
        }
        let orders = self.api.orders_with_receipt(&payment.id.to_string()).await?;
        // If there are two, nobody has seen either: both requests were without an answer.
        Ok(orders.into_iter().map(|order| order.id).min())
    }

    /// The order and its payments. `None` if Razorpay does not know the attempt.
    async fn payments(
        &self,
        payment: &Payment,
    ) -> Result<Option<(String, Vec<RazorpayPayment>)>, ProviderError> {
        let Some(order) = self.order_id(payment).await? else { return Ok(None) };
        let payments = self.api.payments(&order).await?;
        Ok(payments.map(|payments| (order, payments)))
    }

    async fn status(&self, payment: &Payment) -> Result<Option<Outcome>, ProviderError> {
        let Some((order, payments)) = self.payments(payment).await? else { return Ok(None) };
        let outcome = of_payments(&order, &payments, payment.capture_method).map_err(unreadable)?;
        Ok(Some(outcome.unwrap_or_else(|| self.untouched(payment, &order))))
    }

    /// The shopper has not tried to pay yet. They were told how.
    fn untouched(&self, payment: &Payment, order: &str) -> Outcome {
        let told = payment.action.clone().and_then(|action| serde_json::from_value(action).ok());
        let action = told.unwrap_or_else(|| RequiredAction::Client {
            data: checkout_data(&self.settings, payment, order),
        });
        Outcome::RequiresAction { reference: order.to_owned(), action }
    }

    /// The payment whose money was taken.
    async fn captured(&self, payment: &Payment) -> Result<String, ProviderError> {
        let payments = self.payments(payment).await?.map(|(_, payments)| payments).unwrap_or_default();
        match Standing::of(&payments) {
            Standing::Captured(captured) => Ok(captured.id.clone()),
            _ => Err(refused("no payment of the order is captured")),
        }
    }

    /// Checks what the shopper's browser brings back. Only Razorpay can have signed it.
    fn check(&self, payment: &Payment, details: &Value) -> Result<(), ProviderError> {
        if details.is_null() {
            return Ok(());
        }
        let invalid = |cause: String| ProviderError::invalid_details(ProviderName::RAZORPAY, cause);
        let told = Confirmation::deserialize(details).map_err(|error| invalid(error.to_string()))?;
        if payment.provider_reference.as_deref() != Some(told.razorpay_order_id.as_str()) {
            return Err(invalid("razorpay_order_id is that of another payment".to_owned()));
        }
        let signed = [told.razorpay_order_id.as_bytes(), b"|", told.razorpay_payment_id.as_bytes()];
        if !is_signed_hex(self.settings.key_secret.as_bytes(), &signed, &told.razorpay_signature) {
            return Err(invalid("razorpay_signature is wrong".to_owned()));
        }
        Ok(())
    }
}

/// An answer that cannot be read says nothing about what was done.
fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> ProviderError {
    ProviderError::unreachable(ProviderName::RAZORPAY, error)
}

fn refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ProviderError {
    ProviderError::refused(ProviderName::RAZORPAY, cause)
}

impl PaymentProvider for RazorpayProvider {
    fn name(&self) -> ProviderName {
        ProviderName::RAZORPAY
    }

    fn check_request(&self, request: &Value) -> Result<(), String> {
        let asks_nothing = request.is_null() || request.as_object().is_some_and(serde_json::Map::is_empty);
        if asks_nothing { Ok(()) } else { Err("a payment with Razorpay has no details".to_owned()) }
    }

    /// Creates the order, or finds the one that an earlier request created.
    fn start<'a>(
        &'a self,
        payment: &'a Payment,
        invoice: &'a Invoice,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async {
            let request = order_request(payment).map_err(refused)?;
            let order = match self.order_id(payment).await? {
                Some(order) => order,
                None => self.api.create_order(&request).await?.id,
            };
            let data = checkout_data_with(&self.settings, payment, invoice, &order);
            Ok(Outcome::RequiresAction { reference: order, action: RequiredAction::Client { data } })
        }
        .boxed()
    }

    /// The signature proves that the shopper has paid for this order. How much was taken, only Razorpay can tell.
    fn confirm<'a>(
        &'a self,
        payment: &'a Payment,
        details: &'a Value,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async {
            self.check(payment, details)?;
            self.status(payment).await?.ok_or_else(|| ProviderError::unknown_attempt(ProviderName::RAZORPAY))
        }
        .boxed()
    }

    fn captures_parts(&self) -> bool {
        false
    }

    /// Razorpay captures what is authorized as a whole, or nothing.
    fn capture<'a>(
        &'a self,
        payment: &'a Payment,
        amount: Money,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async move {
            let found = self.payments(payment).await?;
            let (order, payments) = found.ok_or_else(|| refused("the order is not known"))?;
            let authorized = match Standing::of(&payments) {
                Standing::Authorized(authorized) => authorized,
                Standing::Captured(captured) => {
                    return Ok(Outcome::Succeeded(capture(&order, captured).map_err(unreadable)?));
                }
                _ => return Err(refused("no payment of the order is authorized")),
            };
            let in_units = requests::amount(amount).map_err(refused)?;
            if in_units != authorized.amount || amount.currency.code() != authorized.currency {
                return Err(refused("only the whole authorized amount can be captured"));
            }
            let done = self.api.capture(&authorized.id, in_units, &authorized.currency).await?;
            capture(&order, &done).map(Outcome::Succeeded).map_err(unreadable)
        }
        .boxed()
    }

    /// A Razorpay order never ends by itself and cannot be ended. Without a payment the attempt counts as expired, and a
    /// payment that comes nevertheless is late money. A payment that only the shop can capture is left alone, and
    /// Razorpay gives the money back within days: it has no request for that. A payment that Razorpay itself is about to
    /// capture, or about which the bank has not decided, may still succeed.
    fn expire<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async {
            let Some((order, payments)) = self.payments(payment).await? else { return Ok(Outcome::Expired) };
            match Standing::of(&payments) {
                Standing::Captured(captured) => {
                    capture(&order, captured).map(Outcome::Succeeded).map_err(unreadable)
                }
                Standing::Authorized(_) if payment.capture_method == CaptureMethod::Automatic => {
                    Ok(Outcome::Processing { reference: order })
                }
                Standing::UnderWay => Ok(Outcome::Processing { reference: order }),
                Standing::Failed(payment) => Ok(failed(&order, payment)),
                Standing::Authorized(_) | Standing::Untouched => Ok(Outcome::Expired),
            }
        }
        .boxed()
    }

    /// An order can be paid until its money would go back anyway.
    fn may_succeed_late_for(&self) -> Duration {
        Duration::from_secs(60 * HOLD_MINUTES.unsigned_abs())
    }

    fn attempt_status<'a>(
        &'a self,
        payment: &'a Payment,
    ) -> BoxFuture<'a, Result<Option<Outcome>, ProviderError>> {
        self.status(payment).boxed()
    }

    fn refund<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<RefundOutcome, ProviderError>> {
        async {
            let captured = self.captured(payment).await?;
            let request = refund_request(payment, refund).map_err(refused)?;
            let made = self.api.refund(&captured, &request, &refund.provider_key()).await?;
            Ok(state_of_refund(&made))
        }
        .boxed()
    }

    fn refund_status<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<Option<RefundOutcome>, ProviderError>> {
        async {
            let captured = self.captured(payment).await?;
            Ok(state_of_refunds(refund, &self.api.refunds(&captured).await?))
        }
        .boxed()
    }

    fn webhook(&self, delivery: &WebhookDelivery<'_>) -> Result<Vec<WebhookEvent>, WebhookError> {
        if self.settings.webhook_secrets.is_empty() {
            return Err(WebhookError::NotExpected);
        }
        webhook::read(&self.settings.webhook_secrets, delivery).map(|event| vec![event])
    }
}
