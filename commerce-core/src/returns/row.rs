//! The rows of returns and of their lines.

use std::collections::BTreeMap;
use std::ops::Deref;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{ReturnReason, ReturnStatus, ReturnTransitionError};
use crate::db::clock;
use crate::ids::{OrderId, OrderLineId, RefundId, ReturnId, WithdrawalId};
use crate::orders;
use crate::schema::{return_lines, returns};

/// Goods that a shopper gives back.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = returns)]
pub struct Return {
    /// Its id.
    pub id: ReturnId,
    /// The order that they came from.
    pub order_id: OrderId,
    /// The status.
    pub status: ReturnStatus,
    /// The declaration of withdrawal that opened it, if one did.
    pub withdrawal_id: Option<WithdrawalId>,
    /// What the shopper wrote.
    pub note: Option<String>,
    /// What staff wrote to the shopper.
    pub answer: Option<String>,
    /// The first refund of its money. A refund over several payments has others.
    pub refund_id: Option<RefundId>,
    /// All that is refunded for it, in minor units.
    pub refund_minor: i64,
    /// What the shop keeps of the price of the goods, for wear, in minor units.
    pub deducted_minor: i64,
    /// When the goods were back.
    pub received_at: Option<DateTime<Utc>>,
    /// When it was requested.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows with every change.
    pub version: i32,
}

/// Units of an order's line in a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = return_lines)]
pub struct ReturnLine {
    /// The return.
    pub return_id: ReturnId,
    /// The line.
    pub order_line_id: OrderLineId,
    /// The units that the shopper wants to give back.
    pub quantity: i64,
    /// Why.
    pub reason: ReturnReason,
    /// The units that came. `None` until the return is received.
    pub received_quantity: Option<i64>,
    /// Whether they are sold again. If not, they were written off.
    pub restocked: Option<bool>,
}

/// A return that is about to be written.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = returns)]
pub(crate) struct NewReturn {
    pub id: ReturnId,
    pub order_id: OrderId,
    pub withdrawal_id: Option<WithdrawalId>,
    pub note: Option<String>,
}

/// Units of a line that a shopper wants to give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedBack {
    /// The line.
    pub order_line_id: OrderLineId,
    /// The units, at least 1.
    pub quantity: i64,
    /// Why.
    pub reason: ReturnReason,
}

/// A return whose row this transaction has locked. Its order's row was locked before.
#[derive(Debug)]
#[must_use = "a lock is taken to read or change what it guards"]
pub struct LockedReturn(Return);

impl Deref for LockedReturn {
    type Target = Return;

    fn deref(&self) -> &Return {
        &self.0
    }
}

impl LockedReturn {
    /// The return as it was last read or written.
    pub fn into_return(self) -> Return {
        self.0
    }

    /// Takes a step of the state machine. [`write_return`] writes it.
    pub(crate) fn move_to(
        &mut self,
        next: ReturnStatus,
        answer: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<(), ReturnTransitionError> {
        self.status.check(next)?;
        self.0.status = next;
        if next == ReturnStatus::Received {
            self.0.received_at = Some(now);
        }
        if answer.is_some() {
            self.0.answer = answer;
        }
        Ok(())
    }

    /// Sets what is refunded for it, and what the shop keeps.
    pub(crate) fn refunded_by(&mut self, first: RefundId, amount_minor: i64, deducted_minor: i64) {
        self.0.refund_id = Some(first);
        self.0.refund_minor = amount_minor;
        self.0.deducted_minor = deducted_minor;
    }
}

/// Writes the changes of a locked return.
pub(crate) async fn write_return(
    conn: &mut AsyncPgConnection,
    changed: &mut LockedReturn,
) -> QueryResult<()> {
    changed.0 = diesel::update(returns::table.find(changed.id))
        .set((
            returns::status.eq(changed.status),
            returns::answer.eq(&changed.answer),
            returns::refund_id.eq(changed.refund_id),
            returns::refund_minor.eq(changed.refund_minor),
            returns::deducted_minor.eq(changed.deducted_minor),
            returns::received_at.eq(changed.received_at),
            returns::updated_at.eq(clock()),
            returns::version.eq(returns::version + 1),
        ))
        .returning(Return::as_returning())
        .get_result(conn)
        .await?;
    Ok(())
}

/// Writes a return with its lines. Needs the order's lock.
pub(crate) async fn insert_return(
    conn: &mut AsyncPgConnection,
    new: NewReturn,
    lines: &[WantedBack],
) -> QueryResult<Return> {
    let row: Return = diesel::insert_into(returns::table)
        .values(new)
        .returning(Return::as_returning())
        .get_result(conn)
        .await?;
    let line = |wanted: &WantedBack| ReturnLine {
        return_id: row.id,
        order_line_id: wanted.order_line_id,
        quantity: wanted.quantity,
        reason: wanted.reason,
        received_quantity: None,
        restocked: None,
    };
    let lines: Vec<ReturnLine> = lines.iter().map(line).collect();
    diesel::insert_into(return_lines::table).values(lines).execute(conn).await?;
    Ok(row)
}

/// Locks a return's row. The order must be locked already.
pub(crate) async fn lock_return(conn: &mut AsyncPgConnection, id: ReturnId) -> QueryResult<LockedReturn> {
    let row = returns::table.find(id).select(Return::as_select()).for_update().first(conn).await?;
    Ok(LockedReturn(row))
}

/// Writes what came of the lines of a return.
pub(crate) async fn write_received(conn: &mut AsyncPgConnection, lines: &[ReturnLine]) -> QueryResult<()> {
    for line in lines {
        diesel::update(return_lines::table.find((line.return_id, line.order_line_id)))
            .set((
                return_lines::received_quantity.eq(line.received_quantity),
                return_lines::restocked.eq(line.restocked),
            ))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// The lines of these returns.
pub async fn return_lines(
    conn: &mut AsyncPgConnection,
    return_ids: &[ReturnId],
) -> QueryResult<Vec<ReturnLine>> {
    return_lines::table
        .filter(return_lines::return_id.eq_any(return_ids))
        .order((return_lines::return_id, return_lines::order_line_id))
        .select(ReturnLine::as_select())
        .load(conn)
        .await
}

/// The units of each line of an order that are expected back by returns. Those that came are counted by the line. Under
/// the order's lock they are the present ones.
pub(crate) async fn awaited_units(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> QueryResult<BTreeMap<OrderLineId, i64>> {
    let rows: Vec<(OrderLineId, i64)> = return_lines::table
        .inner_join(returns::table)
        .filter(returns::order_id.eq(order_id))
        .filter(returns::status.eq_any([ReturnStatus::Requested, ReturnStatus::Approved]))
        .select((return_lines::order_line_id, return_lines::quantity))
        .load(conn)
        .await?;
    Ok(orders::units_by_line(rows))
}
