//! Staff refund money: of one payment or of a whole order, by amount or by lines and quantities.

use std::collections::BTreeSet;

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::gone_units::GoneUnits;
use super::refund_payment::enqueue_refund;
use super::refund_sources::{left_minor, lock_sources, spread};
use crate::audit_log::{self, Author, Subject};
use crate::db::Retryable;
use crate::ids::{OrderId, OrderLineId, PaymentId};
use crate::inventory::{self, Demand, ReturnError};
use crate::money::Money;
use crate::orders::{self, EventKind, LockedOrder, OrderLine};
use crate::payments::{self, Refund, RefundLine, RefundReason, RefundedUnits};
use crate::shipments;
use crate::text::filled_text;

/// What is refunded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundOf {
    /// One payment.
    Payment(PaymentId),
    /// All payments of an order, the oldest first.
    Order(OrderId),
}

impl RefundOf {
    /// The payment, if it is one.
    fn payment(self) -> Option<PaymentId> {
        match self {
            Self::Payment(id) => Some(id),
            Self::Order(_) => None,
        }
    }
}

/// How much is refunded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundAmount {
    /// All that is left.
    Rest,
    /// This amount.
    Amount(Money),
    /// What these units cost.
    Lines(Vec<RefundedLine>),
}

/// Units of a line that are refunded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundedLine {
    /// The line.
    pub order_line_id: OrderLineId,
    /// The units, at least 1.
    pub quantity: i64,
}

/// A request of staff to refund money.
#[derive(Debug, Clone)]
pub struct StaffRefund {
    /// What is refunded.
    pub of: RefundOf,
    /// How much is refunded.
    pub amount: RefundAmount,
    /// Whether the units came back and can be sold again. Only with lines.
    pub restock: bool,
    /// Why, for the shopper and for colleagues.
    pub note: Option<String>,
    /// For the timeline, the stock ledger and the audit log.
    pub author: Author,
}

