//! A provider that does what the request says. The result of an attempt is written in the attempt's own
//! request, so that every process of a shop plays the same provider. The provider remembers only which
//! answers it has lost.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{
    AttemptStatus, Authorization, Capture, CaptureMethod, Invoice, Outcome, Payment, PaymentProvider,
    ProviderError, ProviderName, Refund, RefundOutcome, RequiredAction, WebhookDelivery, WebhookError,
    WebhookEvent, mock_webhook,
};
use crate::money::Money;

/// The shopper's part of `/pay` for this provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MockRequest {
    /// The result of the attempt.
    pub outcome: MockOutcome,
    /// The captured amount if it succeeds. The requested amount by default.
    pub captured: Option<Money>,
    /// The provider's fee.
    pub fee: Option<Money>,
    /// The result of refunds.
    pub refund: MockRefund,
    /// Does what is asked for, but loses the first answer to each request.
    pub lose_answers: bool,
}

/// The result of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MockOutcome {
    /// Succeeds at once.
    #[default]
    Succeed,
    /// Is declined.
    Fail,
    /// Redirects the shopper, and succeeds when it is confirmed.
    RequireAction,
    /// Gives the shopper's client something to do, and succeeds when it is confirmed.
    RequireClient,
    /// Stays in processing, and succeeds when it is confirmed.
    Process,
}

/// The result of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MockRefund {
    /// Succeeds at once.
    #[default]
    Succeed,
    /// Stays pending, and has succeeded when it is asked about.
    Pend,
    /// Is always refused.
    Refuse,
    /// Is refused the first time, and succeeds when it is retried.
    RefuseOnce,
}

/// The provider for demonstrations and tests.
#[derive(Debug, Clone)]
pub struct MockProvider {
    /// The URL of the API for shoppers. The redirect leads there.
    public_url: String,
    /// Verifies webhooks. Without it webhooks are not accepted.
    webhook_secret: Option<Vec<u8>>,
    /// The requests whose answer was lost once.
    lost: Arc<Mutex<HashSet<String>>>,
}

impl MockProvider {
    /// The header with the signature of a webhook: HMAC-SHA256 of the body, in hexadecimal.
    pub const SIGNATURE_HEADER: &'static str = mock_webhook::SIGNATURE_HEADER;

    /// `public_url` is the URL of the API for shoppers.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self { public_url: public_url.into(), webhook_secret: None, lost: Arc::default() }
    }

    /// Accepts webhooks that are signed with this secret.
    pub fn with_webhook_secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.webhook_secret = Some(secret.into());
        self
    }

    /// The signature of a webhook's body, for the header [`MockProvider::SIGNATURE_HEADER`].
    pub fn sign(secret: &[u8], body: &[u8]) -> String {
        mock_webhook::sign(secret, body)
    }

    fn reference(payment: &Payment) -> String {
        format!("mock_{}", payment.id.0.simple())
    }

    fn request(payment: &Payment) -> Result<MockRequest, ProviderError> {
        if payment.request.is_null() {
            return Ok(MockRequest::default());
        }
        serde_json::from_value(payment.request.clone())
            .map_err(|error| ProviderError::refused(ProviderName::MOCK, error))
    }

    /// The shopper has agreed. The money is taken, or only held.
    fn agreed(payment: &Payment, request: &MockRequest) -> Outcome {
        let asked = request.captured.unwrap_or(Money::new(payment.amount_minor, payment.currency));
        match payment.capture_method {
            CaptureMethod::Automatic => Self::captured(payment, request, asked),
            CaptureMethod::Manual => Outcome::Authorized(Authorization::new(Self::reference(payment), asked)),
        }
    }

    fn captured(payment: &Payment, request: &MockRequest, amount: Money) -> Outcome {
        let capture = Capture::new(Self::reference(payment), amount);
        Outcome::Succeeded(match request.fee {
            Some(fee) => capture.with_fee(fee),
            None => capture,
        })
    }

    fn declined(payment: &Payment) -> Outcome {
        Outcome::Failed { reference: Some(Self::reference(payment)), code: "card_declined".to_owned() }
    }

    /// The state of an attempt that was begun and not touched since.
    fn begun(&self, payment: &Payment, request: &MockRequest) -> Outcome {
        let reference = Self::reference(payment);
        match request.outcome {
            MockOutcome::Succeed => Self::agreed(payment, request),
            MockOutcome::Fail => Self::declined(payment),
            MockOutcome::RequireAction => {
                let url =
                    format!("{}/v1/payments/{}/confirm", self.public_url.trim_end_matches('/'), payment.id);
                Outcome::RequiresAction { reference, action: RequiredAction::Redirect { url } }
            }
            MockOutcome::RequireClient => {
                let data = serde_json::json!({ "client_secret": format!("{reference}_secret") });
                Outcome::RequiresAction { reference, action: RequiredAction::Client { data } }
            }
            MockOutcome::Process => Outcome::Processing { reference },
        }
    }

    /// Returns the result, unless the answer must be lost this time.
    fn answer<T>(&self, request: &MockRequest, key: String, done: T) -> Result<T, ProviderError> {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if request.lose_answers && lost.insert(key) {
            return Err(ProviderError::unreachable(
                ProviderName::MOCK,
                "the answer was lost, as was asked for",
            ));
        }
        Ok(done)
    }

    /// The amount that was captured by a request whose answer was lost.
    fn captured_unheard(&self, payment: &Payment) -> Option<Money> {
        let begin = format!("capture {} ", payment.id);
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let amount_minor = lost.iter().find_map(|key| key.strip_prefix(&begin))?.parse().ok()?;
        Some(Money::new(amount_minor, payment.currency))
    }

    fn was_lost(&self, key: &str) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn refunded(request: &MockRequest, refund: &Refund, pending: bool) -> RefundOutcome {
        let reference = format!("mock_refund_{}", refund.provider_key());
        match request.refund {
            MockRefund::Refuse => Self::refused(),
            MockRefund::RefuseOnce if refund.attempt == 1 => Self::refused(),
            _ if pending => RefundOutcome::Pending { reference },
            _ => RefundOutcome::Succeeded { reference },
        }
    }

    fn refused() -> RefundOutcome {
        RefundOutcome::Failed { reference: None, code: "insufficient_funds".to_owned() }
    }
}

