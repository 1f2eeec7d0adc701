//! `/admin/returns`: staff handle goods that come back.

use chrono::{DateTime, Utc};
use commerce_core::flows::{
    MoveReturn, MoveReturnError, ReceivedLine, StaffReturnError, move_return, open_staff_return,
};
use commerce_core::ids::{OrderId, OrderLineId, ReturnId};
use commerce_core::page::{Limit, Page};
use commerce_core::returns::{self, ListReturnsError, ReturnFilter, list_returns};
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, List, Okay, twenty};
use crate::http::auth::{Can, OrdersRead, ReturnsWrite, permission_denied};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::if_match::IfMatch;
use crate::http::money::Money;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::returns::shapes::{Return, ReturnStatus, StaffReturnRequest};

pub struct AdminReturns(pub State);

#[OpenApi(tag = "Tag::Returns")]
impl AdminReturns {
    /// List all returns
    ///
    /// Newest first.
    #[oai(path = "/admin/returns", method = "get", operation_id = "admin_list_returns")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        staff: Can<OrdersRead>,
        order_id: Query<Option<Uuid>>,
        status: Query<Option<ReturnStatus>>,
        /// Only returns requested at this time or later
        created_from: Query<Option<DateTime<Utc>>>,
        /// Only returns requested before this time
        created_before: Query<Option<DateTime<Utc>>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Return>>, Refused<ListReturnsError>> {
        let mut conn = self.0.conn().await?;
        let filter = ReturnFilter {
            access: None,
            order_id: order_id.0.map(OrderId),
            status: status.0.map(Into::into),
            created_from: created_from.0,
            created_before: created_before.0,
        };
        let limit = Limit::new(limit.0).unwrap_or_default();
        let Page { data, next_cursor } = list_returns(&mut conn, &filter, limit, cursor.0.as_deref()).await?;
        staff.note_read(&mut conn).await?;
        let data = Return::read(&mut conn, data).await?;
        Ok(Okay::page(Page { data, next_cursor }))
    }

    /// Open a return for a customer
    ///
    /// Like a request of the shopper, who gets the same mail. With `waive_window` and a `reason`, units are taken that
    /// arrived before the shop's time for returns.
    #[oai(path = "/admin/orders/:id/returns", method = "post", operation_id = "admin_open_return")]
    async fn open(
        &self,
        staff: Can<ReturnsWrite>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<StaffReturnRequest>,
    ) -> Result<Created<Return>, Refused<StaffReturnError>> {
        let request = key.request(&staff, body.raw());
        let (wish, shop) = (body.value.wish(OrderId(id.0), staff.author()), self.0.shop.clone());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let opened = open_staff_return(conn, &shop, wish.clone()).await?;
            Ok::<_, StaffReturnError>(Return::reply(conn, opened).await?)
        };
        self.0.write("open_return", request, effect).await
    }

    /// Update the status of a return
    ///
    /// - `approved`: the shopper may send the goods.
    /// - `received`: the goods are back. With `lines`, staff say how many units came, and whether they are sold again; if
    ///   not, they are written off. Without, all came and are sold again. If nothing came, each line has `quantity` 0.
    /// - `refunded`: what the received units cost is refunded, unless it was before, and no more than is left of the order's
    ///   payments. With `amount` it is less, for wear. It also needs the permission `payments.refund`.
    /// - `rejected`: the shop does not take the goods back, before they came or after.
    ///
    /// Each step is in the order's timeline, and the shopper gets a mail with the `answer`. A return that has the status
    /// already stays as it is.
    #[oai(path = "/admin/returns/:id/status", method = "patch", operation_id = "admin_move_return")]
    async fn move_on(
        &self,
        staff: Can<ReturnsWrite>,
        id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<MoveReturnRequest>,
    ) -> Result<Okay<Return>, Refused<MoveReturnError>> {
        let MoveReturnRequest { status, lines, amount, answer } = body.value;
        let line = |line: ReceivedRequestLine| ReceivedLine {
            order_line_id: OrderLineId(line.order_line_id),
            quantity: line.quantity,
            restock: line.restock.unwrap_or(true),
        };
        let wish = MoveReturn {
            id: ReturnId(id.0),
            to: status.into(),
            lines: lines.unwrap_or_default().into_iter().map(line).collect(),
            amount: amount.map(|amount| amount.checked("/amount")).transpose()?,
            answer,
            expected_version: expected.version(),
            role: staff.staff.role,
            author: staff.author(),
        };
        let effect = async move |conn: &mut AsyncPgConnection| {
            let moved = move_return(conn, wish.clone()).await?;
            Ok::<_, MoveReturnError>(Return::reply(conn, moved).await?)
        };
        self.0.write("move_return", None, effect).await
    }
}

