//! What is cancelled of an order, and by whom.

use commerce_core::accounts::Permission;
use commerce_core::audit_log::Author;
use commerce_core::flows::{CancelLines, CancelLinesError, CancelOrderError, CancelledLine, Canceller};
use commerce_core::ids::{OrderId, OrderLineId};
use commerce_core::orders;
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use poem_openapi::Object;
use poem_openapi::types::Example;
use uuid::Uuid;

use crate::http::auth::{Credential as _, Shopper, permission_denied};
use crate::http::order_access::OrderReader;
use crate::http::problem::{Code, Fault, Problem, Refusal};

/// Units of a line to cancel.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct CancelRequestLine {
    pub order_line_id: Uuid,
    #[oai(validator(minimum(value = "1")))]
    pub quantity: i64,
}

impl Example for CancelRequestLine {
    fn example() -> Self {
        Self { order_line_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b31), quantity: 1 }
    }
}

/// What to cancel.
#[derive(Debug, Clone, Default, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct CancelRequest {
    /// The units. The whole order by default.
    #[oai(validator(min_items = 1, max_items = 100))]
    pub lines: Option<Vec<CancelRequestLine>>,
    /// Whether what was paid for the units is refunded. If not, the shop keeps it. Only for staff. True by default.
    pub refund: Option<bool>,
    /// Whether the units can be sold to others; if not, they are written off. Only for staff. True by default.
    pub restock: Option<bool>,
}

impl CancelRequest {
    pub fn wish(self, order_id: OrderId, by: Canceller) -> CancelLines {
        let line = |line: CancelRequestLine| CancelledLine {
            order_line_id: OrderLineId(line.order_line_id),
            quantity: line.quantity,
        };
        CancelLines {
            order_id,
            lines: self.lines.map(|lines| lines.into_iter().map(line).collect()),
            refund: self.refund.unwrap_or(true),
            restock: self.restock.unwrap_or(true),
            by,
        }
    }
}

impl Example for CancelRequest {
    fn example() -> Self {
        Self { lines: Some(vec![CancelRequestLine::example()]), refund: None, restock: None }
    }
}

/// Staff who cancel the order of somebody else, or its customer.
pub async fn canceller(
    conn: &mut AsyncPgConnection,
    reader: &OrderReader,
    order_id: OrderId,
) -> QueryResult<Canceller> {
    if let OrderReader::Shopper(Shopper::Customer(staff)) = reader
        && staff.may(Permission::OrdersWrite)
        && orders::find_accessible(conn, order_id, reader.access()).await?.is_none()
    {
        let author = Author { origin: staff.origin(), role: Some(staff.role.as_str()) };
        return Ok(Canceller::Staff(staff.role, author));
    }
    Ok(Canceller::Customer(reader.access(), reader.origin()))
}

impl Refusal for CancelOrderError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::OrderState];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => Problem::not_found("order"),
            Self::TooLate(status) => Problem::new(Code::OrderState, self.to_string()).with("status", status),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for CancelLinesError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::OrderState, Code::ValidationFailed];

    fn problem(self) -> Problem {
        let text = self.to_string();
        match self {
            Self::Order(error) => error.problem(),
            Self::MayNot(role, permission) => permission_denied(Some(role), permission),
            Self::OnlyStaff => Problem::invalid(vec![Fault::at("", text)]),
            Self::UnknownLine(_) => Problem::invalid(vec![Fault::at("/lines", text)]),
            Self::TooManyUnits { order_line_id, left, .. } => {
                let problem = Problem::new(Code::OrderState, text);
                problem.with("order_line_id", order_line_id).with("units_left", left)
            }
            Self::Stock(_) => Problem::internal(text),
            Self::Database(error) => error.into(),
        }
    }
}