impl PaymentProvider for MockProvider {
    fn name(&self) -> ProviderName {
        ProviderName::MOCK
    }

    fn check_request(&self, request: &serde_json::Value) -> Result<(), String> {
        serde_json::from_value::<MockRequest>(request.clone()).map(|_| ()).map_err(|error| error.to_string())
    }

    fn start<'a>(
        &'a self,
        payment: &'a Payment,
        _: &'a Invoice,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async {
            let request = Self::request(payment)?;
            self.answer(&request, format!("start {}", payment.id), self.begun(payment, &request))
        }
        .boxed()
    }

    fn confirm<'a>(
        &'a self,
        payment: &'a Payment,
        _: &'a serde_json::Value,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async {
            let request = Self::request(payment)?;
            Ok(match payment.status {
                AttemptStatus::Expired | AttemptStatus::Cancelled => Outcome::Expired,
                _ if request.outcome == MockOutcome::Fail => Self::declined(payment),
                _ => Self::agreed(payment, &request),
            })
        }
        .boxed()
    }

    fn capture<'a>(
        &'a self,
        payment: &'a Payment,
        amount: Money,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async move {
            let request = Self::request(payment)?;
            let done = Self::captured(payment, &request, amount);
            self.answer(&request, format!("capture {} {}", payment.id, amount.amount_minor), done)
        }
        .boxed()
    }

    fn expire<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async {
            let request = Self::request(payment)?;
            if let Some(amount) = self.captured_unheard(payment) {
                return Ok(Self::captured(payment, &request, amount));
            }
            // An attempt that succeeded cannot be expired, even if the shop does not know it yet.
            let went_through = request.outcome == MockOutcome::Succeed
                && payment.capture_method == CaptureMethod::Automatic
                && self.was_lost(&format!("start {}", payment.id));
            Ok(if went_through { Self::agreed(payment, &request) } else { Outcome::Expired })
        }
        .boxed()
    }

    fn attempt_status<'a>(
        &'a self,
        payment: &'a Payment,
    ) -> BoxFuture<'a, Result<Option<Outcome>, ProviderError>> {
        async {
            let request = Self::request(payment)?;
            if let Some(amount) = self.captured_unheard(payment) {
                return Ok(Some(Self::captured(payment, &request, amount)));
            }
            let begun =
                payment.status != AttemptStatus::Pending || self.was_lost(&format!("start {}", payment.id));
            Ok(begun.then(|| match payment.status {
                AttemptStatus::Expired | AttemptStatus::Cancelled => Outcome::Expired,
                AttemptStatus::Authorized => Self::agreed(payment, &request),
                status if status.is_open() => self.begun(payment, &request),
                AttemptStatus::Failed => Self::declined(payment),
                _ => Self::captured(payment, &request, Money::new(payment.captured_minor, payment.currency)),
            }))
        }
        .boxed()
    }

    fn refund<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<RefundOutcome, ProviderError>> {
        async {
            let request = Self::request(payment)?;
            let done = Self::refunded(&request, refund, request.refund == MockRefund::Pend);
            self.answer(&request, format!("refund {}", refund.provider_key()), done)
        }
        .boxed()
    }

    fn refund_status<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<Option<RefundOutcome>, ProviderError>> {
        async {
            let request = Self::request(payment)?;
            let reached = refund.provider_reference.is_some()
                || self.was_lost(&format!("refund {}", refund.provider_key()));
            Ok(match reached {
                true => Some(Self::refunded(&request, refund, false)),
                // A refund that is retried was refused before.
                false if refund.attempt > 1 => Some(Self::refused()),
                false => None,
            })
        }
        .boxed()
    }

    fn webhook(&self, delivery: &WebhookDelivery<'_>) -> Result<Vec<WebhookEvent>, WebhookError> {
        let secret = self.webhook_secret.as_deref().ok_or(WebhookError::NotExpected)?;
        mock_webhook::read(secret, delivery).map(|event| vec![event])
    }
}
