//! The rows of orders.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{
    Address, CancelReason, FulfillmentStatus, OrderSource, OrderStatus, PaymentStatus, Sums,
    derive_payment_status, parse_order_number,
};
use crate::cart::Owner;
use crate::db::{clock, time_before};
use crate::email_address::EmailAddress;
use crate::ids::{CartId, OrderId, OrderLineId, UserId, VariantId};
use crate::locale::Locale;
use crate::money::Currency;
use crate::pricing::Totals;
use crate::schema::{order_lines, orders};

/// An order.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = orders)]
pub struct Order {
    /// The id, for programs.
    pub id: OrderId,
    /// The number, for people.
    pub number: i64,
    /// Where the order came from: a shopper's cart, or staff.
    pub source: OrderSource,
    /// `None` for a guest's order, and for an order that staff entered for somebody without an account.
    pub user_id: Option<UserId>,
    /// The address for mails about the order.
    pub email: EmailAddress,
    /// The language of mails about the order. `None` means the account's, or the shop's.
    pub locale: Option<Locale>,
    /// The status.
    pub status: OrderStatus,
    /// How much of it is paid.
    pub payment_status: PaymentStatus,
    /// How much of it was shipped.
    pub fulfillment_status: FulfillmentStatus,
    /// The currency of its amounts.
    pub currency: Currency,
    /// The sum of the lines.
    pub subtotal_minor: i64,
    /// All discounts.
    pub discount_minor: i64,
    /// The price of shipping.
    pub shipping_minor: i64,
    /// All tax.
    pub tax_minor: i64,
    /// The part of the tax that the prices already include.
    pub tax_included_minor: i64,
    /// The total: `subtotal − discount + shipping + (tax − tax_included)`.
    pub total_minor: i64,
    /// The sum of succeeded payments. A refund does not reduce it.
    pub paid_minor: i64,
    /// The sum of succeeded refunds.
    pub refunded_minor: i64,
    /// What providers hold for the order and have not taken yet.
    pub authorized_minor: i64,
    /// What the cancelled units cost. The total stays as it was at checkout.
    pub cancelled_minor: i64,
    /// What the shop keeps of a cancelled order, because staff cancelled it without a refund.
    pub kept_minor: i64,
    /// The shipping address, as it was at checkout.
    pub shipping_address: Address,
    /// The billing address, if it differs from the shipping address.
    pub billing_address: Option<Address>,
    /// Why it was cancelled, if it was.
    pub cancel_reason: Option<CancelReason>,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// Until when it can be paid. `None` if it does not wait for a payment.
    pub expires_at: Option<DateTime<Utc>>,
    /// When succeeded payments first covered the total. It never changes afterwards.
    pub paid_at: Option<DateTime<Utc>>,
    /// When it was cancelled, if it was.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// When a cancellation released the stock.
    pub stock_released_at: Option<DateTime<Utc>>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows with every change.
    pub version: i32,
}

impl Order {
    /// Whether what came in and what providers hold cover the total.
    pub fn is_covered(&self) -> bool {
        self.paid_minor + self.authorized_minor >= self.payable_minor()
    }

    /// What the order costs: its total without the units that were cancelled.
    pub fn payable_minor(&self) -> i64 {
        self.total_minor - self.cancelled_minor
    }

    /// What remains to be paid. A refund does not increase it.
    pub fn due_minor(&self) -> i64 {
        (self.payable_minor() - self.paid_minor).max(0)
    }
}

/// A line of an order, with title and price as they were at checkout.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = order_lines)]
pub struct OrderLine {
    /// The line's id.
    pub id: OrderLineId,
    /// The order that it is a line of.
    pub order_id: OrderId,
    /// The variant that was bought.
    pub variant_id: VariantId,
    /// The merchant's own number for the variant, at checkout.
    pub sku: Option<String>,
    /// The titles of product and variant, at checkout.
    pub title: String,
    /// Units bought.
    pub quantity: i64,
    /// The price of one unit at checkout, in minor units.
    pub unit_price_minor: i64,
    /// The price times the quantity, in minor units.
    pub line_total_minor: i64,
    /// Units that were shipped. A unit that was lost and sent again counts once.
    pub shipped_quantity: i64,
    /// Units that came back with returns.
    pub returned_quantity: i64,
    /// Whether units of the variant were counted when they were ordered, so that they were reserved. It stays
    /// when the variant is switched.
    pub track_inventory: bool,
    /// Units that were cancelled, and are never shipped.
    pub cancelled_quantity: i64,
    /// What the cancelled units cost, with their part of discounts and taxes, in minor units.
    pub cancelled_minor: i64,
}

