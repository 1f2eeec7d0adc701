//! `/admin/orders`: how staff see and handle orders.

use chrono::{DateTime, Utc};
use commerce_core::accounts::Permission;
use commerce_core::flows::{
    self, AdvanceOrderError, CancelChoices, Dispatch, MoveOrder, MoveOrderError, NoteOrderError,
    StaffOrderError, move_order, note_order, place_staff_order,
};
use commerce_core::ids::{OrderId, UserId};
use commerce_core::notifications::undelivered_mails;
use commerce_core::orders::{self, EventKind, ListOrdersError, OrderFilter, OrderSort};
use commerce_core::page::Limit;
use commerce_core::settings::CapturePolicy;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, List, Okay, Reply, twenty};
use crate::http::auth::{Can, OrdersRead, OrdersWrite, permission_denied};
use crate::http::body::Body;
use crate::http::idempotency_key::{IdempotencyKey, RequiredIdempotencyKey};
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Fault, Missing, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::orders::shapes::{
    CancelReason, FulfillmentStatus, Order, OrderPaymentStatus, OrderSorting, OrderStatus, with_lines,
};
use crate::resources::orders::staff_order::StaffOrderRequest;
use crate::resources::orders::undelivered::UndeliveredMail;

pub struct AdminOrders(pub State);

#[OpenApi(tag = "Tag::AdminOrders")]
impl AdminOrders {
    /// List orders
    #[oai(path = "/admin/orders", method = "get", operation_id = "admin_list_orders")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        staff: Can<OrdersRead>,
        status: Query<Option<OrderStatus>>,
        payment_status: Query<Option<OrderPaymentStatus>>,
        fulfillment_status: Query<Option<FulfillmentStatus>>,
        cancel_reason: Query<Option<CancelReason>>,
        /// Whether a cancellation released stock
        stock_released: Query<Option<bool>>,
        /// Id of the customer
        user_id: Query<Option<Uuid>>,
        /// Only orders placed at this time or later
        placed_from: Query<Option<DateTime<Utc>>>,
        /// Only orders placed before this time
        placed_before: Query<Option<DateTime<Utc>>>,
        /// In minor units
        total_min: Query<Option<i64>>,
        /// In minor units
        total_max: Query<Option<i64>>,
        /// The number of the order, or the beginnings of words of its e-mail address, names, SKUs and tracking numbers.
        /// All words must match.
        #[oai(validator(max_length = 254))]
        q: Query<Option<String>>,
        /// Newest first by default
        sort: Query<Option<OrderSorting>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Order>>, Refused<ListOrdersError>> {
        let filter = OrderFilter {
            user_id: user_id.0.map(UserId),
            status: status.0.map(Into::into),
            payment_status: payment_status.0.map(Into::into),
            fulfillment_status: fulfillment_status.0.map(Into::into),
            cancel_reason: cancel_reason.0.map(Into::into),
            stock_released: stock_released.0,
            placed_from: placed_from.0,
            placed_before: placed_before.0,
            total_min_minor: total_min.0,
            total_max_minor: total_max.0,
            text: q.0.filter(|text| !text.trim().is_empty()),
        };
        let sort = sort.0.map_or(OrderSort::NewestFirst, Into::into);
        let mut conn = self.0.conn().await?;
        let limit = Limit::new(limit.0).unwrap_or_default();
        let page = orders::list(&mut conn, &filter, sort, limit, cursor.0.as_deref()).await?;
        staff.note_read(&mut conn).await?;
        Ok(Okay::page(with_lines(&mut conn, page).await?))
    }

