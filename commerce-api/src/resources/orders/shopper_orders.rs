//! `/orders`: checkout, and what a shopper sees and does afterwards.

use chrono::{DateTime, Utc};
use commerce_core::cart;
use commerce_core::flows::{CancelLinesError, PlaceOrderError, cancel_lines, place_order_and_answer};
use commerce_core::ids::OrderId;
use commerce_core::orders::{self, ListOrdersError, OrderFilter, OrderSort};
use commerce_core::page::{Limit, Page};
use diesel_async::AsyncPgConnection;
use poem::Request;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, List, Okay, Reply, twenty};
use crate::http::auth::{Customer, Shopper};
use crate::http::body::{Body, OptionalBody};
use crate::http::client_ip::ClientIp;
use crate::http::idempotency_key::{IdempotencyKey, RequiredIdempotencyKey};
use crate::http::language::AcceptLanguage;
use crate::http::money::{Address, Money};
use crate::http::order_access::OrderReader;
use crate::http::problem::{Missing, Problem, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::orders::cancellation::{CancelRequest, canceller};
use crate::resources::orders::checkout::CheckoutRequest;
use crate::resources::orders::undelivered::UndeliveredMail;

pub struct Orders(pub State);

#[OpenApi(tag = "Tag::Orders")]
impl Orders {
    /// Check out
    ///
    /// Creates an order from the cart and reserves stock for all of it, or does nothing. The order can be
    /// paid until `expires_at`.
    ///
    /// A mail tells of an order that is not paid within a minute. Mails to addresses that the shopper has not proven
    /// are limited; the mail about the payment is sent in any case.
    ///
    /// Mails are in the language of `locale`, or else of the customer's account, or else in the one that
    /// `Accept-Language` prefers.
    #[oai(path = "/orders/checkout", method = "post", operation_id = "checkout")]
    async fn checkout(
        &self,
        shopper: Shopper,
        #[oai(name = "Idempotency-Key")] key: RequiredIdempotencyKey,
        #[oai(name = "Accept-Language")] language: AcceptLanguage,
        body: Body<CheckoutRequest>,
        request: &Request,
    ) -> Result<Created<Order>, Refused<PlaceOrderError>> {
        let networks = self.0.limits.networks(request.data::<ClientIp>());
        let request = key.request(&shopper, body.raw());
        let wish = body.wish(&self.0, &shopper, language, networks.clone()).await?;
        if !networks.is_empty() {
            // A request that is sent again finds its cart ordered, and counts nothing.
            let units = cart::count_units(&mut *self.0.conn().await?, shopper.owner()).await?;
            self.0.limits.count_units(units, &networks).await?;
        }
        let (state, kept) = (self.0.clone(), request.clone());
        let effect = async move |conn: &mut AsyncPgConnection| {
            // The transaction is rolled back on any error.
            place_order_and_answer(conn, &state.shop, wish.clone(), &kept, |placed| {
                Created::new(Order::reply(placed.order.clone(), placed.lines.clone()))
            })
            .await
        };
        self.0.write_and_store("checkout", request, effect).await
    }

    /// List your orders
    #[oai(path = "/orders", method = "get", operation_id = "list_orders")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        customer: Customer,
        status: Query<Option<OrderStatus>>,
        /// Only orders placed at this time or later
        placed_from: Query<Option<DateTime<Utc>>>,
        /// Only orders placed before this time
        placed_before: Query<Option<DateTime<Utc>>>,
        /// Newest first by default
        sort: Query<Option<OrderSorting>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Order>>, Refused<ListOrdersError>> {
        let filter = OrderFilter {
            user_id: Some(customer.user_id),
            status: status.0.map(Into::into),
            placed_from: placed_from.0,
            placed_before: placed_before.0,
            ..Default::default()
        };
        let mut conn = self.0.conn().await?;
        let sort = sort.0.map_or(OrderSort::NewestFirst, Into::into);
        let page = orders::list(
            &mut conn,
            &filter,
            sort,
            Limit::new(limit.0).unwrap_or_default(),
            cursor.0.as_deref(),
        )
        .await?;
        Ok(Okay::page(with_lines(&mut conn, page).await?))
    }

    /// Get an order
    ///
    /// A guest can get an order for 30 days with the `Cart-Token` that placed it. Without it, `POST /orders/lookup` mails an
    /// `Order-Token`.
    #[oai(path = "/orders/:id", method = "get", operation_id = "get_order")]
    async fn get(&self, reader: OrderReader, id: Path<Uuid>) -> Result<Okay<Order>, Refused<Missing>> {
        let mut conn = self.0.conn().await?;
        let order = orders::find_accessible(&mut conn, OrderId(id.0), reader.access()).await?;
        let order = order.ok_or(Missing("order"))?;
        let lines = orders::lines(&mut conn, &[order.id]).await?;
        Ok(Okay::new(Order::reply(order, lines)))
    }

    /// Cancel an order
    ///
    /// Shoppers can cancel an order until the shop begins to process it. Its stock is released, and what was paid is
    /// refunded.
    ///
    /// With `lines`, only these units are cancelled. The order's lines and totals stay as they were at checkout;
    /// `cancelled_quantity` and `cancelled_total` say what is cancelled of them. Less is due, or what was paid for the
    /// units is refunded, with their part of discounts and taxes. An order whose money covers the rest becomes paid. If
    /// nothing would be left, the whole order is cancelled.
    ///
    /// Staff with the permission `orders.write` can cancel whatever was not shipped or packed, of any order. They also
    /// need `payments.refund` if money has come in and goes back, and choose what becomes of money and units.
    #[oai(path = "/orders/:id/cancel", method = "post", operation_id = "cancel_order")]
    async fn cancel(
        &self,
        reader: OrderReader,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: OptionalBody<CancelRequest>,
    ) -> Result<Okay<Order>, Refused<CancelLinesError>> {
        let request = key.request(&reader, body.raw());
        let id = OrderId(id.0);
        let effect = async move |conn: &mut AsyncPgConnection| {
            let by = canceller(conn, &reader, id).await?;
            let order = cancel_lines(conn, body.value.clone().wish(id, by)).await?;
            let lines = orders::lines(conn, &[order.id]).await?;
            Ok::<_, CancelLinesError>(Order::reply(order, lines))
        };
        self.0.write("cancel_order", request, effect).await
    }
}

/// The orders of a page with their lines. It takes two queries, however many orders there are.
pub async fn with_lines(
    conn: &mut AsyncPgConnection,
    page: Page<orders::Order>,
) -> Result<Page<Order>, Problem> {
    let ids: Vec<OrderId> = page.data.iter().map(|order| order.id).collect();
    let mut lines = orders::lines(conn, &ids).await?;
    Ok(page.map(|order| {
        let own = lines.extract_if(.., |line| line.order_id == order.id).collect();
        Order::of(order, own)
    }))
}

/// The status of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "orders::OrderStatus")]
pub enum OrderStatus {
    PendingPayment,
    Paid,
    Processing,
    Shipped,
    Delivered,
    Cancelled,
}

/// What the payments and refunds of an order amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "OrderPaymentStatus", rename_all = "snake_case", remote = "orders::PaymentStatus")]
pub enum OrderPaymentStatus {
    Unpaid,
    Authorized,
    PartiallyPaid,
    Paid,
    Overpaid,
    PartiallyRefunded,
    Refunded,
}

/// How much of an order was shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "orders::FulfillmentStatus")]
pub enum FulfillmentStatus {
    Unfulfilled,
    Partial,
    Fulfilled,
    Delivered,
    Returned,
}

/// Why an order was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "orders::CancelReason")]
pub enum CancelReason {
    Expired,
    PaymentFailed,
    Customer,
    Admin,
}

/// The sort order of orders. `-` means descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(remote = "OrderSort")]
pub enum OrderSorting {
    #[oai(rename = "placed_at")]
    OldestFirst,
    #[oai(rename = "-placed_at")]
    NewestFirst,
    #[oai(rename = "total")]
    SmallestFirst,
    #[oai(rename = "-total")]
    LargestFirst,
}

/// An order.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Order {
    pub id: Uuid,
    /// The order number to show to people.
    pub number: String,
    pub status: OrderStatus,
    pub payment_status: OrderPaymentStatus,
    pub fulfillment_status: FulfillmentStatus,
    pub email: String,
    /// The language of mails about the order, unless it is the account's or the shop's.
    pub locale: Option<String>,
    pub currency: String,
    pub lines: Vec<OrderLine>,
    pub subtotal: Money,
    pub discount_total: Money,
    pub shipping_total: Money,
    pub tax_total: Money,
    /// The part of the tax that the prices already include.
    pub tax_included_total: Money,
    /// `subtotal − discount_total + shipping_total + (tax_total − tax_included_total)`
    pub total: Money,
    /// What the cancelled units cost. The order costs `total − cancelled_total`.
    pub cancelled_total: Money,
    pub amount_paid: Money,
    pub amount_refunded: Money,
    /// What remains to be paid.
    pub amount_due: Money,
    pub shipping_address: Address,
    pub billing_address: Option<Address>,
    /// Until when the order can be paid. Absent if it does not wait for a payment.
    pub expires_at: Option<DateTime<Utc>>,
    pub cancel_reason: Option<CancelReason>,
    pub placed_at: DateTime<Utc>,
    pub paid_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
    /// When a cancellation released the stock.
    pub stock_released_at: Option<DateTime<Utc>>,
    /// Mails about the order that could not be delivered. Only for staff, in `GET /admin/orders/{id}`, and absent if
    /// there are none.
    pub undelivered_mails: Option<Vec<UndeliveredMail>>,
    pub updated_at: DateTime<Utc>,
}

