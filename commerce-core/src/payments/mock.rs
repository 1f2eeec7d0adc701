//! A provider that does what it is told. It keeps nothing: what an attempt becomes stands in the attempt's own request, so
//! that every process of a shop plays the same provider.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{
    Outcome, Payment, PaymentProvider, PaymentStatus, ProviderError, ProviderName, Refund, RefundOutcome,
    RequiredAction,
};

/// The shopper's part of `/pay` for this provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MockRequest {
    #[serde(default)]
    pub outcome: MockOutcome,
}

/// What becomes of the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MockOutcome {
    #[default]
    Succeed,
    Fail,
    /// Succeeds when it is confirmed.
    RequireAction,
}

/// The provider of demonstrations and tests.
#[derive(Debug, Clone)]
pub struct MockProvider {
    /// Where shoppers reach the API: the redirect leads there.
    public_url: String,
}

impl MockProvider {
    /// `public_url` is where shoppers reach the API.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self { public_url: public_url.into() }
    }

    fn reference(payment: &Payment) -> String {
        format!("mock_{}", payment.id.0.simple())
    }

    fn outcome(&self, payment: &Payment) -> Result<Outcome, ProviderError> {
        let request: MockRequest = serde_json::from_value(payment.request.clone()).map_err(|error| {
            ProviderError::Refused { provider: ProviderName::Mock, detail: error.to_string() }
        })?;
        let reference = Self::reference(payment);
        Ok(match request.outcome {
            MockOutcome::Succeed => Outcome::Succeeded { reference },
            MockOutcome::Fail => {
                Outcome::Failed { reference: Some(reference), code: "card_declined".to_owned() }
            }
            MockOutcome::RequireAction => {
                let url =
                    format!("{}/v1/payments/{}/confirm", self.public_url.trim_end_matches('/'), payment.id);
                Outcome::RequiresAction { reference, action: RequiredAction::Redirect { url } }
            }
        })
    }
}

impl PaymentProvider for MockProvider {
    fn name(&self) -> ProviderName {
        ProviderName::Mock
    }

    fn check_request(&self, request: &serde_json::Value) -> Result<(), String> {
        serde_json::from_value::<MockRequest>(request.clone()).map(|_| ()).map_err(|error| error.to_string())
    }

    fn start<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async { self.outcome(payment) }.boxed()
    }

    fn confirm<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        let reference = Self::reference(payment);
        let outcome = match payment.status {
            PaymentStatus::Expired | PaymentStatus::Cancelled => Outcome::Expired,
            PaymentStatus::Failed => {
                Outcome::Failed { reference: Some(reference), code: "card_declined".to_owned() }
            }
            _ => Outcome::Succeeded { reference },
        };
        async { Ok(outcome) }.boxed()
    }

    fn expire<'a>(&'a self, _payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async { Ok(Outcome::Expired) }.boxed()
    }

    fn refund<'a>(
        &'a self,
        _payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<RefundOutcome, ProviderError>> {
        async { Ok(RefundOutcome::Succeeded { reference: format!("mock_refund_{}", refund.id.0.simple()) }) }
            .boxed()
    }
}