impl OrderLine {
    /// Units that are to be delivered: those that were not cancelled.
    pub fn wanted(&self) -> i64 {
        self.quantity - self.cancelled_quantity
    }

    /// Units that are to be delivered and have not left the shop.
    pub fn unshipped(&self) -> i64 {
        self.wanted() - self.shipped_quantity
    }
}

/// The data of a new order.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// The id of the new order.
    pub id: OrderId,
    /// Where the order comes from: a shopper's cart, or staff.
    pub source: NewOrderSource,
    /// The address for mails about the order.
    pub email: EmailAddress,
    /// The language of mails about the order. `None` means the account's, or the shop's.
    pub locale: Option<Locale>,
    /// The currency of its amounts.
    pub currency: Currency,
    /// Its totals.
    pub totals: Totals,
    /// The shipping address.
    pub shipping_address: Address,
    /// The billing address, if it differs from the shipping address.
    pub billing_address: Option<Address>,
    /// How long it waits for a payment.
    pub ttl: std::time::Duration,
}

/// Where a new order comes from, and who owns it.
#[derive(Debug, Clone, Copy)]
pub enum NewOrderSource {
    /// A shopper's cart. The cart's owner owns the order.
    Cart {
        /// The cart that becomes the order.
        cart_id: CartId,
        /// The owner, who may see the order.
        owner: Owner,
    },
    /// Staff entered the order. Without an owner only staff can see it.
    Staff {
        /// The owner, who may see the order like staff.
        owner: Option<Owner>,
    },
}

impl NewOrderSource {
    fn source(&self) -> OrderSource {
        match self {
            Self::Cart { .. } => OrderSource::Cart,
            Self::Staff { .. } => OrderSource::Staff,
        }
    }

    fn cart_id(&self) -> Option<CartId> {
        match self {
            Self::Cart { cart_id, .. } => Some(*cart_id),
            Self::Staff { .. } => None,
        }
    }

    fn owner(&self) -> Option<&Owner> {
        match self {
            Self::Cart { owner, .. } => Some(owner),
            Self::Staff { owner } => owner.as_ref(),
        }
    }
}

/// A line that is about to be written.
#[derive(Debug, Clone)]
pub struct NewLine {
    /// The id of the new line.
    pub id: OrderLineId,
    /// The variant bought.
    pub variant_id: VariantId,
    /// The merchant's own number for the variant.
    pub sku: Option<String>,
    /// The titles of product and variant.
    pub title: String,
    /// Units bought.
    pub quantity: i64,
    /// The price of one unit, in minor units.
    pub unit_price_minor: i64,
    /// The price times the quantity, in minor units.
    pub line_total_minor: i64,
    /// Whether units of the variant are counted, so that they are reserved for the line.
    pub track_inventory: bool,
}

/// Writes an order that waits for a payment.
pub(crate) async fn insert(conn: &AsyncPgConnection, order: NewOrder) -> QueryResult<Order> {
    let (totals, owner) = (order.totals, order.source.owner());
    diesel::insert_into(orders::table)
        .values((
            orders::id.eq(order.id),
            orders::source.eq(order.source.source()),
            orders::cart_id.eq(order.source.cart_id()),
            orders::user_id.eq(owner.and_then(Owner::user_id)),
            orders::token_hash.eq(owner.and_then(Owner::token_hash)),
            orders::email.eq(order.email),
            orders::locale.eq(order.locale),
            orders::currency.eq(order.currency),
            orders::subtotal_minor.eq(totals.subtotal_minor),
            orders::discount_minor.eq(totals.discount_minor),
            orders::shipping_minor.eq(totals.shipping_minor),
            orders::tax_minor.eq(totals.tax_minor),
            orders::tax_included_minor.eq(totals.tax_included_minor),
            orders::total_minor.eq(totals.total_minor),
            // An order that costs nothing is paid as soon as it is placed.
            orders::status.eq(if totals.total_minor == 0 {
                OrderStatus::Paid
            } else {
                OrderStatus::PendingPayment
            }),
            orders::payment_status.eq(derive_payment_status(totals.total_minor, Sums::default())),
            orders::paid_at.eq(diesel::dsl::case_when(
                totals.total_minor.into_sql::<diesel::sql_types::BigInt>().eq(0),
                clock().nullable(),
            )),
            orders::shipping_address.eq(order.shipping_address),
            orders::billing_address.eq(order.billing_address),
            orders::expires_at.eq(crate::db::time_after(order.ttl).nullable()),
        ))
        .returning(Order::as_returning())
        .get_result(&mut { conn })
        .await
}