/// A line of an order, with title and price as they were at checkout.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct OrderLine {
    pub id: Uuid,
    pub variant_id: Uuid,
    pub sku: Option<String>,
    pub title: String,
    pub quantity: i64,
    pub unit_price: Money,
    pub line_total: Money,
    pub shipped_quantity: i64,
    /// Units that were cancelled, and are never shipped.
    pub cancelled_quantity: i64,
    /// Units that came back with returns. `GET /returns?order_id=` lists the returns.
    pub returned_quantity: i64,
}

impl Order {
    pub fn of(order: orders::Order, lines: Vec<orders::OrderLine>) -> Self {
        let money = |amount_minor| Money::new(amount_minor, order.currency);
        let line = |line: orders::OrderLine| OrderLine {
            id: line.id.0,
            variant_id: line.variant_id.0,
            sku: line.sku,
            title: line.title,
            quantity: line.quantity,
            unit_price: money(line.unit_price_minor),
            line_total: money(line.line_total_minor),
            shipped_quantity: line.shipped_quantity,
            cancelled_quantity: line.cancelled_quantity,
            returned_quantity: line.returned_quantity,
        };
        let waits = order.status == orders::OrderStatus::PendingPayment;
        Self {
            id: order.id.0,
            number: orders::format_order_number(order.number),
            status: order.status.into(),
            payment_status: order.payment_status.into(),
            fulfillment_status: order.fulfillment_status.into(),
            currency: order.currency.to_string(),
            lines: lines.into_iter().map(line).collect(),
            subtotal: money(order.subtotal_minor),
            discount_total: money(order.discount_minor),
            shipping_total: money(order.shipping_minor),
            tax_total: money(order.tax_minor),
            tax_included_total: money(order.tax_included_minor),
            total: money(order.total_minor),
            cancelled_total: money(order.cancelled_minor),
            amount_paid: money(order.paid_minor),
            amount_refunded: money(order.refunded_minor),
            amount_due: money(order.due_minor()),
            email: order.email.to_string(),
            locale: order.locale.map(String::from),
            shipping_address: order.shipping_address.into(),
            billing_address: order.billing_address.map(Into::into),
            expires_at: order.expires_at.filter(|_| waits),
            cancel_reason: order.cancel_reason.map(Into::into),
            placed_at: order.placed_at,
            paid_at: order.paid_at,
            cancelled_at: order.cancelled_at,
            stock_released_at: order.stock_released_at,
            undelivered_mails: None,
            updated_at: order.updated_at,
        }
    }

