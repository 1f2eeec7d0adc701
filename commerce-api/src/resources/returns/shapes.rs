//! Requests and answers of returns.

use chrono::{DateTime, Utc};
use commerce_core::audit_log::Author;
use commerce_core::flows::StaffReturn;
use commerce_core::ids::{OrderId, OrderLineId, ReturnId};
use commerce_core::money::Currency;
use commerce_core::orders;
use commerce_core::returns::{self, WantedBack, return_lines};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use uuid::Uuid;

use crate::http::answer::Reply;
use crate::http::money::Money;

const EXAMPLE_LINE: Uuid = Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b31);

/// The status of a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "returns::ReturnStatus")]
pub enum ReturnStatus {
    /// The shopper wants to give goods back. Staff decide.
    Requested,
    /// The shopper may send them.
    Approved,
    /// They are back in the shop.
    Received,
    /// Their money goes back.
    Refunded,
    /// The shop does not take them back.
    Rejected,
}

/// Why goods come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "returns::ReturnReason")]
pub enum ReturnReason {
    /// The shopper has withdrawn from the contract.
    Withdrawal,
    ChangedMind,
    DoesNotFit,
    Damaged,
    Defective,
    WrongItem,
    NotAsDescribed,
    /// Another reason. The note has it.
    Other,
}

/// Units of a line to give back.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct ReturnRequestLine {
    pub order_line_id: Uuid,
    #[oai(validator(minimum(value = "1")))]
    pub quantity: i64,
    pub reason: ReturnReason,
}

impl Example for ReturnRequestLine {
    fn example() -> Self {
        Self { order_line_id: EXAMPLE_LINE, quantity: 1, reason: ReturnReason::DoesNotFit }
    }
}

/// What to give back.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct ReturnRequest {
    #[oai(validator(min_items = 1, max_items = 100))]
    pub lines: Vec<ReturnRequestLine>,
    /// What the shop should know.
    #[oai(validator(min_length = 1, max_length = 2000))]
    pub note: Option<String>,
}

impl ReturnRequest {
    pub fn wanted(&self) -> Vec<WantedBack> {
        wanted(&self.lines)
    }
}

impl Example for ReturnRequest {
    fn example() -> Self {
        Self { lines: vec![ReturnRequestLine::example()], note: Some("It is too small.".to_owned()) }
    }
}

/// What a customer gives back, as staff write it down.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct StaffReturnRequest {
    #[oai(validator(min_items = 1, max_items = 100))]
    pub lines: Vec<ReturnRequestLine>,
    /// What the customer says. The customer sees it in the return.
    #[oai(validator(min_length = 1, max_length = 2000))]
    pub note: Option<String>,
    /// Whether units are taken that arrived before the shop's time for returns. False by default.
    pub waive_window: Option<bool>,
    /// Why that time is waived, for colleagues. It appears in the timeline. Required with `waive_window`.
    #[oai(validator(min_length = 1, max_length = 500))]
    pub reason: Option<String>,
}

impl StaffReturnRequest {
    pub fn wish(self, order_id: OrderId, author: Author) -> StaffReturn {
        let Self { lines, note, waive_window, reason } = self;
        let (lines, waive_window) = (wanted(&lines), waive_window.unwrap_or(false));
        StaffReturn { order_id, lines, note, waive_window, reason, author }
    }
}

impl Example for StaffReturnRequest {
    fn example() -> Self {
        Self {
            lines: vec![ReturnRequestLine::example()],
            note: None,
            waive_window: Some(true),
            reason: Some("The parcel stood at a neighbour's for weeks.".to_owned()),
        }
    }
}

fn wanted(lines: &[ReturnRequestLine]) -> Vec<WantedBack> {
    let line = |line: &ReturnRequestLine| WantedBack {
        order_line_id: OrderLineId(line.order_line_id),
        quantity: line.quantity,
        reason: line.reason.into(),
    };
    lines.iter().map(line).collect()
}

