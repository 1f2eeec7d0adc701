//! The money of goods that came back, by the rules of every refund of lines.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::gone_units::GoneUnits;
use super::refund_payment::begin_refund;
use super::refund_sources::{Source, left_minor, spread};
use crate::ids::RefundId;
use crate::orders::{self, LockedOrder};
use crate::payments::{self, RefundLine, RefundReason};
use crate::request::Origin;
use crate::returns::ReturnLine;

/// Requests refunds of what the received units cost: only of units that were not refunded before, and no more than is
/// left of the order's payments. Returns the first refund and the amount of all. `None` if nothing is left to refund.
pub(super) async fn refund_return(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    sources: &[Source],
    received: &[ReturnLine],
    note: Option<&str>,
    origin: &Origin,
) -> QueryResult<Option<(RefundId, i64)>> {
    let lines = orders::lines(conn, &[order.id]).await?;
    let costs = orders::line_costs(order, &lines);
    let refunded = payments::refunded_units(conn, order.id).await?;
    // The lines of a refund, which is not there yet.
    let mut priced: Vec<(&ReturnLine, i64, i64)> = Vec::new();
    for units in received {
        let Some(line) = lines.iter().find(|line| line.id == units.order_line_id) else { continue };
        let cost_minor = costs.get(&line.id).copied().unwrap_or(0);
        let before = refunded.get(&line.id).copied().unwrap_or_default();
        let gone = GoneUnits::of(line, cost_minor, before);
        let quantity = units.received_quantity.unwrap_or(0).min(gone.left());
        if quantity > 0 {
            priced.push((units, quantity, gone.price(quantity)));
        }
    }
    let cost_minor: i64 = priced.iter().map(|(.., amount_minor)| amount_minor).sum();
    let amount_minor = cost_minor.min(left_minor(sources));
    let refunds = spread(conn, sources, amount_minor, RefundReason::GoodsReturned, note).await?;
    let Some(first) = refunds.first() else { return Ok(None) };
    let row = |&(units, quantity, amount_minor): &(&ReturnLine, i64, i64)| RefundLine {
        refund_id: first.id,
        order_line_id: units.order_line_id,
        quantity,
        amount_minor,
        // The return says what came back into stock.
        restocked: false,
    };
    let rows: Vec<RefundLine> = priced.iter().map(row).collect();
    payments::insert_refund_lines(conn, &rows).await?;
    for refund in &refunds {
        begin_refund(conn, refund, origin).await?;
    }
    Ok(Some((first.id, amount_minor)))
}
