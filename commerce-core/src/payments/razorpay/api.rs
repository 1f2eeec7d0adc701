//! The requests to Razorpay's API.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::objects::{Collection, ErrorAnswer, ErrorBody, RazorpayOrder, RazorpayPayment, RazorpayRefund};
use super::settings::RazorpaySettings;
use crate::payments::provider_http::{Answer, ProviderHttp, ProviderSetupError, Repeat};
use crate::payments::{ProviderError, ProviderName};

/// The most entries of a list.
const LIST_MAX: usize = 100;

/// Sends requests to Razorpay.
pub(super) struct Api {
    http: ProviderHttp,
    base: String,
    authorization: HeaderValue,
}

impl Api {
    pub fn new(settings: &RazorpaySettings) -> Result<Self, ProviderSetupError> {
        let credentials = STANDARD.encode(format!("{}:{}", settings.key_id, settings.key_secret));
        let mut authorization = HeaderValue::try_from(format!("Basic {credentials}"))
            .map_err(|_| ProviderSetupError("the key cannot be sent in a header".to_owned()))?;
        authorization.set_sensitive(true);
        let base = settings.api_base.trim_end_matches('/').to_owned();
        let url = url::Url::parse(&base).map_err(|error| ProviderSetupError(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ProviderSetupError(format!("{base} is not a URL with http or https")));
        }
        Ok(Self { http: ProviderHttp::new(ProviderName::RAZORPAY, settings.timeout)?, base, authorization })
    }

    /// Creates an order. Razorpay has no key for this request, so it is never repeated blindly.
    pub async fn create_order(&self, request: &Value) -> Result<RazorpayOrder, ProviderError> {
        read(&self.send(Method::POST, "/v1/orders", Some(request), None, Repeat::Never).await?)
    }

    /// The orders with this receipt.
    pub async fn orders_with_receipt(&self, receipt: &str) -> Result<Vec<RazorpayOrder>, ProviderError> {
        self.list(&format!("/v1/orders?receipt={receipt}&count={LIST_MAX}")).await
    }

    /// The payments of an order. `None` if Razorpay does not know the order.
    pub async fn payments(&self, order: &str) -> Result<Option<Vec<RazorpayPayment>>, ProviderError> {
        let path = format!("/v1/orders/{order}/payments");
        let answer = self.send(Method::GET, &path, None, None, Repeat::Allowed).await?;
        if is_unknown(&answer) {
            return Ok(None);
        }
        read::<Collection<RazorpayPayment>>(&answer).map(|collection| Some(collection.items))
    }

    /// Captures an authorized payment. A second time is refused, so it may be repeated.
    pub async fn capture(
        &self,
        payment: &str,
        amount: i64,
        currency: &str,
    ) -> Result<RazorpayPayment, ProviderError> {
        let request = json!({ "amount": amount, "currency": currency });
        let path = format!("/v1/payments/{payment}/capture");
        read(&self.send(Method::POST, &path, Some(&request), None, Repeat::Allowed).await?)
    }

    /// Refunds a captured payment. The same key refunds the same money.
    pub async fn refund(
        &self,
        payment: &str,
        request: &Value,
        key: &str,
    ) -> Result<RazorpayRefund, ProviderError> {
        let path = format!("/v1/payments/{payment}/refund");
        read(&self.send(Method::POST, &path, Some(request), Some(key), Repeat::Allowed).await?)
    }

    /// All refunds of a payment.
    pub async fn refunds(&self, payment: &str) -> Result<Vec<RazorpayRefund>, ProviderError> {
        let mut all = Vec::new();
        loop {
            let skip = all.len();
            let path = format!("/v1/payments/{payment}/refunds?count={LIST_MAX}&skip={skip}");
            let page: Vec<RazorpayRefund> = self.list(&path).await?;
            let is_last = page.len() < LIST_MAX;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ProviderError> {
        let answer = self.send(Method::GET, path, None, None, Repeat::Allowed).await?;
        read::<Collection<T>>(&answer).map(|collection| collection.items)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        refund_key: Option<&str>,
        repeat: Repeat,
    ) -> Result<Answer, ProviderError> {
        let mut request = self
            .http
            .client()
            .request(method, format!("{}{path}", self.base))
            .header(AUTHORIZATION, self.authorization.clone());
        if let Some(key) = refund_key {
            request = request.header("X-Refund-Idempotency", key);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let request =
            request.build().map_err(|error| ProviderError::refused(ProviderName::RAZORPAY, error))?;
        self.http.send(request, repeat).await
    }
}

/// Razorpay answers 400 for an id that it does not know, and 404 for an address that it does not know.
fn is_unknown(answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_FOUND
        || answer.status == StatusCode::BAD_REQUEST
            && answer
                .read::<ErrorAnswer>()
                .is_ok_and(|answer| answer.error.description.as_deref() == Some(UNKNOWN_ID))
}

/// What Razorpay says about such an id.
const UNKNOWN_ID: &str = "The id provided does not exist";

/// The object of an answer. An answer that cannot be read says nothing about what was done.
fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, ProviderError> {
    if answer.status.is_success() {
        return answer.read().map_err(|error| ProviderError::unreachable(ProviderName::RAZORPAY, error));
    }
    let body = answer.read::<ErrorAnswer>().map(|answer| answer.error).unwrap_or_default();
    Err(ProviderError::refused(ProviderName::RAZORPAY, Refusal::new(answer.status, &body)))
}

/// Razorpay's reason for a refusal. Its text is Razorpay's code, which is stored with the attempt or refund.
#[derive(Debug)]
struct Refusal {
    code: String,
}

impl Refusal {
    fn new(status: StatusCode, body: &ErrorBody) -> Self {
        let code = body.reason.as_deref().filter(|reason| *reason != "NA").or(body.code.as_deref());
        let code = code.map_or_else(|| format!("http_{}", status.as_u16()), str::to_owned);
        tracing::warn!(
            code,
            status = status.as_u16(),
            field = body.field.as_deref(),
            // Its description may have the shopper's address in it.
            "Razorpay refused a request"
        );
        Self { code }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)
    }
}

impl std::error::Error for Refusal {}
