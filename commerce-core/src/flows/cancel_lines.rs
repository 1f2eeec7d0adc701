//! Cancels some units of an order: they are never shipped, and the order costs less. What was paid for them is
//! refunded.

use std::collections::BTreeMap;

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::authorization::cover_again;
use super::cancel_order::{CancelChoices, CancelOrderError, cancel_locked};
use super::create_shipment::left_to_pack;
use super::gone_units::GoneUnits;
use super::refund_payment::begin_refund;
use super::refund_sources::{left_minor, lock_sources, spread};
use super::settle_payment::tell_paid;
use super::ship_parcel::follow;
use crate::accounts::{Permission, Role};
use crate::audit_log::{self, Author, Subject};
use crate::db::{Retryable, current_time};
use crate::ids::{OrderId, OrderLineId};
use crate::inventory::{self, Demand, EndReservationError};
use crate::money::Money;
use crate::notifications::{NewEmail, enqueue_email, recipient_of};
use crate::orders::{
    self, Access, CancelledBy, CancelledUnits, EventKind, LockedOrder, Order, OrderLine, OrderStatus,
    Received,
};
use crate::payments::{self, RefundReason};
use crate::request::Origin;

/// Who cancels.
#[derive(Debug, Clone)]
pub enum Canceller {
    /// The shopper, until the shop begins to process the order.
    Customer(Access, Origin),
    /// Staff, of whatever was not shipped.
    Staff(Role, Author),
}

impl Canceller {
    fn by(&self) -> CancelledBy {
        match self {
            Self::Customer(access, _) => CancelledBy::Customer(*access),
            Self::Staff(..) => CancelledBy::Admin,
        }
    }

    fn origin(&self) -> &Origin {
        match self {
            Self::Customer(_, origin) => origin,
            Self::Staff(_, author) => &author.origin,
        }
    }
}

/// Units of a line that are cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelledLine {
    /// The line.
    pub order_line_id: OrderLineId,
    /// The units, at least 1.
    pub quantity: i64,
}

/// A request to cancel an order or a part of it.
#[derive(Debug, Clone)]
pub struct CancelLines {
    /// The order.
    pub order_id: OrderId,
    /// The units. `None` for the whole order.
    pub lines: Option<Vec<CancelledLine>>,
    /// Whether what was paid for the units, or for the whole order, is refunded. If not, the shop keeps it.
    pub refund: bool,
    /// Whether the units can be sold to others. If not, they are written off.
    pub restock: bool,
    /// Who cancels.
    pub by: Canceller,
}

