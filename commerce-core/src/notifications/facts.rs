//! What a mail says, read from the database at the moment of sending.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;

use super::language::Language;
use crate::address::Address;
use crate::email_address::EmailAddress;
use crate::ids::{ContactMessageId, OrderId, OrderLineId, PaymentId, RefundId, ShipmentId, UserId};
use crate::inventory::LowStock;
use crate::money::{Currency, Money};
use crate::orders::{OrderStatus, format_order_number};
use crate::payments;
use crate::schema::{
    contact_messages, order_lines, orders, refunds, returns, shipment_lines, shipments, users,
};
use crate::settings::Carriers;
use crate::text::single_line;

/// A person, as mails address them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct UserFacts {
    /// Whom to greet, if the address is known to be theirs.
    pub name: Option<String>,
}

pub(super) async fn user(conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<Option<UserFacts>> {
    let facts = users::table.find(id).select((users::display_name, users::email_verified_at.is_not_null()));
    let facts: Option<(String, bool)> = facts.first(conn).await.optional()?;
    // Whoever registers somebody else's address chooses a name too: it is no way to write to them.
    let name =
        |(name, proven): (String, bool)| Some(single_line(&name)).filter(|name| proven && !name.is_empty());
    Ok(facts.map(|facts| UserFacts { name: name(facts) }))
}

/// An order with everything formatted for reading.
#[derive(Debug, Clone, Serialize)]
pub(super) struct OrderFacts {
    number: String,
    email: String,
    /// Whom to greet, if the address is known to be theirs.
    name: Option<String>,
    placed_on: String,
    pay_by: Option<String>,
    awaits_payment: bool,
    cancel_reason: Option<String>,
    lines: Vec<LineFacts>,
    subtotal: String,
    discount: Option<String>,
    shipping: Option<String>,
    tax: Option<String>,
    /// Whether the total differs from the sum of the lines.
    adjusted: bool,
    /// What the cancelled units cost.
    cancelled: Option<String>,
    total: String,
    paid: String,
    /// What the shop keeps of it. More may have been paid, and goes back.
    received: Option<String>,
    due: String,
    /// Money that was paid and goes back, and was not sent yet.
    owed_back: Option<String>,
    /// What the shop keeps of a cancelled order, because staff cancelled it without a refund.
    kept: Option<String>,
    address: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct LineFacts {
    title: String,
    sku: Option<String>,
    quantity: i64,
    /// Of these, those that were cancelled.
    cancelled: i64,
    unit_price: String,
    total: String,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = orders)]
pub(super) struct OrderRow {
    pub number: i64,
    pub user_id: Option<UserId>,
    pub email: String,
    pub status: OrderStatus,
    pub currency: Currency,
    pub subtotal_minor: i64,
    pub discount_minor: i64,
    pub shipping_minor: i64,
    pub tax_minor: i64,
    pub total_minor: i64,
    pub cancelled_minor: i64,
    pub kept_minor: i64,
    pub paid_minor: i64,
    pub refunded_minor: i64,
    pub shipping_address: Address,
    pub cancel_reason: Option<String>,
    pub placed_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = order_lines)]
pub(super) struct LineRow {
    pub title: String,
    pub sku: Option<String>,
    pub quantity: i64,
    pub unit_price_minor: i64,
    pub line_total_minor: i64,
    pub cancelled_quantity: i64,
}

/// The name of the account that has proven the order's address. A stranger can order to any address
/// under any name, so the name in the order is not used to greet.
async fn name_of_customer(
    conn: &mut AsyncPgConnection,
    user_id: Option<UserId>,
    email: &str,
) -> QueryResult<Option<String>> {
    let proven = users::table
        .filter(users::id.nullable().eq(user_id))
        .filter(users::email.eq(email))
        .filter(users::email_verified_at.is_not_null());
    let name: Option<String> = proven.select(users::display_name).first(conn).await.optional()?;
    Ok(name.map(|name| single_line(&name)).filter(|name| !name.is_empty()))
}

pub(super) async fn order(
    conn: &mut AsyncPgConnection,
    id: OrderId,
    language: &Language,
) -> QueryResult<Option<OrderFacts>> {
    let Some(order) = orders::table.find(id).select(OrderRow::as_select()).first(conn).await.optional()?
    else {
        return Ok(None);
    };
    let lines: Vec<LineRow> = order_lines::table
        .filter(order_lines::order_id.eq(id))
        .order(order_lines::position)
        .select(LineRow::as_select())
        .load(conn)
        .await?;
    let name = name_of_customer(conn, order.user_id, &order.email).await?;
    Ok(Some(order.written(lines, name, language)))
}

