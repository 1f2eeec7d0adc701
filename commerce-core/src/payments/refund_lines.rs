//! The units of an order's lines that were refunded.
//!
//! They count as refunded unless their refund has failed. A request that is spread over several payments has
//! several refunds, of which the first has the lines: then they count unless all of these have failed.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::ids::{OrderId, OrderLineId, RefundId};
use crate::orders;
use crate::schema::refund_lines;

/// Units of an order's line that are refunded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = refund_lines)]
pub struct RefundLine {
    /// The refund.
    pub refund_id: RefundId,
    /// The line.
    pub order_line_id: OrderLineId,
    /// The units.
    pub quantity: i64,
    /// What these units cost, in minor units.
    pub amount_minor: i64,
    /// Whether they came back into stock with the refund.
    pub restocked: bool,
}

/// What was refunded of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RefundedUnits {
    /// Units that were refunded, or will be.
    pub quantity: i64,
    /// What these units cost, in minor units.
    pub amount_minor: i64,
    /// Units that came back into stock with a refund. They did so even if the refund failed.
    pub restocked: i64,
}

/// Writes the lines of a refund.
pub(crate) async fn insert_refund_lines(
    conn: &mut AsyncPgConnection,
    lines: &[RefundLine],
) -> QueryResult<()> {
    diesel::insert_into(refund_lines::table).values(lines).execute(conn).await?;
    Ok(())
}

/// The lines of these refunds.
pub async fn refund_lines(
    conn: &mut AsyncPgConnection,
    refunds: &[RefundId],
) -> QueryResult<Vec<RefundLine>> {
    refund_lines::table
        .filter(refund_lines::refund_id.eq_any(refunds))
        .order((refund_lines::refund_id, refund_lines::order_line_id))
        .select(RefundLine::as_select())
        .load(conn)
        .await
}

/// What was refunded of each line of an order. Lines of which nothing was are not in it.
pub async fn refunded_units(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> QueryResult<BTreeMap<OrderLineId, RefundedUnits>> {
    units_without(conn, order_id, None).await
}

/// Whether the lines of a failed refund have enough units left for it. `first` is the first refund of its
/// request. Needs the order's lock.
pub(super) async fn has_units(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    first: RefundId,
) -> QueryResult<bool> {
    let own = refund_lines(conn, &[first]).await?;
    if own.is_empty() {
        return Ok(true);
    }
    let Some(order) = orders::find(conn, order_id).await? else { return Ok(false) };
    let others = units_without(conn, order.id, Some(first)).await?;
    let lines = orders::lines(conn, &[order.id]).await?;
    let costs = orders::line_costs(&order, &lines);
    let fits = |wanted: &RefundLine| {
        let Some(line) = lines.iter().find(|line| line.id == wanted.order_line_id) else { return false };
        let taken = others.get(&line.id).copied().unwrap_or_default();
        let cost_minor = costs.get(&line.id).copied().unwrap_or(0);
        taken.quantity + wanted.quantity <= line.wanted()
            && taken.amount_minor + wanted.amount_minor + line.cancelled_minor <= cost_minor
    };
    Ok(own.iter().all(fits))
}

#[derive(QueryableByName)]
struct UnitsRow {
    #[diesel(sql_type = SqlUuid)]
    order_line_id: OrderLineId,
    #[diesel(sql_type = BigInt)]
    quantity: i64,
    #[diesel(sql_type = BigInt)]
    amount_minor: i64,
    #[diesel(sql_type = Bool)]
    restocked: bool,
    #[diesel(sql_type = Bool)]
    counts: bool,
}

/// What was refunded of each line, apart from the request that begins with this refund.
async fn units_without(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    without: Option<RefundId>,
) -> QueryResult<BTreeMap<OrderLineId, RefundedUnits>> {
    let rows: Vec<UnitsRow> = diesel::sql_query(
        "SELECT l.order_line_id, l.quantity, l.amount_minor, l.restocked,
             EXISTS (SELECT FROM commerce.refunds r
                     WHERE (r.id = l.refund_id OR r.part_of = l.refund_id) AND r.status <> 'failed') AS counts
         FROM commerce.refund_lines l JOIN commerce.order_lines o ON o.id = l.order_line_id
         WHERE o.order_id = $1 AND l.refund_id IS DISTINCT FROM $2",
    )
    .bind::<SqlUuid, _>(order_id)
    .bind::<Nullable<SqlUuid>, _>(without)
    .load(conn)
    .await?;
    let mut units = BTreeMap::new();
    for row in rows {
        let of_line: &mut RefundedUnits = units.entry(row.order_line_id).or_default();
        if row.counts {
            of_line.quantity += row.quantity;
            of_line.amount_minor += row.amount_minor;
        }
        if row.restocked {
            of_line.restocked += row.quantity;
        }
    }
    Ok(units)
}