/// Why nothing was cancelled. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CancelLinesError {
    /// The order does not exist or cannot be cancelled any more.
    #[error(transparent)]
    Order(#[from] CancelOrderError),
    /// The refund needs a permission that the role does not have.
    #[error("the role {0} does not include {1}")]
    MayNot(Role, Permission),
    /// Only staff choose what becomes of the money and of the units.
    #[error("only staff choose whether units are refunded and restocked")]
    OnlyStaff,
    /// The order has no such line.
    #[error("the order has no line {0}")]
    UnknownLine(OrderLineId),
    /// More units of a line were to be cancelled than are left.
    #[error(
        "{quantity} units of line {order_line_id} cannot be cancelled: {left} are left that were not shipped, packed \
         or cancelled"
    )]
    TooManyUnits {
        /// The line.
        order_line_id: OrderLineId,
        /// The requested units.
        quantity: i64,
        /// The units that can be cancelled.
        left: i64,
    },
    /// The order's stock is not as its lines say.
    #[error(transparent)]
    Stock(EndReservationError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for CancelLinesError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Order(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<EndReservationError> for CancelLinesError {
    fn from(error: EndReservationError) -> Self {
        match error {
            EndReservationError::Database(error) => Self::Database(error),
            other => Self::Stock(other),
        }
    }
}

/// Cancels units of an order, or the whole order. If nothing would be left of an order of which nothing was shipped,
/// the whole order is cancelled.
///
/// The order's lines and totals stay, and what is cancelled is counted beside them. Money that is still due is due no
/// more: an order whose money covers the rest becomes paid. What was paid for the units is refunded.
pub async fn cancel_lines(
    conn: &mut AsyncPgConnection,
    wish: CancelLines,
) -> Result<Order, CancelLinesError> {
    conn.transaction(async |conn| {
        let mut order = lock_order(conn, &wish).await?;
        let lines = orders::lines(conn, &[order.id]).await?;
        let unit = |line: &CancelledLine| (line.order_line_id, line.quantity);
        let wanted = wish.lines.as_ref().map(|lines| orders::units_by_line(lines.iter().map(unit)));
        if wanted.as_ref().is_none_or(|wanted| is_everything(&lines, wanted)) {
            cancel_whole(conn, &mut order, &wish).await?;
            return Ok(order.into_order());
        }
        let units = plan(conn, &order, &lines, &wanted.unwrap_or_default()).await?;
        let origin = wish.by.origin();
        let due_before = order.due_minor();
        orders::cancel_units(conn, &mut order, &units.counted()).await?;
        tell(conn, &order, &wish, &units).await?;
        let became_paid = match order.status {
            OrderStatus::PendingPayment => cover_rest(conn, &mut order).await?,
            _ => false,
        };
        let mut refunded_minor = 0;
        if wish.refund {
            refunded_minor = refund(conn, &order, units.fresh_minor() - due_before, origin).await?;
        }
        tell_customer(conn, &order, &wish, &units, refunded_minor).await?;
        follow(conn, &mut order, origin).await?;
        if became_paid {
            tell_paid(conn, &order, origin).await?;
            inventory::commit_for_order(conn, order.id).await?;
        }
        // Stock comes last in the lock order.
        let demands = units.demands();
        let mut stock = inventory::lock(conn, demands.iter().map(|demand| demand.variant_id)).await?;
        if wish.restock {
            inventory::release(conn, &mut stock, order.id, &demands, "cancelled", origin).await?;
        } else {
            inventory::write_off(conn, &mut stock, order.id, &demands, "cancelled", origin).await?;
        }
        Ok(order.into_order())
    })
    .await
}

/// Locks the order, and checks who may cancel something of it.
async fn lock_order(
    conn: &mut AsyncPgConnection,
    wish: &CancelLines,
) -> Result<LockedOrder, CancelLinesError> {
    if let Canceller::Customer(access, _) = &wish.by {
        orders::find_accessible(conn, wish.order_id, *access).await?.ok_or(CancelOrderError::NotFound)?;
        if !wish.refund || !wish.restock {
            return Err(CancelLinesError::OnlyStaff);
        }
    }
    let order = orders::lock(conn, wish.order_id).await?.ok_or(CancelOrderError::NotFound)?;
    if let Canceller::Staff(role, _) = &wish.by
        && let Some(permission) = orders::permission_to_cancel(&order).filter(|_| wish.refund)
        && !role.may(permission)
    {
        return Err(CancelLinesError::MayNot(*role, permission));
    }
    if !wish.by.by().may_cancel_part(&order) {
        return Err(CancelOrderError::TooLate(order.status).into());
    }
    Ok(order)
}

/// Whether nothing was shipped, and these are all units that are left.
fn is_everything(lines: &[OrderLine], wanted: &BTreeMap<OrderLineId, i64>) -> bool {
    let left = lines.iter().map(|line| (line.id, line.wanted()));
    let left: BTreeMap<OrderLineId, i64> = left.filter(|(_, left)| *left > 0).collect();
    lines.iter().all(|line| line.shipped_quantity == 0) && left == *wanted
}

async fn cancel_whole(
    conn: &mut AsyncPgConnection,
    order: &mut LockedOrder,
    wish: &CancelLines,
) -> Result<(), CancelLinesError> {
    let reason = wish.by.by().reason(order).ok_or(CancelOrderError::TooLate(order.status))?;
    if let Canceller::Staff(_, author) = &wish.by {
        let CancelLines { refund, restock, .. } = *wish;
        let after = json!({ "status": OrderStatus::Cancelled, "refund": refund, "restock": restock });
        let (subject, before) = (Subject::Order(order.id), json!({ "status": order.status }));
        audit_log::record_facts(conn, author, "admin_cancel_order", subject, Some(before), Some(after))
            .await?;
    }
    let choices = CancelChoices { refund: wish.refund, restock: wish.restock };
    Ok(cancel_locked(conn, order, reason, choices, wish.by.origin()).await?)
}

/// Units of a line, and what they cost.
struct Unit {
    line: OrderLine,
    quantity: i64,
    value_minor: i64,
    /// The part of the value that was not refunded before.
    fresh_minor: i64,
}

struct Units(Vec<Unit>);

impl Units {
    fn fresh_minor(&self) -> i64 {
        self.0.iter().map(|unit| unit.fresh_minor).sum()
    }

    fn value_minor(&self) -> i64 {
        self.0.iter().map(|unit| unit.value_minor).sum()
    }

    fn counted(&self) -> Vec<CancelledUnits> {
        let counted = |unit: &Unit| CancelledUnits {
            order_line_id: unit.line.id,
            quantity: unit.quantity,
            amount_minor: unit.value_minor,
        };
        self.0.iter().map(counted).collect()
    }

    fn demands(&self) -> Vec<Demand> {
        let demand = |unit: &Unit| Demand { variant_id: unit.line.variant_id, quantity: unit.quantity };
        self.0.iter().map(demand).collect()
    }
}

/// The units with their prices.
async fn plan(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    lines: &[OrderLine],
    wanted: &BTreeMap<OrderLineId, i64>,
) -> Result<Units, CancelLinesError> {
    let left = left_to_pack(conn, order, lines).await?;
    let costs = orders::line_costs(order, lines);
    let refunded = payments::refunded_units(conn, order.id).await?;
    let mut units = Vec::with_capacity(wanted.len());
    for (&order_line_id, &quantity) in wanted {
        let line = lines.iter().find(|line| line.id == order_line_id);
        let line = line.ok_or(CancelLinesError::UnknownLine(order_line_id))?;
        let left = left.get(&order_line_id).copied().unwrap_or(0);
        if !(1..=left).contains(&quantity) {
            return Err(CancelLinesError::TooManyUnits { order_line_id, quantity, left });
        }
        let cost_minor = costs.get(&order_line_id).copied().unwrap_or(0);
        let refunded = refunded.get(&order_line_id).copied().unwrap_or_default();
        let (value_minor, fresh_minor) =
            GoneUnits::of(line, cost_minor, refunded).price_of_cancelled(quantity);
        units.push(Unit { line: line.clone(), quantity, value_minor, fresh_minor });
    }
    Ok(Units(units))
}

/// Records the cancellation in the timeline, and in the audit log if staff did it.
async fn tell(
    conn: &mut AsyncPgConnection,
    order: &Order,
    wish: &CancelLines,
    units: &Units,
) -> QueryResult<()> {
    let lines: Vec<_> = units
        .0
        .iter()
        .map(|unit| json!({ "order_line_id": unit.line.id, "quantity": unit.quantity }))
        .collect();
    let data = json!({
        "lines": lines, "amount_minor": units.value_minor(), "refund": wish.refund, "restock": wish.restock,
    });
    orders::record(conn, order.id, EventKind::LinesCancelled, data.clone(), wish.by.origin()).await?;
    if let Canceller::Staff(_, author) = &wish.by {
        let (subject, action) = (Subject::Order(order.id), "admin_cancel_lines");
        audit_log::record_facts(conn, author, action, subject, None, Some(data)).await?;
    }
    Ok(())
}

/// An order that waits for a payment may be covered now, because it costs less: it is paid, or its authorized money
/// holds it. Returns whether it became paid.
async fn cover_rest(conn: &mut AsyncPgConnection, order: &mut LockedOrder) -> QueryResult<bool> {
    let now = current_time(conn).await?;
    let became_paid = matches!(order.receive(0, now), Received::BecamePaid);
    cover_again(conn, order, became_paid).await?;
    Ok(became_paid)
}

/// Mails the customer what is cancelled.
async fn tell_customer(
    conn: &mut AsyncPgConnection,
    order: &Order,
    wish: &CancelLines,
    units: &Units,
    refunded_minor: i64,
) -> QueryResult<()> {
    let units: Vec<_> = units.0.iter().map(|unit| (unit.line.id, unit.quantity)).collect();
    let refund = (refunded_minor > 0).then(|| Money::new(refunded_minor, order.currency));
    let by_customer = matches!(wish.by, Canceller::Customer(..));
    let mail =
        NewEmail::about_cancelled_units(order.id, order.version, &units, refund, by_customer, &order.email);
    let mail = match order.status {
        OrderStatus::PendingPayment => mail.limited_for(&recipient_of(conn, order).await?),
        _ => mail,
    };
    enqueue_email(conn, mail).await
}

/// Refunds what was paid for the units, as far as it is still there. Returns the amount.
async fn refund(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    amount_minor: i64,
    origin: &Origin,
) -> QueryResult<i64> {
    let sources = lock_sources(conn, order, None).await?;
    let amount_minor = amount_minor.min(left_minor(&sources));
    if amount_minor <= 0 {
        return Ok(0);
    }
    for refund in spread(conn, &sources, amount_minor, RefundReason::LinesCancelled, None).await? {
        begin_refund(conn, &refund, origin).await?;
    }
    Ok(amount_minor)
}
