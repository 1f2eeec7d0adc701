//! An order as it is answered, and the words for it.

use chrono::{DateTime, Utc};
use commerce_core::ids::OrderId;
use commerce_core::orders::{self, OrderSort};
use commerce_core::page::Page;
use diesel_async::AsyncPgConnection;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use uuid::Uuid;

use crate::http::answer::Reply;
use crate::http::money::{Address, Money};
use crate::http::problem::Problem;
use crate::resources::orders::undelivered::UndeliveredMail;

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

/// Where an order came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum OrderSource {
    /// A shopper's cart.
    Storefront,
    /// Staff placed it for a customer.
    Staff,
}

impl From<orders::OrderSource> for OrderSource {
    fn from(source: orders::OrderSource) -> Self {
        match source {
            orders::OrderSource::Cart => Self::Storefront,
            orders::OrderSource::Staff => Self::Staff,
        }
    }
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
    /// Where it came from.
    pub source: OrderSource,
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
    /// What the shop keeps of a cancelled order. Absent if it keeps nothing.
    pub amount_kept: Option<Money>,
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
            source: order.source.into(),
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
            amount_kept: (order.kept_minor > 0).then(|| money(order.kept_minor)),
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
            source: OrderSource::Storefront,
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
            amount_kept: None,
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
