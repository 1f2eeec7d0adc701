//! The interface of payment providers. Implementations use the network. Nothing here uses the database.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{
    Invoice, Outcome, Payment, ProviderError, ProviderName, Refund, RefundOutcome, WebhookDelivery,
    WebhookError, WebhookEvent,
};
use crate::money::Money;

/// A payment provider. A host adds its own by implementing this trait and passing it to [`Providers`](super::Providers).
///
/// Every call has a key: the id of the payment, or [`Refund::provider_key`]. Calling twice with the same key
/// has one effect. A call may be repeated if its answer was lost.
pub trait PaymentProvider: Send + Sync {
    /// The name, which is stored with each payment.
    fn name(&self) -> ProviderName;

    /// Checks `request`, the shopper's part of `/pay`. The error says what is wrong with it.
    fn check_request(&self, request: &serde_json::Value) -> Result<(), String>;

    /// Begins the attempt, or finds the attempt that was begun for this payment. If [`Payment::capture_method`] is
    /// manual, the money is only authorized.
    fn start<'a>(
        &'a self,
        payment: &'a Payment,
        invoice: &'a Invoice,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>>;

    /// Asks for the state of the attempt after the shopper did what was required, and completes the attempt
    /// if necessary. `details` is what the shopper's client brings back from the provider, in the provider's format, or
    /// null. If it is wrong, the error is [`ProviderError::InvalidDetails`].
    fn confirm<'a>(
        &'a self,
        payment: &'a Payment,
        details: &'a serde_json::Value,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>>;

    /// Takes the authorized money or a part of it, and lets go of the rest. It is called once for a payment.
    fn capture<'a>(
        &'a self,
        payment: &'a Payment,
        amount: Money,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        let _ = amount;
        let refused =
            ProviderError::refused(payment.provider.clone(), "it takes money at once or not at all");
        Box::pin(std::future::ready(Err(refused)))
    }

    /// Whether a part of the authorized money can be captured. If not, all of it is, and what is too much is refunded.
    fn captures_parts(&self) -> bool {
        true
    }

    /// Makes sure that the attempt can no longer succeed, and lets go of money that was authorized. If it has already
    /// succeeded, the answer says so.
    fn expire<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>>;

    /// For so long after its beginning, an attempt that has failed or was ended may succeed nevertheless, because the
    /// provider cannot end it. The provider is asked about it until then.
    fn may_succeed_late_for(&self) -> Duration {
        Duration::ZERO
    }

    /// Asks for the state of the attempt and changes nothing. `None` if the provider does not know the
    /// attempt.
    fn attempt_status<'a>(
        &'a self,
        payment: &'a Payment,
    ) -> BoxFuture<'a, Result<Option<Outcome>, ProviderError>>;

    /// Refunds money, with the key [`Refund::provider_key`].
    fn refund<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<RefundOutcome, ProviderError>>;

    /// Asks for the state of a refund and changes nothing. `None` if the provider does not know the refund.
    ///
    /// A refund that was retried stands for all its attempts. It has succeeded if any of them has, and it has
    /// failed only if none of them is still pending.
    fn refund_status<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<Option<RefundOutcome>, ProviderError>>;

    /// Verifies and reads a webhook. Returns its events in their order.
    fn webhook(&self, delivery: &WebhookDelivery<'_>) -> Result<Vec<WebhookEvent>, WebhookError> {
        let _ = delivery;
        Err(WebhookError::NotExpected)
    }
}
