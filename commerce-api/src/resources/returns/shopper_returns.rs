//! `/orders/{id}/returns` and `/returns`: shoppers give goods back.

use commerce_core::accounts::Permission;
use commerce_core::flows::{RequestReturn, RequestReturnError, request_return};
use commerce_core::ids::{OrderId, ReturnId};
use commerce_core::orders::{self, Access};
use commerce_core::page::{Limit, Page};
use commerce_core::returns::{ListReturnsError, ReturnFilter, find_return, list_returns};
use diesel_async::AsyncPgConnection;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use uuid::Uuid;

use crate::http::answer::{Created, List, Okay, twenty};
use crate::http::auth::{Credential as _, Shopper};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::order_access::OrderReader;
use crate::http::problem::{Code, Fault, Missing, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::returns::shapes::{Return, ReturnRequest, ReturnStatus};

pub struct Returns(pub State);

#[OpenApi(tag = "Tag::Returns")]
impl Returns {
    /// Request a return
    ///
    /// Units of your order that have arrived can be returned for some time (`COMMERCE_RETURN_WINDOW`, 30 days by default).
    /// Staff approve or reject the request. When the goods are back, their price is refunded, with its part of discounts and
    /// taxes.
    #[oai(path = "/orders/:id/returns", method = "post", operation_id = "request_return")]
    async fn request(
        &self,
        reader: OrderReader,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<ReturnRequest>,
    ) -> Result<Created<Return>, Refused<RequestReturnError>> {
        let request = key.request(&reader, body.raw());
        let wish = RequestReturn {
            order_id: OrderId(id.0),
            access: reader.access(),
            lines: body.wanted(),
            note: body.value.note,
            origin: reader.origin(),
        };
        let state = self.0.clone();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let opened = request_return(conn, &state.shop, wish.clone()).await?;
            Ok::<_, RequestReturnError>(Return::reply(conn, opened).await?)
        };
        self.0.write("request_return", request, effect).await
    }

    /// List returns
    ///
    /// Newest first. Of your own orders, or of all orders with the permission `orders.read`.
    #[oai(path = "/returns", method = "get", operation_id = "list_returns")]
    async fn list(
        &self,
        reader: OrderReader,
        order_id: Query<Option<Uuid>>,
        status: Query<Option<ReturnStatus>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Return>>, Refused<ListReturnsError>> {
        let mut conn = self.0.conn().await?;
        let (access, order_id) = (only_of(&reader), order_id.0.map(OrderId));
        if let (Some(id), Some(access)) = (order_id, access) {
            let own = orders::find_accessible(&mut conn, id, access).await?;
            own.ok_or_else(|| Problem::not_found("order"))?;
        }
        let status = status.0.map(Into::into);
        let filter = ReturnFilter { access, order_id, status, ..Default::default() };
        let limit = Limit::new(limit.0).unwrap_or_default();
        let Page { data, next_cursor } = list_returns(&mut conn, &filter, limit, cursor.0.as_deref()).await?;
        let data = Return::read(&mut conn, data).await?;
        Ok(Okay::page(Page { data, next_cursor }))
    }

    /// Get a return
    ///
    /// Of your own order, or of any order with the permission `orders.read`.
    #[oai(path = "/returns/:id", method = "get", operation_id = "get_return")]
    async fn get(&self, reader: OrderReader, id: Path<Uuid>) -> Result<Okay<Return>, Refused<Missing>> {
        let mut conn = self.0.conn().await?;
        let found = find_return(&mut conn, ReturnId(id.0), only_of(&reader)).await?;
        Ok(Okay::new(Return::reply(&mut conn, found.ok_or(Missing("return"))?).await?))
    }
}

/// What the caller may see. `None` for everything.
fn only_of(reader: &OrderReader) -> Option<Access> {
    match reader {
        OrderReader::Shopper(Shopper::Customer(customer)) if customer.may(Permission::OrdersRead) => None,
        other => Some(other.access()),
    }
}

impl Refusal for RequestReturnError {
    const CODES: &'static [Code] =
        &[Code::NotFound, Code::OrderState, Code::ReturnTooLate, Code::ValidationFailed];

    fn problem(self) -> Problem {
        let text = self.to_string();
        let about = |code, line, left| {
            Problem::new(code, text.clone()).with("order_line_id", line).with("units_left", left)
        };
        match self {
            Self::NotFound => Problem::not_found("order"),
            Self::Invalid(errors) => Problem::invalid(errors.into_iter().map(Fault::from).collect()),
            Self::UnknownLine(_) => Problem::invalid(vec![Fault::at("/lines", text)]),
            Self::TooManyUnits { order_line_id, left, .. } => about(Code::OrderState, order_line_id, left),
            Self::TooLate { order_line_id, left, .. } => about(Code::ReturnTooLate, order_line_id, left),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for ListReturnsError {
    const CODES: &'static [Code] = &[Code::InvalidCursor, Code::NotFound];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}