    /// Place an order for a customer
    ///
    /// For an order by phone, for example. The prices are those of the shop as they are. Stock is reserved for all of the
    /// order until `expires_at`, or nothing is done. No limit for shoppers applies.
    ///
    /// A mail tells the customer of an order that is not paid within a minute. The customer pays by a link
    /// (`POST /admin/orders/{id}/payment-link`), or with an account like any order; money that comes in another way is
    /// recorded by `POST /admin/orders/{id}/payments`.
    #[oai(path = "/admin/orders", method = "post", operation_id = "admin_place_order")]
    async fn place(
        &self,
        staff: Can<OrdersWrite>,
        #[oai(name = "Idempotency-Key")] key: RequiredIdempotencyKey,
        body: Body<StaffOrderRequest>,
    ) -> Result<Created<Order>, Refused<StaffOrderError>> {
        let request = key.request(&staff, body.raw());
        let (wish, shop) = (body.value.wish(staff.author())?, self.0.shop.clone());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let placed = place_staff_order(conn, &shop, wish.clone()).await?;
            let (location, version) = (format!("/v1/admin/orders/{}", placed.order.id), placed.order.version);
            let reply = Reply::new(Order::of(placed.order, placed.lines)).version(version);
            Ok::<_, StaffOrderError>(reply.location(location))
        };
        self.0.write("place_staff_order", Some(request), effect).await
    }

    /// Get an order
    ///
    /// `undelivered_mails` has the mails about it that were refused or given up.
    #[oai(path = "/admin/orders/:id", method = "get", operation_id = "admin_get_order")]
    async fn get(&self, staff: Can<OrdersRead>, id: Path<Uuid>) -> Result<Okay<Order>, Refused<Missing>> {
        let mut conn = self.0.conn().await?;
        let order = orders::find(&mut conn, OrderId(id.0)).await?.ok_or(Missing("order"))?;
        let lines = orders::lines(&mut conn, &[order.id]).await?;
        let undelivered = undelivered_mails(&mut conn, order.id).await?;
        staff.note_read(&mut conn).await?;
        let version = order.version;
        let mut order = Order::of(order, lines);
        let undelivered: Vec<_> = undelivered.into_iter().map(UndeliveredMail::from).collect();
        order.undelivered_mails = Some(undelivered).filter(|mails| !mails.is_empty());
        // A mail fails without a change of the order.
        Ok(Okay::new(Reply::new(order).version_as_shown(version)))
    }

    /// Update the status of an order
    ///
    /// - `processing`: the customer can no longer cancel the order.
    /// - `shipped`: all that is left is shipped: the parcels that are packed, and one more with the rest. If the shop
    ///   takes money when it ships (`COMMERCE_CAPTURE=on_shipping`), it is captured first.
    /// - `delivered`: all parcels that are under way have arrived.
    /// - `cancelled`: the stock is released, and what was paid is refunded, unless `restock` or `refund` is false.
    ///
    /// Other steps than those of the machine are refused. A `reason` appears in the timeline.
    ///
    /// `shipped` and `delivered` also need the permission `shipments.write`. `cancelled` also needs
    /// `payments.refund` if money has come in for the order and goes back.
    #[oai(path = "/admin/orders/:id/status", method = "patch", operation_id = "admin_move_order")]
    async fn move_on(
        &self,
        staff: Can<OrdersWrite>,
        id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<MoveOrderRequest>,
    ) -> Result<Okay<Order>, Refused<MoveOrderError>> {
        let wish = MoveOrder {
            order_id: OrderId(id.0),
            reason: body.value.reason.clone(),
            step: body.value.step(),
            expected_version: expected.version(),
            role: staff.staff.role,
            author: staff.author(),
        };
        if self.captures_first(&wish) {
            let (state, id, author) = (self.0.clone(), wish.order_id, wish.author.clone());
            let capture = async move {
                flows::capture_order(&state.pool, &state.shop, &state.providers, id, &author).await
            };
            self.0.to_its_end(capture).await?.map_err(MoveOrderError::from)?;
        }
        let effect = async move |conn: &mut AsyncPgConnection| {
            let order = move_order(conn, wish.clone()).await?;
            let lines = orders::lines(conn, &[order.id]).await?;
            Ok::<_, MoveOrderError>(Order::reply(order, lines))
        };
        self.0.write("move_order", None, effect).await
    }

    /// List the events of an order
    #[oai(path = "/admin/orders/:id/events", method = "get", operation_id = "admin_list_order_events")]
    async fn events(
        &self,
        staff: Can<OrdersRead>,
        id: Path<Uuid>,
    ) -> Result<Okay<List<OrderEvent>>, Refused<Missing>> {
        let mut conn = self.0.conn().await?;
        let order = orders::find(&mut conn, OrderId(id.0)).await?.ok_or(Missing("order"))?;
        let data = orders::events(&mut conn, order.id).await?.into_iter().map(OrderEvent::from).collect();
        staff.note_read(&mut conn).await?;
        Ok(Okay::new(List { data, next_cursor: None }))
    }

    /// Add a note to an order
    ///
    /// The note appears in the timeline. Shoppers do not see it.
    #[oai(path = "/admin/orders/:id/notes", method = "post", operation_id = "admin_note_order")]
    async fn note(
        &self,
        staff: Can<OrdersWrite>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<NoteRequest>,
    ) -> Result<Created<OrderEvent>, Refused<NoteOrderError>> {
        let request = key.request(&staff, body.raw());
        let (id, author, text) = (OrderId(id.0), staff.author(), body.value.text);
        let effect = async move |conn: &mut AsyncPgConnection| {
            note_order(conn, id, &text, &author).await.map(OrderEvent::from)
        };
        self.0.write("note_order", request, effect).await
    }
}

impl AdminOrders {
    /// Whether authorized money is taken before the step.
    fn captures_first(&self, wish: &MoveOrder) -> bool {
        self.0.shop.capture == CapturePolicy::OnShipping
            && matches!(wish.step, flows::OrderStep::Ship(_))
            && wish.role.may(Permission::ShipmentsWrite)
    }
}