/// Units of a line in a return.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct ReturnLine {
    pub order_line_id: Uuid,
    /// The units that the shopper wants to give back.
    pub quantity: i64,
    pub reason: ReturnReason,
    /// The units that came. Absent until the return is received.
    pub received_quantity: Option<i64>,
    /// Whether they are sold again. If not, they were written off.
    pub restocked: Option<bool>,
}

impl Example for ReturnLine {
    fn example() -> Self {
        Self {
            order_line_id: EXAMPLE_LINE,
            quantity: 1,
            reason: ReturnReason::DoesNotFit,
            received_quantity: None,
            restocked: None,
        }
    }
}

/// Goods that a shopper gives back.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Return {
    pub id: Uuid,
    pub order_id: Uuid,
    pub status: ReturnStatus,
    pub lines: Vec<ReturnLine>,
    /// What the shopper wrote.
    pub note: Option<String>,
    /// What the shop answered.
    pub answer: Option<String>,
    /// The declaration of withdrawal that opened it, if one did.
    pub withdrawal_id: Option<Uuid>,
    /// The first refund of its money. Absent if there was nothing left to refund.
    pub refund_id: Option<Uuid>,
    /// All that is refunded for it.
    pub refund_amount: Option<Money>,
    /// What the shop keeps of the price of the goods, for wear. Absent if it keeps nothing.
    pub deducted_amount: Option<Money>,
    pub received_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Return {
    /// The returns with their lines, in the same order. It takes as many queries for many as for one.
    pub async fn read(conn: &mut AsyncPgConnection, rows: Vec<returns::Return>) -> QueryResult<Vec<Self>> {
        let ids: Vec<ReturnId> = rows.iter().map(|row| row.id).collect();
        let lines = return_lines(conn, &ids).await?;
        let order_ids: Vec<OrderId> = rows.iter().map(|row| row.order_id).collect();
        let currencies = orders::currencies(conn, &order_ids).await?;
        let of = |row: returns::Return| {
            let currency = currencies.get(&row.order_id).copied();
            let own = lines.iter().filter(|line| line.return_id == row.id).copied().collect();
            Self::of(row, own, currency)
        };
        Ok(rows.into_iter().map(of).collect())
    }

    /// The return with its `Location` and `ETag`.
    pub async fn reply(conn: &mut AsyncPgConnection, row: returns::Return) -> QueryResult<Reply<Self>> {
        let (location, version) = (format!("/v1/returns/{}", row.id), row.version);
        let answered = Self::read(conn, vec![row]).await?.pop().ok_or(diesel::NotFound)?;
        Ok(Reply::new(answered).version(version).location(location))
    }

    fn of(row: returns::Return, lines: Vec<returns::ReturnLine>, currency: Option<Currency>) -> Self {
        let line = |line: returns::ReturnLine| ReturnLine {
            order_line_id: line.order_line_id.0,
            quantity: line.quantity,
            reason: line.reason.into(),
            received_quantity: line.received_quantity,
            restocked: line.restocked,
        };
        let currency = row.refund_id.and(currency);
        let refund_amount = currency.map(|currency| Money::new(row.refund_minor, currency));
        let deducted_amount = currency
            .filter(|_| row.deducted_minor > 0)
            .map(|currency| Money::new(row.deducted_minor, currency));
        Self {
            id: row.id.0,
            order_id: row.order_id.0,
            status: row.status.into(),
            lines: lines.into_iter().map(line).collect(),
            note: row.note,
            answer: row.answer,
            withdrawal_id: row.withdrawal_id.map(|id| id.0),
            refund_id: row.refund_id.map(|id| id.0),
            refund_amount,
            deducted_amount,
            received_at: row.received_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl Example for Return {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_764_590_400, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b61),
            order_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b21),
            status: ReturnStatus::Requested,
            lines: vec![ReturnLine::example()],
            note: Some("It is too small.".to_owned()),
            answer: None,
            withdrawal_id: None,
            refund_id: None,
            refund_amount: None,
            deducted_amount: None,
            received_at: None,
            created_at: at,
            updated_at: at,
        }
    }
}
