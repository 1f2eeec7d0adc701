//! Measures every call of a provider, a host's own provider too: how long it took, and how it ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{
    Invoice, Outcome, Payment, PaymentProvider, ProviderError, ProviderName, Refund, RefundOutcome,
    WebhookDelivery, WebhookError, WebhookEvent,
};
use crate::money::Money;

/// A provider whose calls are measured.
pub(super) struct Measured(pub Arc<dyn PaymentProvider>);

/// A call that nobody waits for any longer is counted as `abandoned`.
struct Call {
    provider: ProviderName,
    name: &'static str,
    begun: Instant,
    result: &'static str,
}

impl Drop for Call {
    fn drop(&mut self) {
        let labels = [
            ("provider", self.provider.to_string()),
            ("call", self.name.into()),
            ("result", self.result.into()),
        ];
        metrics::counter!("commerce_provider_calls_total", &labels).increment(1);
        metrics::histogram!("commerce_provider_call_seconds", &labels[..2]).record(self.begun.elapsed());
    }
}

fn result_of<T>(answer: &Result<T, ProviderError>) -> &'static str {
    match answer {
        Ok(_) => "answered",
        Err(error) if error.is_unreachable() => "unreachable",
        Err(_) => "refused",
    }
}

impl Measured {
    fn measure<'a, T: 'a>(
        &'a self,
        name: &'static str,
        answer: BoxFuture<'a, Result<T, ProviderError>>,
    ) -> BoxFuture<'a, Result<T, ProviderError>> {
        async move {
            let mut call = Call { provider: self.0.name(), name, begun: Instant::now(), result: "abandoned" };
            let answer = answer.await;
            call.result = result_of(&answer);
            answer
        }
        .boxed()
    }
}

impl PaymentProvider for Measured {
    fn name(&self) -> ProviderName {
        self.0.name()
    }

    fn check_request(&self, request: &serde_json::Value) -> Result<(), String> {
        self.0.check_request(request)
    }

    fn start<'a>(
        &'a self,
        payment: &'a Payment,
        invoice: &'a Invoice,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        self.measure("start", self.0.start(payment, invoice))
    }

    fn confirm<'a>(
        &'a self,
        payment: &'a Payment,
        details: &'a serde_json::Value,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        self.measure("confirm", self.0.confirm(payment, details))
    }

    fn capture<'a>(
        &'a self,
        payment: &'a Payment,
        amount: Money,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        self.measure("capture", self.0.capture(payment, amount))
    }

    fn captures_parts(&self) -> bool {
        self.0.captures_parts()
    }

    fn expire<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        self.measure("expire", self.0.expire(payment))
    }

    fn may_succeed_late_for(&self) -> Duration {
        self.0.may_succeed_late_for()
    }

    fn attempt_status<'a>(
        &'a self,
        payment: &'a Payment,
    ) -> BoxFuture<'a, Result<Option<Outcome>, ProviderError>> {
        self.measure("attempt_status", self.0.attempt_status(payment))
    }

    fn refund<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<RefundOutcome, ProviderError>> {
        self.measure("refund", self.0.refund(payment, refund))
    }

    fn refund_status<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<Option<RefundOutcome>, ProviderError>> {
        self.measure("refund_status", self.0.refund_status(payment, refund))
    }

    fn webhook(&self, delivery: &WebhookDelivery<'_>) -> Result<Vec<WebhookEvent>, WebhookError> {
        self.0.webhook(delivery)
    }
}
