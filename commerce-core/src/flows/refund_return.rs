//! The money of goods that came back, by the rules of every refund of lines.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::gone_units::GoneUnits;
use super::refund_payment::begin_refund;
use super::refund_sources::{Source, left_minor, spread};
use crate::ids::{OrderLineId, RefundId};
use crate::orders::{self, LockedOrder};
use crate::payments::{self, RefundLine, RefundReason};
use crate::request::Origin;
use crate::returns::ReturnLine;

/// Units that came back and were not refunded before, and what they cost.
pub(super) struct PricedUnits {
    order_line_id: OrderLineId,
    quantity: i64,
    amount_minor: i64,
}

/// What of the received units was not refunded before, with its price.
pub(super) async fn price_return(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    received: &[ReturnLine],
) -> QueryResult<Vec<PricedUnits>> {
    let lines = orders::lines(conn, &[order.id]).await?;
    let costs = orders::line_costs(order, &lines);
    let refunded = payments::refunded_units(conn, order.id).await?;
    let mut priced = Vec::new();
    for units in received {
        let Some(line) = lines.iter().find(|line| line.id == units.order_line_id) else { continue };
        let cost_minor = costs.get(&line.id).copied().unwrap_or(0);
        let before = refunded.get(&line.id).copied().unwrap_or_default();
        let gone = GoneUnits::of(line, cost_minor, before);
        let quantity = units.received_quantity.unwrap_or(0).min(gone.left());
        if quantity > 0 {
            let amount_minor = gone.price(quantity);
            priced.push(PricedUnits { order_line_id: line.id, quantity, amount_minor });
        }
    }
    Ok(priced)
}

/// The most that can be refunded for the units: what they cost, and no more than is left of the order's payments.
pub(super) fn worth_minor(units: &[PricedUnits], sources: &[Source]) -> i64 {
    units.iter().map(|units| units.amount_minor).sum::<i64>().min(left_minor(sources))
}

/// Requests refunds of this amount for the units. Returns the first one, unless the amount is nothing. The units count
/// as refunded for what they cost, even if the shop keeps a part of it: so the price of the other units stays.
pub(super) async fn refund_return(
    conn: &mut AsyncPgConnection,
    sources: &[Source],
    units: &[PricedUnits],
    amount_minor: i64,
    note: Option<&str>,
    origin: &Origin,
) -> QueryResult<Option<RefundId>> {
    let refunds = spread(conn, sources, amount_minor, RefundReason::GoodsReturned, note).await?;
    let Some(first) = refunds.first() else { return Ok(None) };
    let row = |units: &PricedUnits| RefundLine {
        refund_id: first.id,
        order_line_id: units.order_line_id,
        quantity: units.quantity,
        amount_minor: units.amount_minor,
        // The return says what came back into stock.
        restocked: false,
    };
    let rows: Vec<RefundLine> = units.iter().map(row).collect();
    payments::insert_refund_lines(conn, &rows).await?;
    for refund in &refunds {
        begin_refund(conn, refund, origin).await?;
    }
    Ok(Some(first.id))
}
