//! `/payments/{id}/capture` and `/void`: staff take authorized money, or let go of it.

use commerce_core::flows::{CapturePaymentError, OfAuthorized, capture_payment, void_payment};
use commerce_core::idempotency::IdempotentRequest;
use commerce_core::ids::PaymentId;
use commerce_core::payments::{self, ProviderError};
use diesel_async::AsyncPgConnection;
use poem_openapi::param::Path;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::Okay;
use crate::http::auth::{Can, PaymentsRefund};
use crate::http::body::OptionalBody;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::money::Money;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::payments::shapes::Payment;
use crate::resources::payments::shopper_payments::did_not_answer;

pub struct Captures(pub State);

#[OpenApi(tag = "Tag::Payments")]
impl Captures {
    /// Capture a payment
    ///
    /// Takes the authorized money, or a part of it; the provider lets go of the rest. It can be sent again, because a
    /// payment is captured once.
    #[oai(path = "/payments/:id/capture", method = "post", operation_id = "admin_capture_payment")]
    async fn capture(
        &self,
        staff: Can<PaymentsRefund>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: OptionalBody<CaptureRequest>,
    ) -> Result<Okay<Payment>, Refused<CapturePaymentError>> {
        let amount = body.value.amount.as_ref().map(|amount| amount.checked("/amount")).transpose()?;
        let request = key.request(&staff, body.raw());
        let (state, id, author) = (self.0.clone(), PaymentId(id.0), staff.author());
        let key = request.as_ref().map(|request| *request.scope());
        let capture = async move {
            let wish = OfAuthorized { payment_id: id, request_key: key.as_ref(), author: &author };
            capture_payment(&state.pool, &state.shop, &state.providers, wish, amount).await
        };
        self.once("capture_payment", request, capture).await
    }

    /// Void a payment
    ///
    /// Lets go of the authorized money. The order waits for another payment.
    #[oai(path = "/payments/:id/void", method = "post", operation_id = "admin_void_payment")]
    async fn void(
        &self,
        staff: Can<PaymentsRefund>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
    ) -> Result<Okay<Payment>, Refused<CapturePaymentError>> {
        let request = key.request(&staff, b"");
        let (state, id, author) = (self.0.clone(), PaymentId(id.0), staff.author());
        let key = request.as_ref().map(|request| *request.scope());
        let void = async move {
            let wish = OfAuthorized { payment_id: id, request_key: key.as_ref(), author: &author };
            void_payment(&state.pool, &state.shop, &state.providers, wish).await
        };
        self.once("void_payment", request, void).await
    }
}

impl Captures {
    /// Answers a request that was answered before as then. Otherwise does the work, to its end, and stores the answer.
    async fn once(
        &self,
        name: &'static str,
        request: Option<IdempotentRequest>,
        work: impl Future<Output = Result<payments::Payment, CapturePaymentError>> + Send + 'static,
    ) -> Result<Okay<Payment>, Refused<CapturePaymentError>> {
        let nothing = async |_: &mut AsyncPgConnection| Ok::<_, CapturePaymentError>(());
        if let Some(answered) = self.0.begin(name, request.clone(), nothing).await? {
            return Ok(answered);
        }
        let payment = self.0.to_its_end(work).await??;
        let answer = async move |_: &mut AsyncPgConnection| {
            Ok::<_, CapturePaymentError>(Payment::for_staff(payment.clone()))
        };
        self.0.write(name, request, answer).await
    }
}

/// How much to capture.
#[derive(Debug, Clone, Default, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct CaptureRequest {
    /// All that is authorized by default.
    pub amount: Option<Money>,
}

impl Example for CaptureRequest {
    fn example() -> Self {
        Self { amount: Some(Money { amount: 12000, currency: "USD".to_owned() }) }
    }
}

impl Refusal for CapturePaymentError {
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::PaymentState,
        Code::ProviderRefused,
        Code::ProviderUnavailable,
        Code::ValidationFailed,
    ];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => Problem::not_found("payment"),
            Self::NotAuthorized(_) => Problem::new(Code::PaymentState, self.to_string()),
            Self::AmountOutOfRange { .. } => {
                Problem::invalid(vec![Fault::at("/amount/amount", self.to_string())])
            }
            Self::ProviderOff(_) => Problem::unavailable(self),
            Self::Provider(error @ ProviderError::Refused { .. }) => {
                Problem::new(Code::ProviderRefused, error.to_string())
            }
            Self::Provider(error) => did_not_answer(&error),
            Self::Settle(error) => error.problem(),
            Self::NoConnection(error) => error.into(),
            Self::Database(error) => error.into(),
            other => Problem::internal(other),
        }
    }
}