/// The next status of a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum NextReturnStatus {
    Approved,
    Received,
    Refunded,
    Rejected,
}

impl From<NextReturnStatus> for returns::ReturnStatus {
    fn from(status: NextReturnStatus) -> Self {
        match status {
            NextReturnStatus::Approved => Self::Approved,
            NextReturnStatus::Received => Self::Received,
            NextReturnStatus::Refunded => Self::Refunded,
            NextReturnStatus::Rejected => Self::Rejected,
        }
    }
}

/// What came of a line.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
struct ReceivedRequestLine {
    order_line_id: Uuid,
    /// The units that came. All that were announced by default.
    #[oai(validator(minimum(value = "0")))]
    quantity: Option<i64>,
    /// Whether they are sold again; if not, they are written off. True by default.
    restock: Option<bool>,
}

impl Example for ReceivedRequestLine {
    fn example() -> Self {
        let order_line_id = Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b31);
        Self { order_line_id, quantity: Some(1), restock: Some(false) }
    }
}

/// The next step of a return.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
struct MoveReturnRequest {
    status: NextReturnStatus,
    /// Only for `received`.
    #[oai(validator(min_items = 1, max_items = 100))]
    lines: Option<Vec<ReceivedRequestLine>>,
    /// What is refunded: all that the received units cost, or less for wear. All by default. Only for `refunded`.
    amount: Option<Money>,
    /// What the shopper reads in the mail, such as where to send the goods, or why they are not taken back.
    #[oai(validator(min_length = 1, max_length = 2000))]
    answer: Option<String>,
}

impl Example for MoveReturnRequest {
    fn example() -> Self {
        Self {
            status: NextReturnStatus::Received,
            lines: Some(vec![ReceivedRequestLine::example()]),
            amount: None,
            answer: Some("Thank you. One of the cups is broken.".to_owned()),
        }
    }
}

impl Refusal for StaffReturnError {
    const CODES: &'static [Code] =
        &[Code::NotFound, Code::OrderState, Code::ReturnTooLate, Code::ValidationFailed];

    fn problem(self) -> Problem {
        match self {
            Self::Request(error) => error.problem(),
            Self::NoReason | Self::NotWaived => {
                Problem::invalid(vec![Fault::at("/reason", self.to_string())])
            }
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for MoveReturnError {
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::VersionMismatch,
        Code::ReturnState,
        Code::OrderState,
        Code::ValidationFailed,
        Code::CurrencyMismatch,
    ];

    fn problem(self) -> Problem {
        let text = self.to_string();
        match self {
            Self::NotFound => Problem::not_found("return"),
            Self::VersionMismatch => Problem::new(Code::VersionMismatch, Code::VersionMismatch.meaning()),
            Self::Transition(error) => Problem::new(Code::ReturnState, text).with("status", error.from),
            Self::MayNot(role, permission) => permission_denied(Some(role), permission),
            Self::NotReceiving | Self::UnknownLine(_) | Self::TooManyUnits { .. } => {
                Problem::invalid(vec![Fault::at("/lines", text)])
            }
            Self::NotRefunding | Self::AmountOutOfRange { .. } => {
                Problem::invalid(vec![Fault::at("/amount", text)])
            }
            Self::CurrencyMismatch { .. } => Problem::new(Code::CurrencyMismatch, text),
            Self::NotArrived { order_line_id, arrived, .. } => {
                let problem = Problem::new(Code::OrderState, text);
                problem.with("order_line_id", order_line_id).with("units_left", arrived)
            }
            Self::Stock(_) => Problem::new(Code::OrderState, text),
            Self::Database(error) => error.into(),
        }
    }
}