impl OrderRow {
    /// The order as the language writes it.
    pub fn written(self, lines: Vec<LineRow>, name: Option<String>, language: &Language) -> OrderFacts {
        let order = self;
        let money = |amount_minor| language.money(Money::new(amount_minor, order.currency));
        let unless_zero = |amount_minor: i64| (amount_minor != 0).then(|| money(amount_minor));
        let lines = lines.into_iter().map(|line| LineFacts {
            title: single_line(&line.title),
            sku: line.sku.as_deref().map(single_line),
            quantity: line.quantity,
            cancelled: line.cancelled_quantity,
            unit_price: money(line.unit_price_minor),
            total: money(line.line_total_minor),
        });
        let payable_minor = order.total_minor.saturating_sub(order.cancelled_minor);
        OrderFacts {
            number: format_order_number(order.number),
            name,
            placed_on: language.date(order.placed_at),
            pay_by: order.expires_at.map(|time| language.moment(time)),
            awaits_payment: order.status == OrderStatus::PendingPayment,
            lines: lines.collect(),
            subtotal: money(order.subtotal_minor),
            discount: unless_zero(order.discount_minor),
            shipping: unless_zero(order.shipping_minor),
            tax: unless_zero(order.tax_minor),
            adjusted: order.subtotal_minor != payable_minor,
            cancelled: unless_zero(order.cancelled_minor),
            total: money(payable_minor),
            paid: money(order.paid_minor),
            received: unless_zero(order.paid_minor.saturating_sub(order.refunded_minor).min(payable_minor)),
            due: money(payable_minor.saturating_sub(order.paid_minor).max(0)),
            kept: unless_zero(order.kept_minor),
            owed_back: unless_zero((order.paid_minor - order.refunded_minor - order.kept_minor).max(0)),
            address: order.shipping_address.lines(),
            email: order.email,
            cancel_reason: order.cancel_reason,
        }
    }
}

/// A parcel.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ParcelFacts {
    pub carrier: Option<String>,
    pub tracking_number: String,
    /// The carrier's page about it.
    pub tracking_url: Option<String>,
    pub lines: Vec<UnitsFacts>,
    /// Whether there is more in the order than in this parcel.
    pub is_part: bool,
    /// Whether it brings again what did not arrive.
    pub is_again: bool,
}

/// Some units of a line.
#[derive(Debug, Clone, Serialize)]
pub(super) struct UnitsFacts {
    pub title: String,
    pub quantity: i64,
}