/// Why nothing is refunded. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StaffRefundError {
    /// There is no such payment.
    #[error("there is no such payment")]
    PaymentNotFound,
    /// There is no such order.
    #[error("there is no such order")]
    OrderNotFound,
    /// All that came in was refunded or will be.
    #[error("nothing is left to refund")]
    NothingLeft,
    /// The amount is not positive, or more than what is left.
    #[error("{amount} cannot be refunded: {left} is left")]
    AmountOutOfRange {
        /// The requested amount, or what the units cost.
        amount: Money,
        /// What came in and was not refunded and will not be.
        left: Money,
    },
    /// The amount is not in the order's currency.
    #[error("{amount} is not in the currency of the order; {left} is left")]
    CurrencyMismatch {
        /// The requested amount.
        amount: Money,
        /// What is left, in the order's currency.
        left: Money,
    },
    /// The order has no such line.
    #[error("the order has no line {0}")]
    UnknownLine(OrderLineId),
    /// More units of a line were requested than were neither refunded nor cancelled.
    #[error("{quantity} units of line {order_line_id} cannot be refunded: {left} are left")]
    TooManyUnits {
        /// The line.
        order_line_id: OrderLineId,
        /// The requested units.
        quantity: i64,
        /// The units that were neither refunded nor cancelled.
        left: i64,
    },
    /// Units can come back into stock only if the request says which.
    #[error("only units of lines can come back into stock")]
    RestockWithoutLines,
    /// More units of a line are to come back into stock than the shopper has.
    #[error(
        "{quantity} units of line {order_line_id} cannot come back into stock: {shipped} were shipped and are not \
         back. Cancel the order to release units that were not shipped"
    )]
    NotShipped {
        /// The line.
        order_line_id: OrderLineId,
        /// The requested units.
        quantity: i64,
        /// The units that the shopper has.
        shipped: i64,
    },
    /// The units could not come back into stock.
    #[error(transparent)]
    Stock(ReturnError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl From<ReturnError> for StaffRefundError {
    fn from(error: ReturnError) -> Self {
        match error {
            ReturnError::Database(error) => Self::Database(error),
            other => Self::Stock(other),
        }
    }
}

impl Retryable for StaffRefundError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Requests refunds, one for each payment that gives a part of the amount. Jobs ask the providers for them. It
/// locks the order and its payments, and also the stock if units come back.
pub async fn refund_by_staff(
    conn: &mut AsyncPgConnection,
    wish: StaffRefund,
) -> Result<Vec<Refund>, StaffRefundError> {
    conn.transaction(async |conn| {
        let order = lock_order(conn, wish.of).await?;
        let sources = lock_sources(conn, &order, wish.of.payment()).await?;
        let left = Money::new(left_minor(&sources), order.currency);
        let lines = match &wish.amount {
            RefundAmount::Lines(wanted) => price_lines(conn, &order, wanted).await?,
            RefundAmount::Rest | RefundAmount::Amount(_) => Vec::new(),
        };
        if wish.restock && lines.is_empty() {
            return Err(StaffRefundError::RestockWithoutLines);
        }
        if left.amount_minor == 0 {
            return Err(StaffRefundError::NothingLeft);
        }
        let amount = match &wish.amount {
            RefundAmount::Rest => left,
            RefundAmount::Amount(amount) => *amount,
            RefundAmount::Lines(_) => {
                Money { amount_minor: lines.iter().map(|line| line.amount_minor).sum(), ..left }
            }
        };
        if amount.currency != left.currency {
            return Err(StaffRefundError::CurrencyMismatch { amount, left });
        }
        if !(1..=left.amount_minor).contains(&amount.amount_minor) {
            return Err(StaffRefundError::AmountOutOfRange { amount, left });
        }
        let note = filled_text(wish.note.as_deref());
        let refunds =
            spread(conn, &sources, amount.amount_minor, RefundReason::Requested, note.as_deref()).await?;
        if let Some(first) = refunds.first() {
            let of_first = |line: &PricedUnits| RefundLine {
                refund_id: first.id,
                order_line_id: line.order_line_id,
                quantity: line.quantity,
                amount_minor: line.amount_minor,
                restocked: wish.restock,
            };
            let rows: Vec<RefundLine> = lines.iter().map(of_first).collect();
            payments::insert_refund_lines(conn, &rows).await?;
        }
        tell(conn, &wish, &refunds, &lines).await?;
        for refund in &refunds {
            enqueue_refund(conn, refund.id, None).await?;
        }
        // Stock comes last in the lock order.
        if wish.restock {
            restock(conn, &order, &lines, &wish.author).await?;
        }
        Ok(refunds)
    })
    .await
}

async fn lock_order(conn: &mut AsyncPgConnection, of: RefundOf) -> Result<LockedOrder, StaffRefundError> {
    let id = match of {
        RefundOf::Payment(id) => {
            payments::order_of(conn, id).await?.ok_or(StaffRefundError::PaymentNotFound)?
        }
        RefundOf::Order(id) => id,
    };
    orders::lock(conn, id).await?.ok_or(StaffRefundError::OrderNotFound)
}

/// Units of a line, and what they cost.
struct PricedUnits {
    order_line_id: OrderLineId,
    quantity: i64,
    amount_minor: i64,
    line: OrderLine,
    before: RefundedUnits,
}

/// What the units cost. The cost of a line is divided over its units such that all of them together are
/// refunded exactly what the line cost, in whatever parts.
async fn price_lines(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    wanted: &[RefundedLine],
) -> Result<Vec<PricedUnits>, StaffRefundError> {
    let quantities = orders::units_by_line(wanted.iter().map(|line| (line.order_line_id, line.quantity)));
    let lines = orders::lines(conn, &[order.id]).await?;
    let costs = orders::line_costs(order, &lines);
    let refunded = payments::refunded_units(conn, order.id).await?;
    let known: BTreeSet<OrderLineId> = lines.iter().map(|line| line.id).collect();
    if let Some(unknown) = quantities.keys().find(|id| !known.contains(id)) {
        return Err(StaffRefundError::UnknownLine(*unknown));
    }
    let mut priced = Vec::new();
    for line in lines {
        let Some(&quantity) = quantities.get(&line.id) else { continue };
        let before = refunded.get(&line.id).copied().unwrap_or_default();
        let cost_minor = costs.get(&line.id).copied().unwrap_or(0);
        let gone = GoneUnits::of(&line, cost_minor, before);
        if !(1..=gone.left()).contains(&quantity) {
            let (order_line_id, left) = (line.id, gone.left());
            return Err(StaffRefundError::TooManyUnits { order_line_id, quantity, left });
        }
        let amount_minor = gone.price(quantity);
        priced.push(PricedUnits { order_line_id: line.id, quantity, amount_minor, line, before });
    }
    Ok(priced)
}

/// Records the refunds in the timeline and in the audit log.
async fn tell(
    conn: &mut AsyncPgConnection,
    wish: &StaffRefund,
    refunds: &[Refund],
    lines: &[PricedUnits],
) -> QueryResult<()> {
    let lines: Vec<_> = lines
        .iter()
        .map(|line| json!({ "order_line_id": line.order_line_id, "quantity": line.quantity }))
        .collect();
    let mut facts = Vec::new();
    for refund in refunds {
        let mut data = json!({
            "refund_id": refund.id, "payment_id": refund.payment_id, "amount_minor": refund.amount_minor,
            "reason": refund.reason,
        });
        if let Some(fields) = data.as_object_mut() {
            if let Some(note) = &refund.note {
                fields.insert("note".to_owned(), json!(note));
            }
            if refund.part_of.is_none() && !lines.is_empty() {
                fields.insert("lines".to_owned(), json!(lines));
                fields.insert("restock".to_owned(), json!(wish.restock));
            }
        }
        orders::record(conn, refund.order_id, EventKind::RefundRequested, data.clone(), &wish.author.origin)
            .await?;
        // The note may tell of a person. It stays in the order.
        if let Some(fields) = data.as_object_mut() {
            fields.remove("note");
        }
        facts.push(data);
    }
    let Some(first) = refunds.first() else { return Ok(()) };
    let action = match wish.of {
        RefundOf::Payment(_) => "admin_refund_payment",
        RefundOf::Order(_) => "admin_refund_order",
    };
    let (subject, after) = (Subject::Order(first.order_id), json!({ "refunds": facts }));
    audit_log::record_facts(conn, &wish.author, action, subject, None, Some(after)).await
}

/// Takes the units back into stock. Those that were not shipped never left it.
async fn restock(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    lines: &[PricedUnits],
    author: &Author,
) -> Result<(), StaffRefundError> {
    let parcels = shipments::parcel_units(conn, order.id).await?;
    for PricedUnits { order_line_id, quantity, before, line, .. } in lines {
        // What did not arrive has come back with its parcel, or is lost.
        let with_shopper = parcels.get(order_line_id).map_or(0, |units| units.with_shopper());
        let shipped = with_shopper - before.restocked - line.returned_quantity;
        if *quantity > shipped {
            let (order_line_id, quantity) = (*order_line_id, *quantity);
            return Err(StaffRefundError::NotShipped { order_line_id, quantity, shipped });
        }
    }
    let units: Vec<Demand> = lines
        .iter()
        .map(|units| Demand { variant_id: units.line.variant_id, quantity: units.quantity })
        .collect();
    Ok(inventory::return_to_stock(conn, order.id, &units, true, "refunded", &author.origin).await?)
}
