//! Staff move a return on: they approve or reject it, receive its goods, and refund its money.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::{Value, json};

use super::refund_return::{price_return, refund_return, worth_minor};
use super::refund_sources::{Source, lock_sources};
use super::request_return::kept_units;
use super::ship_parcel::follow;
use crate::accounts::{Permission, Role};
use crate::audit_log::{self, Author, Subject};
use crate::db::{Retryable, current_time};
use crate::ids::{OrderLineId, ReturnId};
use crate::inventory::{self, Demand, ReturnError};
use crate::money::Money;
use crate::notifications::{NewEmail, enqueue_email};
use crate::orders::{self, EventKind, LockedOrder, OrderLine};
use crate::returns::{self, LockedReturn, Return, ReturnLine, ReturnStatus, ReturnTransitionError};
use crate::text::filled_text;

/// A request of staff to set the status of a return.
#[derive(Debug, Clone)]
pub struct MoveReturn {
    /// The return.
    pub id: ReturnId,
    /// The wanted status.
    pub to: ReturnStatus,
    /// What came, for [`ReturnStatus::Received`]. Lines that are not named came as they were announced, and are sold again.
    pub lines: Vec<ReceivedLine>,
    /// What is refunded, for [`ReturnStatus::Refunded`]: all that the received units cost, or less for wear. All by
    /// default.
    pub amount: Option<Money>,
    /// What staff write to the shopper.
    pub answer: Option<String>,
    /// The version that the caller saw. Another version is refused. `None` accepts any.
    pub expected_version: Option<i32>,
    /// The role of the author. A refund needs [`Permission::PaymentsRefund`].
    pub role: Role,
    /// For the audit log, the timeline and the stock ledger.
    pub author: Author,
}

/// What came of a line of a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedLine {
    /// The line.
    pub order_line_id: OrderLineId,
    /// The units that came, which may be none. All that were announced by default.
    pub quantity: Option<i64>,
    /// Whether they are sold again. If not, they are written off.
    pub restock: bool,
}