impl Refusal for ListOrdersError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for NoteOrderError {
    const CODES: &'static [Code] = &[Code::NotFound];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => Problem::not_found("order"),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for MoveOrderError {
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::VersionMismatch,
        Code::OrderState,
        Code::TrackingNumberTaken,
        Code::ValidationFailed,
        Code::PaymentState,
        Code::ProviderRefused,
        Code::ProviderUnavailable,
    ];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound | Self::Advance(AdvanceOrderError::NotFound) => Problem::not_found("order"),
            Self::MayNot(role, permission) => permission_denied(Some(role), permission),
            Self::VersionMismatch => Problem::new(Code::VersionMismatch, Code::VersionMismatch.meaning()),
            Self::Advance(AdvanceOrderError::Transition(error)) => {
                Problem::new(Code::OrderState, error.to_string()).with("status", error.from)
            }
            Self::Capture(error) => error.problem(),
            Self::Cancel(error) => error.problem(),
            Self::Advance(error @ AdvanceOrderError::TrackingNumberTaken(_)) => {
                Problem::new(Code::TrackingNumberTaken, error.to_string())
            }
            Self::Advance(error @ AdvanceOrderError::AllPacked) => {
                Problem::invalid(vec![Fault::at("/tracking_number", error.to_string())])
            }
            Self::Advance(error @ (AdvanceOrderError::Shipment(_) | AdvanceOrderError::Stock(_))) => {
                Problem::internal(error)
            }
            Self::Advance(AdvanceOrderError::Database(error)) | Self::Database(error) => error.into(),
        }
    }
}

/// The statuses that staff can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum OrderStep {
    Processing,
    Shipped,
    Delivered,
    Cancelled,
}

/// The next status of the order.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct MoveOrderRequest {
    pub status: OrderStep,
    /// The carrier of the parcel with the rest. Only with `shipped`.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub carrier: Option<String>,
    /// The tracking number of the parcel with the rest. Only with `shipped`. A number of the shop's own by default.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub tracking_number: Option<String>,
    /// Whether what was paid is refunded. If not, the shop keeps it. Only with `cancelled`. True by default.
    pub refund: Option<bool>,
    /// Whether the units can be sold to others; if not, they are written off. Only with `cancelled`. True by default.
    pub restock: Option<bool>,
    /// Why, for colleagues. It appears in the timeline.
    #[oai(validator(min_length = 1, max_length = 500))]
    pub reason: Option<String>,
}

impl MoveOrderRequest {
    fn step(self) -> flows::OrderStep {
        match self.status {
            OrderStep::Processing => flows::OrderStep::Process,
            OrderStep::Shipped => {
                let Self { carrier, tracking_number, .. } = self;
                flows::OrderStep::Ship(Dispatch { carrier, tracking_number })
            }
            OrderStep::Delivered => flows::OrderStep::Deliver,
            OrderStep::Cancelled => {
                let (refund, restock) = (self.refund.unwrap_or(true), self.restock.unwrap_or(true));
                flows::OrderStep::Cancel(CancelChoices { refund, restock })
            }
        }
    }
}

impl Example for MoveOrderRequest {
    fn example() -> Self {
        Self {
            status: OrderStep::Shipped,
            carrier: Some("DHL".to_owned()),
            tracking_number: Some("00340434161094042557".to_owned()),
            refund: None,
            restock: None,
            reason: None,
        }
    }
}

/// A note for colleagues.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct NoteRequest {
    #[oai(validator(min_length = 1, max_length = 2000))]
    pub text: String,
}

impl Example for NoteRequest {
    fn example() -> Self {
        Self { text: "Customer called: please ring twice.".to_owned() }
    }
}

/// An event in the timeline of an order.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct OrderEvent {
    pub id: Uuid,
    /// Such as `placed`, `payment_succeeded`, `paid`, `shipped`, `cancelled`, `stock_released`, `note`.
    pub kind: String,
    pub data: serde_json::Value,
    /// Who did it: `user:<id>`, `guest` or `system`.
    pub actor: String,
    pub request_id: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl From<orders::OrderEvent> for OrderEvent {
    fn from(event: orders::OrderEvent) -> Self {
        let orders::OrderEvent { id, kind, data, actor, request_id, created_at } = event;
        Self { id: id.0, kind: kind.to_string(), data, actor, request_id, created_at }
    }
}

impl Example for OrderEvent {
    fn example() -> Self {
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b51),
            kind: EventKind::Placed.to_string(),
            data: serde_json::json!({ "total_minor": 12000, "currency": "USD" }),
            actor: "guest".to_owned(),
            request_id: Some("01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b1e".to_owned()),
            created_at: DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
        }
    }
}