    /// The order with its `Location` and `ETag`.
    pub fn reply(order: orders::Order, lines: Vec<orders::OrderLine>) -> Reply<Self> {
        let (location, version) = (format!("/v1/orders/{}", order.id), order.version);
        Reply::new(Self::of(order, lines)).version(version).location(location)
    }
}

impl Example for OrderLine {
    fn example() -> Self {
        let money = |amount| Money::new(amount, commerce_core::money::Currency::USD);
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b31),
            variant_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b1f),
            sku: Some("CVT-S".to_owned()),
            title: "Classic Varsity Top – Small".to_owned(),
            quantity: 2,
            unit_price: money(6000),
            line_total: money(12000),
            shipped_quantity: 0,
            cancelled_quantity: 0,
            returned_quantity: 0,
        }
    }
}

impl Example for Order {
    fn example() -> Self {
        let money = |amount| Money::new(amount, commerce_core::money::Currency::USD);
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b30),
            number: "1001".to_owned(),
            status: OrderStatus::PendingPayment,
            payment_status: OrderPaymentStatus::Unpaid,
            fulfillment_status: FulfillmentStatus::Unfulfilled,
            email: "ada@example.com".to_owned(),
            locale: Some("en-GB".to_owned()),
            currency: "USD".to_owned(),
            lines: vec![OrderLine::example()],
            subtotal: money(12000),
            discount_total: money(0),
            shipping_total: money(0),
            tax_total: money(0),
            tax_included_total: money(0),
            total: money(12000),
            cancelled_total: money(0),
            amount_paid: money(0),
            amount_refunded: money(0),
            amount_due: money(12000),
            shipping_address: Address::example(),
            billing_address: None,
            expires_at: Some(at + chrono::Duration::minutes(15)),
            cancel_reason: None,
            placed_at: at,
            paid_at: None,
            cancelled_at: None,
            stock_released_at: None,
            undelivered_mails: None,
            updated_at: at,
        }
    }
}
