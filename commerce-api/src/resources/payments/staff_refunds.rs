//! `/payments/{id}/refunds` and `/admin/orders/{id}/refunds`: staff refund money.

use commerce_core::flows::{
    RefundAmount, RefundOf, RefundedLine, StaffRefund, StaffRefundError, refund_by_staff,
};
use commerce_core::ids::{OrderId, OrderLineId, PaymentId};
use diesel_async::AsyncPgConnection;
use poem_openapi::param::Path;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, List};
use crate::http::auth::{Can, PaymentsRefund};
use crate::http::body::Body;
use crate::http::idempotency_key::RequiredIdempotencyKey;
use crate::http::money::Money;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::payments::refunds::{Refund, with_lines};

pub struct StaffRefunds(pub State);

#[OpenApi(tag = "Tag::Payments")]
impl StaffRefunds {
    /// Refund a payment
    ///
    /// By an amount, or by units of the order's lines. Without either, all that is left of the payment goes
    /// back. What was refunded and what will be is never more than what came in.
    ///
    /// A refund begins as `pending`, and a job asks the provider. A manual payment has no provider: its refund
    /// stays `pending` until staff pay it and record that.
    #[oai(path = "/payments/:id/refunds", method = "post", operation_id = "admin_refund_payment")]
    async fn refund_payment(
        &self,
        staff: Can<PaymentsRefund>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: RequiredIdempotencyKey,
        body: Body<RefundRequest>,
    ) -> Result<Created<Refund>, Refused<StaffRefundError>> {
        let request = key.request(&staff, body.raw());
        let wish = body.value.wish(RefundOf::Payment(PaymentId(id.0)), &staff)?;
        let effect = async move |conn: &mut AsyncPgConnection| {
            let refunds = refund_by_staff(conn, wish.clone()).await?;
            let refund = with_lines(conn, refunds).await?.into_iter().next();
            refund.ok_or(StaffRefundError::NothingLeft)
        };
        self.0.write("refund_payment", Some(request), effect).await
    }

    /// Refund an order
    ///
    /// Like the refund of a payment, over all payments of the order, the oldest first. The answer has a refund
    /// for each payment that gives a part of the amount. The first of them has the lines.
    #[oai(path = "/admin/orders/:id/refunds", method = "post", operation_id = "admin_refund_order")]
    async fn refund_order(
        &self,
        staff: Can<PaymentsRefund>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: RequiredIdempotencyKey,
        body: Body<RefundRequest>,
    ) -> Result<Created<List<Refund>>, Refused<StaffRefundError>> {
        let request = key.request(&staff, body.raw());
        let wish = body.value.wish(RefundOf::Order(OrderId(id.0)), &staff)?;
        let effect = async move |conn: &mut AsyncPgConnection| {
            let refunds = refund_by_staff(conn, wish.clone()).await?;
            let data = with_lines(conn, refunds).await?;
            Ok::<_, StaffRefundError>(List { data, next_cursor: None })
        };
        self.0.write("refund_order", Some(request), effect).await
    }
}

/// Units of a line of the order.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct RefundRequestLine {
    pub order_line_id: Uuid,
    #[oai(validator(minimum(value = "1")))]
    pub quantity: i64,
}

impl Example for RefundRequestLine {
    fn example() -> Self {
        Self { order_line_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b31), quantity: 1 }
    }
}

/// What to refund: an amount, or lines, or all that is left.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct RefundRequest {
    /// The amount. Not together with `lines`.
    pub amount: Option<Money>,
    /// The units whose price is refunded, as it was at checkout. No unit is refunded twice.
    #[oai(validator(min_items = 1, max_items = 100))]
    pub lines: Option<Vec<RefundRequestLine>>,
    /// Whether the units came back and can be sold again. Only with `lines`, and only for units that were
    /// shipped. False by default.
    pub restock: Option<bool>,
    /// Why, for the shopper's mail and the order's timeline.
    #[oai(validator(min_length = 1, max_length = 1000))]
    pub reason: Option<String>,
}

impl RefundRequest {
    fn wish(self, of: RefundOf, staff: &Can<PaymentsRefund>) -> Result<StaffRefund, Problem> {
        let amount = match (self.amount, self.lines) {
            (None, None) => RefundAmount::Rest,
            (Some(amount), None) => RefundAmount::Amount(amount.checked("/amount")?),
            (None, Some(lines)) => RefundAmount::Lines(lines.iter().map(RefundedLine::from).collect()),
            (Some(_), Some(_)) => {
                let message = "lines have a price: send them without an amount, or an amount without lines";
                return Err(Problem::invalid(vec![Fault::at("/amount", message)]));
            }
        };
        let restock = self.restock.unwrap_or(false);
        Ok(StaffRefund { of, amount, restock, note: self.reason, author: staff.author() })
    }
}

impl From<&RefundRequestLine> for RefundedLine {
    fn from(line: &RefundRequestLine) -> Self {
        Self { order_line_id: OrderLineId(line.order_line_id), quantity: line.quantity }
    }
}

impl Example for RefundRequest {
    fn example() -> Self {
        Self {
            amount: Some(Money { amount: 500, currency: "USD".to_owned() }),
            lines: None,
            restock: None,
            reason: Some("The cup has a chip.".to_owned()),
        }
    }
}

impl Refusal for StaffRefundError {
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::RefundState,
        Code::OrderState,
        Code::ValidationFailed,
        Code::CurrencyMismatch,
    ];

    fn problem(self) -> Problem {
        let text = self.to_string();
        match self {
            Self::PaymentNotFound => Problem::not_found("payment"),
            Self::OrderNotFound => Problem::not_found("order"),
            Self::NothingLeft => Problem::new(Code::RefundState, text),
            Self::AmountOutOfRange { left, .. } => {
                let left = serde_json::json!({ "amount": left.amount_minor, "currency": left.currency });
                Problem::invalid(vec![Fault::at("/amount/amount", text)]).with("left", left)
            }
            Self::CurrencyMismatch { .. } => Problem::new(Code::CurrencyMismatch, text),
            Self::UnknownLine(_) => Problem::invalid(vec![Fault::at("/lines", text)]),
            Self::TooManyUnits { order_line_id, left, .. } => {
                let problem = Problem::invalid(vec![Fault::at("/lines", text)]);
                problem.with("order_line_id", order_line_id).with("units_left", left)
            }
            Self::RestockWithoutLines => Problem::invalid(vec![Fault::at("/restock", text)]),
            Self::NotShipped { order_line_id, shipped, .. } => {
                let problem = Problem::new(Code::OrderState, text);
                problem.with("order_line_id", order_line_id).with("shipped", shipped)
            }
            Self::Stock(_) => Problem::new(Code::OrderState, text),
            Self::Database(error) => error.into(),
        }
    }
}
