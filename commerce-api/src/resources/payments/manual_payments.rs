//! `/admin/orders/{id}/payments`: staff record money that came in without a provider.

use chrono::{DateTime, Utc};
use commerce_core::flows::{ManualPayment, ManualPaymentError, record_manual_payment};
use commerce_core::ids::OrderId;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::Path;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, Reply};
use crate::http::auth::{Can, PaymentsRefund};
use crate::http::body::Body;
use crate::http::idempotency_key::RequiredIdempotencyKey;
use crate::http::money::Money;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::payments::shapes::Payment;

pub struct ManualPayments(pub State);

#[OpenApi(tag = "Tag::Payments")]
impl ManualPayments {
    /// Record a payment
    ///
    /// Money that came in without a provider, in cash or by bank transfer. The payment has succeeded, and its
    /// provider is `manual`. It settles the order like any other payment: it also restores an order that was
    /// cancelled because it was not paid in time, if its stock is still available, and otherwise has to be paid
    /// back. More than what is due is refused.
    #[oai(path = "/admin/orders/:id/payments", method = "post", operation_id = "admin_record_payment")]
    async fn record(
        &self,
        staff: Can<PaymentsRefund>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: RequiredIdempotencyKey,
        body: Body<ManualPaymentRequest>,
    ) -> Result<Created<Payment>, Refused<ManualPaymentError>> {
        let request = key.request(&staff, body.raw());
        let ManualPaymentRequest { amount, reference, received_at } = body.value;
        let wish = ManualPayment {
            order_id: OrderId(id.0),
            amount: amount.map(|amount| amount.checked("/amount")).transpose()?,
            reference,
            received_at,
            author: staff.author(),
        };
        let shop = self.0.shop.clone();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let payment = record_manual_payment(conn, &shop, wish.clone()).await?;
            let location = format!("/v1/payments/{}", payment.id);
            Ok::<_, ManualPaymentError>(Reply::new(Payment::from(payment)).location(location))
        };
        self.0.write("record_payment", Some(request), effect).await
    }
}

/// Money that came in.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct ManualPaymentRequest {
    /// The amount due by default.
    pub amount: Option<Money>,
    /// How to find the money again, such as the text of the bank transfer. The shopper sees it too.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub reference: String,
    /// When the money came in. Now by default.
    pub received_at: Option<DateTime<Utc>>,
}

impl Example for ManualPaymentRequest {
    fn example() -> Self {
        Self {
            amount: None,
            reference: "Bank transfer of 27 November, order 1001".to_owned(),
            received_at: DateTime::from_timestamp(1_732_706_400, 0),
        }
    }
}

impl Refusal for ManualPaymentError {
    const CODES: &'static [Code] =
        &[Code::NotFound, Code::OrderState, Code::ValidationFailed, Code::CurrencyMismatch];

    fn problem(self) -> Problem {
        let text = self.to_string();
        match self {
            Self::OrderNotFound => Problem::not_found("order"),
            Self::NothingDue(status) => Problem::new(Code::OrderState, text).with("status", status),
            Self::AmountOutOfRange { .. } => Problem::invalid(vec![Fault::at("/amount/amount", text)]),
            Self::CurrencyMismatch { .. } => Problem::new(Code::CurrencyMismatch, text),
            Self::NoReference => Problem::invalid(vec![Fault::at("/reference", text)]),
            Self::InFuture => Problem::invalid(vec![Fault::at("/received_at", text)]),
            Self::Settle(error) => error.problem(),
            Self::Database(error) => error.into(),
        }
    }
}