/// Why a return was not moved on. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum MoveReturnError {
    /// There is no such return.
    #[error("there is no such return")]
    NotFound,
    /// Somebody else changed the return in the meantime.
    #[error("the return has changed since it was read")]
    VersionMismatch,
    /// The return's status does not allow the step.
    #[error(transparent)]
    Transition(#[from] ReturnTransitionError),
    /// The refund needs a permission that the role does not have.
    #[error("the role {0} does not include {1}")]
    MayNot(Role, Permission),
    /// Only a return that is received has lines that came.
    #[error("only what is received has lines")]
    NotReceiving,
    /// Only a return that is refunded has an amount.
    #[error("only what is refunded has an amount")]
    NotRefunding,
    /// The amount is not positive, or more than what the received units are worth.
    #[error("{amount} cannot be refunded: the goods that came are worth {worth}")]
    AmountOutOfRange {
        /// The requested amount.
        amount: Money,
        /// What the units cost that were not refunded before, and no more than is left of the order's payments.
        worth: Money,
    },
    /// The amount is not in the order's currency.
    #[error("{amount} is not in the currency of the order; the goods that came are worth {worth}")]
    CurrencyMismatch {
        /// The requested amount.
        amount: Money,
        /// What can be refunded, in the order's currency.
        worth: Money,
    },
    /// The return has no such line.
    #[error("the return has no line {0}")]
    UnknownLine(OrderLineId),
    /// More units of a line came than were announced, or fewer than none.
    #[error("{quantity} units of line {order_line_id} cannot be received: {announced} were announced")]
    TooManyUnits {
        /// The line.
        order_line_id: OrderLineId,
        /// The units that are said to have come.
        quantity: i64,
        /// The units that were announced.
        announced: i64,
    },
    /// More units came than have arrived at the shopper and are not back.
    #[error(
        "{quantity} units of line {order_line_id} cannot be received: {arrived} have arrived at the shopper and are not \
         back. Set the shipment to delivered first, or to returned if the parcel itself came back"
    )]
    NotArrived {
        /// The line.
        order_line_id: OrderLineId,
        /// The units that are said to have come.
        quantity: i64,
        /// The units that can come.
        arrived: i64,
    },
    /// The units could not come back into stock.
    #[error(transparent)]
    Stock(ReturnError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for MoveReturnError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

impl From<ReturnError> for MoveReturnError {
    fn from(error: ReturnError) -> Self {
        match error {
            ReturnError::Database(error) => Self::Database(error),
            other => Self::Stock(other),
        }
    }
}

/// Sets the status of a return. A return that has it already stays as it is, so that a request that is sent twice
/// receives and refunds once.
pub async fn move_return(conn: &mut AsyncPgConnection, wish: MoveReturn) -> Result<Return, MoveReturnError> {
    conn.transaction(async |conn| {
        let found = returns::find_return(conn, wish.id, None).await?.ok_or(MoveReturnError::NotFound)?;
        let mut order = orders::lock(conn, found.order_id).await?.ok_or(MoveReturnError::NotFound)?;
        if wish.to == ReturnStatus::Refunded && !wish.role.may(Permission::PaymentsRefund) {
            return Err(MoveReturnError::MayNot(wish.role, Permission::PaymentsRefund));
        }
        // Payments come before returns in the lock order.
        let sources = match wish.to {
            ReturnStatus::Refunded => lock_sources(conn, &order, None).await?,
            _ => Vec::new(),
        };
        let mut moved = returns::lock_return(conn, wish.id).await?;
        if wish.expected_version.is_some_and(|expected| expected != moved.version) {
            return Err(MoveReturnError::VersionMismatch);
        }
        if moved.status == wish.to {
            return Ok(moved.into_return());
        }
        if !wish.lines.is_empty() && wish.to != ReturnStatus::Received {
            return Err(MoveReturnError::NotReceiving);
        }
        if wish.amount.is_some() && wish.to != ReturnStatus::Refunded {
            return Err(MoveReturnError::NotRefunding);
        }
        let before = facts(&moved, &[]);
        let answer = filled_text(wish.answer.as_deref());
        let now = current_time(conn).await?;
        moved.move_to(wish.to, answer, now)?;
        let mut lines = returns::return_lines(conn, &[wish.id]).await?;
        let origin = &wish.author.origin;
        let back = match wish.to {
            ReturnStatus::Received => receive(conn, &order, &mut lines, &wish.lines).await?,
            _ => Vec::new(),
        };
        if wish.to == ReturnStatus::Refunded {
            refund(conn, &order, &sources, &mut moved, &lines, &wish).await?;
        }
        returns::write_return(conn, &mut moved).await?;
        tell(conn, &order, &moved, &lines, before, &wish.author).await?;
        if !back.is_empty() {
            let units: Vec<(OrderLineId, i64)> =
                back.iter().map(|(line, demand, _)| (line.id, demand.quantity)).collect();
            orders::count_returned(conn, &units).await?;
            follow(conn, &mut order, origin).await?;
            // Stock comes last in the lock order.
            let units: Vec<(Demand, bool)> =
                back.iter().map(|(_, demand, restock)| (*demand, *restock)).collect();
            inventory::return_each_to_stock(conn, order.id, &units, "returned", origin).await?;
        }
        Ok(moved.into_return())
    })
    .await
}

/// Refunds what the received units cost, or the wanted part of it.
async fn refund(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    sources: &[Source],
    moved: &mut LockedReturn,
    lines: &[ReturnLine],
    wish: &MoveReturn,
) -> Result<(), MoveReturnError> {
    let units = price_return(conn, order, lines).await?;
    let worth = Money::new(worth_minor(&units, sources), order.currency);
    let amount = wish.amount.unwrap_or(worth);
    if amount.currency != worth.currency {
        return Err(MoveReturnError::CurrencyMismatch { amount, worth });
    }
    if wish.amount.is_some() && !(1..=worth.amount_minor).contains(&amount.amount_minor) {
        return Err(MoveReturnError::AmountOutOfRange { amount, worth });
    }
    let (note, origin) = (moved.answer.as_deref(), &wish.author.origin);
    let refunded = refund_return(conn, sources, &units, amount.amount_minor, note, origin).await?;
    if let Some(first) = refunded {
        moved.refunded_by(first, amount.amount_minor, worth.amount_minor - amount.amount_minor);
    }
    Ok(())
}

/// Units that came back, and whether they are sold again.
type Back = (OrderLine, Demand, bool);

/// Writes what came of each line. Returns what came.
async fn receive(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    lines: &mut [ReturnLine],
    received: &[ReceivedLine],
) -> Result<Vec<Back>, MoveReturnError> {
    let of_order = orders::lines(conn, &[order.id]).await?;
    let kept = kept_units(conn, order, &of_order).await?;
    for line in received {
        if !lines.iter().any(|announced| announced.order_line_id == line.order_line_id) {
            return Err(MoveReturnError::UnknownLine(line.order_line_id));
        }
    }
    let mut back = Vec::new();
    for line in lines.iter_mut() {
        let said = received.iter().find(|said| said.order_line_id == line.order_line_id);
        let (order_line_id, announced) = (line.order_line_id, line.quantity);
        let quantity = said.and_then(|said| said.quantity).unwrap_or(announced);
        if !(0..=announced).contains(&quantity) {
            return Err(MoveReturnError::TooManyUnits { order_line_id, quantity, announced });
        }
        let arrived = kept.get(&order_line_id).map_or(0, |units| units.arrived);
        if quantity > arrived {
            return Err(MoveReturnError::NotArrived { order_line_id, quantity, arrived });
        }
        let restock = said.is_none_or(|said| said.restock);
        (line.received_quantity, line.restocked) = (Some(quantity), Some(restock));
        if let Some(bought) = of_order.iter().find(|bought| bought.id == order_line_id && quantity > 0) {
            let demand = Demand { variant_id: bought.variant_id, quantity };
            back.push((bought.clone(), demand, restock));
        }
    }
    returns::write_received(conn, lines).await?;
    Ok(back)
}

/// Records the step in the timeline and in the audit log, and mails the shopper. The mail about a refund comes with the
/// refund.
async fn tell(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    moved: &LockedReturn,
    lines: &[ReturnLine],
    before: Value,
    author: &Author,
) -> QueryResult<()> {
    let kind = match moved.status {
        ReturnStatus::Requested => EventKind::ReturnRequested,
        ReturnStatus::Approved => EventKind::ReturnApproved,
        ReturnStatus::Received => EventKind::ReturnReceived,
        ReturnStatus::Refunded => EventKind::ReturnRefunded,
        ReturnStatus::Rejected => EventKind::ReturnRejected,
    };
    let after = facts(moved, lines);
    orders::record(conn, order.id, kind, after.clone(), &author.origin).await?;
    let subject = Subject::Order(order.id);
    audit_log::record_facts(conn, author, "admin_move_return", subject, Some(before), Some(after)).await?;
    if moved.refund_id.is_some() {
        return Ok(());
    }
    let mail = NewEmail::about_return(moved.id, moved.status, moved.version, &order.email);
    enqueue_email(conn, mail).await
}

/// A return, for timelines and the audit log.
fn facts(moved: &Return, lines: &[ReturnLine]) -> Value {
    let line = |line: &ReturnLine| {
        json!({ "order_line_id": line.order_line_id, "quantity": line.quantity,
                "received_quantity": line.received_quantity, "restocked": line.restocked })
    };
    json!({
        "return_id": moved.id, "status": moved.status, "refund_id": moved.refund_id,
        "refund_minor": moved.refund_minor, "deducted_minor": moved.deducted_minor,
        "lines": lines.iter().map(line).collect::<Vec<_>>(),
    })
}