/// Writes one line. It takes a shared connection, so that the writes of an order can be sent together.
pub(crate) async fn insert_line(
    conn: &AsyncPgConnection,
    order_id: OrderId,
    position: i32,
    line: &NewLine,
) -> QueryResult<()> {
    diesel::insert_into(order_lines::table)
        .values((
            order_lines::id.eq(line.id),
            order_lines::order_id.eq(order_id),
            order_lines::variant_id.eq(line.variant_id),
            order_lines::position.eq(position),
            order_lines::sku.eq(line.sku.as_deref()),
            order_lines::title.eq(&line.title),
            order_lines::quantity.eq(line.quantity),
            order_lines::unit_price_minor.eq(line.unit_price_minor),
            order_lines::line_total_minor.eq(line.line_total_minor),
            order_lines::track_inventory.eq(line.track_inventory),
        ))
        .execute(&mut { conn })
        .await?;
    Ok(())
}

impl NewLine {
    /// The line as it was written.
    pub(crate) fn written(self, order_id: OrderId) -> OrderLine {
        OrderLine {
            id: self.id,
            order_id,
            variant_id: self.variant_id,
            sku: self.sku,
            title: self.title,
            quantity: self.quantity,
            unit_price_minor: self.unit_price_minor,
            line_total_minor: self.line_total_minor,
            shipped_quantity: 0,
            returned_quantity: 0,
            track_inventory: self.track_inventory,
            cancelled_quantity: 0,
            cancelled_minor: 0,
        }
    }
}

/// An order by id.
pub async fn find(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<Option<Order>> {
    orders::table.find(id).select(Order::as_select()).first(conn).await.optional()
}

/// The order with this number, as it was typed, if mails about it go to this address.
pub async fn find_by_number(
    conn: &mut AsyncPgConnection,
    number: &str,
    email: &EmailAddress,
) -> QueryResult<Option<Order>> {
    let Some(number) = parse_order_number(number) else { return Ok(None) };
    let order = orders::table.filter(orders::number.eq(number)).filter(orders::email.eq(email.as_str()));
    order.select(Order::as_select()).first(conn).await.optional()
}

/// How long a Cart-Token gives access to the orders that were placed with it.
const GUEST_READS_FOR: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 60 * 60);

/// An order by id, if it belongs to the owner. A guest's token gives access for 30 days.
pub async fn find_owned(
    conn: &mut AsyncPgConnection,
    id: OrderId,
    owner: Owner,
) -> QueryResult<Option<Order>> {
    let order = orders::table.find(id).select(Order::as_select());
    match owner {
        Owner::User(user_id) => order.filter(orders::user_id.eq(user_id)).first(conn).await.optional(),
        Owner::Guest(hash) => {
            let now = crate::db::current_time(conn).await?;
            let order: Option<Order> =
                order.filter(orders::token_hash.eq(hash.as_bytes())).first(conn).await.optional()?;
            Ok(order.filter(|order| order.placed_at + GUEST_READS_FOR > now))
        }
    }
}

/// The ids of the owner's orders, as a subquery. A guest's token gives access for 30 days.
pub(crate) fn ids_owned(owner: Owner) -> orders::BoxedQuery<'static, Pg, SqlUuid> {
    let ids = orders::table.select(orders::id).into_boxed();
    match owner {
        Owner::User(user_id) => ids.filter(orders::user_id.eq(user_id)),
        Owner::Guest(hash) => ids
            .filter(orders::token_hash.eq(hash.as_bytes().to_vec()))
            .filter(orders::placed_at.gt(time_before(GUEST_READS_FOR))),
    }
}

/// The currency of each of these orders.
pub async fn currencies(
    conn: &mut AsyncPgConnection,
    order_ids: &[OrderId],
) -> QueryResult<BTreeMap<OrderId, Currency>> {
    let rows: Vec<(OrderId, Currency)> = orders::table
        .filter(orders::id.eq_any(order_ids))
        .select((orders::id, orders::currency))
        .load(conn)
        .await?;
    Ok(rows.into_iter().collect())
}

/// The lines of these orders, sorted by order and position.
pub async fn lines(conn: &mut AsyncPgConnection, order_ids: &[OrderId]) -> QueryResult<Vec<OrderLine>> {
    order_lines::table
        .filter(order_lines::order_id.eq_any(order_ids))
        .order((order_lines::order_id, order_lines::position))
        .select(OrderLine::as_select())
        .load(conn)
        .await
}
