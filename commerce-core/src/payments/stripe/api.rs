//! The requests to Stripe's API. The client is our own: there are nine requests, and each needs its key, its timeout
//! and its retries to be right.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;

use super::form::Form;
use super::objects::{ErrorAnswer, ErrorBody, List, PaymentIntent, Session, StripeRefund};
use super::settings::StripeSettings;
use crate::payments::provider_http::{Answer, ProviderHttp, ProviderSetupError, Repeat};
use crate::payments::{ProviderError, ProviderName};

/// The version of the API whose objects are read here. An account's own version changes with its settings.
/// It is the one of Stripe's own SDK 16.1 for Python.
const API_VERSION: &str = "2026-10-28.endive";

/// What is read of a payment intent beside itself: the fee, and when an authorization lapses.
const EXPAND_INTENT: &str = "latest_charge.balance_transaction";

/// Sends requests to Stripe.
pub(super) struct Api {
    http: ProviderHttp,
    base: String,
    authorization: HeaderValue,
}

impl Api {
    pub fn new(settings: &StripeSettings) -> Result<Self, ProviderSetupError> {
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", settings.secret_key)).map_err(|_| {
                ProviderSetupError("the secret key has characters that no header may have".to_owned())
            })?;
        authorization.set_sensitive(true);
        let base = settings.api_base.trim_end_matches('/').to_owned();
        let url = url::Url::parse(&base).map_err(|error| ProviderSetupError(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ProviderSetupError(format!("{base} is not a URL with http or https")));
        }
        Ok(Self { http: ProviderHttp::new(ProviderName::STRIPE, settings.timeout)?, base, authorization })
    }

    /// Creates a session, or finds the one that was created with this key.
    pub async fn create_session(&self, form: Form, key: &str) -> Result<Session, ProviderError> {
        self.post("/v1/checkout/sessions", form, Some(key)).await
    }

    pub async fn session(&self, id: &str) -> Result<Option<Session>, ProviderError> {
        let expand = ["payment_intent".to_owned(), format!("payment_intent.{EXPAND_INTENT}")];
        self.get(&format!("/v1/checkout/sessions/{id}"), expanding(&expand)).await
    }

    /// A page of the sessions that were created in this time, newest first.
    pub async fn sessions_created(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        after: Option<&str>,
    ) -> Result<List<Session>, ProviderError> {
        let expand = ["data.payment_intent".to_owned(), format!("data.payment_intent.{EXPAND_INTENT}")];
        let mut query = expanding(&expand);
        query
            .put("limit", 100)
            .put("created[gte]", from.timestamp())
            .put("created[lte]", (until + TimeDelta::seconds(1)).timestamp());
        if let Some(after) = after {
            query.put("starting_after", after);
        }
        self.list("/v1/checkout/sessions", query).await
    }

    /// Ends an open session. Refused if it is not open. It has no key, because Stripe would keep an error of its own as
    /// the answer for a day; a second time changes nothing anyway.
    pub async fn expire_session(&self, id: &str) -> Result<Session, ProviderError> {
        self.post(&format!("/v1/checkout/sessions/{id}/expire"), Form::new(), None).await
    }

    pub async fn payment_intent(&self, id: &str) -> Result<Option<PaymentIntent>, ProviderError> {
        let query = expanding(&[EXPAND_INTENT.to_owned()]);
        self.get(&format!("/v1/payment_intents/{id}"), query).await
    }

    /// Captures this amount, in Stripe's units, and lets go of the rest.
    pub async fn capture(&self, id: &str, amount: i64, key: &str) -> Result<PaymentIntent, ProviderError> {
        let mut form = expanding(&[EXPAND_INTENT.to_owned()]);
        form.put("amount_to_capture", amount);
        self.post(&format!("/v1/payment_intents/{id}/capture"), form, Some(key)).await
    }

    /// Lets go of authorized money. It has no key for the same reason.
    pub async fn cancel(&self, id: &str) -> Result<PaymentIntent, ProviderError> {
        self.post(&format!("/v1/payment_intents/{id}/cancel"), Form::new(), None).await
    }

    pub async fn create_refund(&self, form: Form, key: &str) -> Result<StripeRefund, ProviderError> {
        self.post("/v1/refunds", form, Some(key)).await
    }

    /// A page of the refunds of a payment intent, newest first.
    pub async fn refunds(
        &self,
        intent: &str,
        after: Option<&str>,
    ) -> Result<List<StripeRefund>, ProviderError> {
        let mut query = Form::new();
        query.put("payment_intent", intent).put("limit", 100);
        if let Some(after) = after {
            query.put("starting_after", after);
        }
        self.list("/v1/refunds", query).await
    }

    /// `None` if Stripe does not know it.
    async fn get<T: DeserializeOwned>(&self, path: &str, query: Form) -> Result<Option<T>, ProviderError> {
        let answer = self.send(Method::GET, &format!("{path}?{}", query.into_body()), None, None).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(None) } else { read(&answer).map(Some) }
    }

    async fn list<T: DeserializeOwned>(&self, path: &str, query: Form) -> Result<List<T>, ProviderError> {
        read(&self.send(Method::GET, &format!("{path}?{}", query.into_body()), None, None).await?)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        form: Form,
        key: Option<&str>,
    ) -> Result<T, ProviderError> {
        read(&self.send(Method::POST, path, Some(form), key).await?)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        form: Option<Form>,
        key: Option<&str>,
    ) -> Result<Answer, ProviderError> {
        let mut request = self
            .http
            .client()
            .request(method, format!("{}{path}", self.base))
            .header(AUTHORIZATION, self.authorization.clone())
            .header("Stripe-Version", API_VERSION);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(form) = form {
            request =
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.into_body());
        }
        let request = request.build().map_err(|error| ProviderError::refused(ProviderName::STRIPE, error))?;
        self.http.send(request, Repeat::Allowed).await
    }
}

fn expanding(fields: &[String]) -> Form {
    let mut form = Form::new();
    for field in fields {
        form.put("expand[]", field);
    }
    form
}

/// The object of an answer. An answer that cannot be read says nothing about what was done.
fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, ProviderError> {
    if answer.status.is_success() {
        return answer.read().map_err(|error| ProviderError::unreachable(ProviderName::STRIPE, error));
    }
    let body = answer.read::<ErrorAnswer>().map(|answer| answer.error).unwrap_or_default();
    Err(ProviderError::refused(ProviderName::STRIPE, Refusal::new(answer.status, &body)))
}

/// Whether Stripe refused because an earlier request with the same key asked for something else.
pub(super) fn is_changed(error: &ProviderError) -> bool {
    let ProviderError::Refused { cause, .. } = error else { return false };
    cause.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.is_changed)
}

/// The type of that error.
const CHANGED: &str = "idempotency_error";

/// Stripe's reason for a refusal. Its text is Stripe's code, which is stored with the attempt or refund.
#[derive(Debug)]
struct Refusal {
    code: String,
    /// An earlier request with the same key asked for something else.
    is_changed: bool,
}

impl Refusal {
    fn new(status: StatusCode, body: &ErrorBody) -> Self {
        let code = body.best_code().map_or_else(|| format!("http_{}", status.as_u16()), str::to_owned);
        tracing::warn!(
            code,
            status = status.as_u16(),
            param = body.param.as_deref(),
            // Its message may have the shopper's address in it.
            "Stripe refused a request"
        );
        Self { code, is_changed: body.kind.as_deref() == Some(CHANGED) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)
    }
}

impl std::error::Error for Refusal {}