/// The parcel, or the first of the order.
pub(super) async fn parcel(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    id: Option<ShipmentId>,
    carriers: &Carriers,
) -> QueryResult<Option<ParcelFacts>> {
    type Row = (ShipmentId, Option<String>, String, bool);
    let mut query = shipments::table.filter(shipments::order_id.eq(order_id)).into_boxed();
    if let Some(id) = id {
        query = query.filter(shipments::id.eq(id));
    }
    let found: Option<Row> = query
        .order((shipments::created_at, shipments::id))
        .select((
            shipments::id,
            shipments::carrier,
            shipments::tracking_number,
            shipments::replaces.is_not_null(),
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((id, carrier, tracking_number, is_again)) = found else { return Ok(None) };
    let packed: Vec<(OrderLineId, String, i64)> = shipment_lines::table
        .inner_join(order_lines::table)
        .filter(shipment_lines::shipment_id.eq(id))
        .order(order_lines::position)
        .select((order_lines::id, order_lines::title, shipment_lines::quantity))
        .load(conn)
        .await?;
    let wanted: Vec<(OrderLineId, i64)> = order_lines::table
        .filter(order_lines::order_id.eq(order_id))
        .select((order_lines::id, order_lines::quantity - order_lines::cancelled_quantity))
        .load(conn)
        .await?;
    let in_parcel =
        |line: OrderLineId| packed.iter().find(|(id, ..)| *id == line).map_or(0, |(.., units)| *units);
    let tracking_url =
        carrier.as_deref().and_then(|carrier| carriers.tracking_url(carrier, &tracking_number));
    Ok(Some(ParcelFacts {
        is_part: wanted.iter().any(|(line, units)| in_parcel(*line) < *units),
        carrier: carrier.as_deref().map(single_line),
        tracking_number: single_line(&tracking_number),
        tracking_url,
        lines: packed
            .iter()
            .map(|(_, title, quantity)| UnitsFacts { title: single_line(title), quantity: *quantity })
            .collect(),
        is_again,
    }))
}

/// Units of lines of the order, such as those that were cancelled, in the order of the lines.
pub(super) async fn units(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    units: &[(OrderLineId, i64)],
) -> QueryResult<Vec<UnitsFacts>> {
    let titles: Vec<(OrderLineId, String)> = order_lines::table
        .filter(order_lines::order_id.eq(order_id))
        .order(order_lines::position)
        .select((order_lines::id, order_lines::title))
        .load(conn)
        .await?;
    let named = titles.iter().filter_map(|(line, title)| {
        let (_, quantity) = units.iter().find(|(id, _)| id == line)?;
        Some(UnitsFacts { title: single_line(title), quantity: *quantity })
    });
    Ok(named.collect())
}

/// Money on its way back.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RefundFacts {
    pub amount: String,
    pub reason: String,
    /// The provider's word for why it failed.
    pub failure_code: Option<String>,
    /// What staff wrote about it.
    pub note: Option<String>,
    /// Whether a person paid it without the provider.
    pub by_hand: bool,
    /// What the shop keeps of the price of goods that came back.
    pub deducted: Option<String>,
}

pub(super) async fn refund(
    conn: &mut AsyncPgConnection,
    id: RefundId,
    language: &Language,
) -> QueryResult<Option<(OrderId, RefundFacts)>> {
    type Row = (OrderId, Currency, i64, String, Option<String>, Option<String>, bool);
    let found: Option<Row> = refunds::table
        .inner_join(orders::table)
        .filter(refunds::id.eq(id))
        .select((
            refunds::order_id,
            orders::currency,
            refunds::amount_minor,
            refunds::reason,
            refunds::failure_code,
            refunds::note,
            refunds::by_hand_note.is_not_null(),
        ))
        .first(conn)
        .await
        .optional()?;
    // The first of several refunds of a return tells what is kept.
    let kept = returns::table.filter(returns::refund_id.eq(id)).filter(returns::deducted_minor.gt(0));
    let deducted_minor: Option<i64> = kept.select(returns::deducted_minor).first(conn).await.optional()?;
    Ok(found.map(|(order_id, currency, amount_minor, reason, failure_code, note, by_hand)| {
        let amount = language.money(Money::new(amount_minor, currency));
        let failure_code = failure_code.as_deref().map(single_line);
        let note = note.as_deref().map(single_line);
        let deducted = deducted_minor.map(|minor| language.money(Money::new(minor, currency)));
        (order_id, RefundFacts { amount, reason, failure_code, note, by_hand, deducted })
    }))
}

/// The page on which the payment is completed, if it still waits for that.
pub(super) async fn payment_link(conn: &mut AsyncPgConnection, id: PaymentId) -> QueryResult<Option<String>> {
    Ok(payments::find(conn, id).await?.and_then(|payment| payment.link()))
}

/// A variant that is low.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LowFacts {
    pub title: String,
    pub variant: String,
    pub sku: Option<String>,
    pub available: i64,
    pub threshold: i64,
}

impl From<LowStock> for LowFacts {
    fn from(low: LowStock) -> Self {
        let LowStock { product_title, variant_title, sku, available, threshold, .. } = low;
        Self { title: product_title, variant: variant_title, sku, available, threshold }
    }
}

/// What a visitor wrote.
#[derive(Debug, Clone, Serialize, Queryable, Selectable)]
#[diesel(table_name = contact_messages)]
pub(super) struct ContactFacts {
    pub name: String,
    pub email: EmailAddress,
    pub phone: Option<String>,
    pub message: String,
}

impl ContactFacts {
    /// Whom an answer goes to.
    pub fn reply_to(&self) -> String {
        self.email.to_ascii().into_owned()
    }
}

pub(super) async fn contact_message(
    conn: &mut AsyncPgConnection,
    id: ContactMessageId,
) -> QueryResult<Option<ContactFacts>> {
    contact_messages::table.find(id).select(ContactFacts::as_select()).first(conn).await.optional()
}
