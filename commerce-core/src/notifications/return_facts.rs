//! What mails say about returns and declarations of withdrawal.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;

use super::language::Language;
use crate::ids::{OrderId, ReturnId, WithdrawalId};
use crate::returns;
use crate::schema::{order_lines, return_lines, returns as return_rows, withdrawals};
use crate::text::single_line;

/// Goods that come back.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ReturnFacts {
    pub lines: Vec<LineFacts>,
    /// What staff wrote.
    pub answer: Option<String>,
    /// Whether fewer units came than were announced.
    pub is_short: bool,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct LineFacts {
    pub title: String,
    pub quantity: i64,
    /// How many of them came, once that is known.
    pub received: Option<i64>,
}

/// The order and the return.
pub(super) async fn goods_back(
    conn: &mut AsyncPgConnection,
    id: ReturnId,
) -> QueryResult<Option<(OrderId, ReturnFacts)>> {
    let found: Option<(OrderId, Option<String>)> = return_rows::table
        .find(id)
        .select((return_rows::order_id, return_rows::answer))
        .first(conn)
        .await
        .optional()?;
    let Some((order_id, answer)) = found else { return Ok(None) };
    let lines: Vec<(String, i64, Option<i64>)> = return_lines::table
        .inner_join(order_lines::table)
        .filter(return_lines::return_id.eq(id))
        .order(order_lines::position)
        .select((order_lines::title, return_lines::quantity, return_lines::received_quantity))
        .load(conn)
        .await?;
    let is_short = lines.iter().any(|(_, quantity, received)| received.is_some_and(|came| came < *quantity));
    let line = |(title, quantity, received): (String, i64, Option<i64>)| LineFacts {
        title: single_line(&title),
        quantity,
        received,
    };
    let lines = lines.into_iter().map(line).collect();
    Ok(Some((order_id, ReturnFacts { lines, answer, is_short })))
}

/// A declaration, as it was made.
#[derive(Debug, Clone, Serialize)]
pub(super) struct WithdrawalFacts {
    pub id: String,
    pub name: String,
    pub email: String,
    pub order_number: String,
    pub lines: Vec<NamedFacts>,
    pub text: Option<String>,
    /// To the second.
    pub confirmed_at: String,
    /// Whether an order was found. The mail to the person who declared it does not say so.
    pub is_matched: bool,
    /// The return that it opened, if it did.
    pub return_id: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct NamedFacts {
    pub order_line_id: String,
    pub quantity: i64,
}

pub(super) async fn withdrawal(
    conn: &mut AsyncPgConnection,
    id: WithdrawalId,
    language: &Language,
) -> QueryResult<Option<WithdrawalFacts>> {
    let Some(declared) = returns::find_withdrawal(conn, id).await? else { return Ok(None) };
    let return_id: Option<ReturnId> = return_rows::table
        .inner_join(withdrawals::table)
        .filter(withdrawals::id.eq(id))
        .select(return_rows::id)
        .first(conn)
        .await
        .optional()?;
    let lines = declared.lines().unwrap_or_default();
    let line = |units: returns::NamedUnits| NamedFacts {
        order_line_id: units.order_line_id.to_string(),
        quantity: units.quantity,
    };
    Ok(Some(WithdrawalFacts {
        id: declared.id.to_string(),
        lines: lines.into_iter().map(line).collect(),
        name: declared.name,
        email: declared.email.to_string(),
        order_number: declared.order_number,
        text: declared.text,
        confirmed_at: declared.confirmed_at.map(|time| language.second(time)).unwrap_or_default(),
        is_matched: declared.order_id.is_some(),
        return_id: return_id.map(|id| id.to_string()),
    }))
}
