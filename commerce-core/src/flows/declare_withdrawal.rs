//! Somebody withdraws from a contract: they declare it, confirm the declaration, and get a mail that acknowledges it.
//!
//! Neither step says whether there is such an order. The declaration is kept and acknowledged as it was made, and the job
//! `process_withdrawal` looks for the order afterwards.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::JobError;
use super::request_return::{open_return, units_with_shopper};
use crate::db::{self, Pool, Retryable};
use crate::ids::WithdrawalId;
use crate::locale::Locale;
use crate::notifications::{NewEmail, Template, enqueue_alert, enqueue_email};
use crate::orders::{self, EventKind, LockedOrder};
use crate::queue::{self, Job, Lease};
use crate::request::Origin;
use crate::returns::{self, NamedUnits, NewWithdrawal, ReturnReason, WantedBack, Withdrawal};
use crate::settings::ShopSettings;
use crate::text::{free_text, single_line};

/// Looks for the order of a declaration, and opens a return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessWithdrawal {
    /// The declaration.
    pub withdrawal_id: WithdrawalId,
}

impl Job for ProcessWithdrawal {
    const KIND: &'static str = "process_withdrawal";
    const ATTEMPTS_MAX: i32 = 20;
}

/// A text of a declaration has nothing to read. The value is the name of its field.
#[derive(Debug, thiserror::Error)]
pub enum DeclareWithdrawalError {
    /// A text has nothing to read. The value is the name of the field.
    #[error("must not be empty")]
    Empty(&'static str),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for DeclareWithdrawalError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Why a declaration was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmWithdrawalError {
    /// There is no such declaration, or it was not confirmed in time.
    #[error("there is no such declaration, or it was not confirmed within a day")]
    NotFound,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ConfirmWithdrawalError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// The first step: writes the declaration. It has no effect until it is confirmed.
pub async fn declare_withdrawal(
    conn: &mut AsyncPgConnection,
    wish: NewWithdrawal,
) -> Result<WithdrawalId, DeclareWithdrawalError> {
    let new = NewWithdrawal {
        name: single_line(&wish.name),
        order_number: single_line(&wish.order_number),
        text: wish.text.as_deref().map(free_text).filter(|text| !text.is_empty()),
        ..wish
    };
    for (text, field) in [(&new.name, "name"), (&new.order_number, "order_number")] {
        if text.is_empty() {
            return Err(DeclareWithdrawalError::Empty(field));
        }
    }
    Ok(returns::insert_withdrawal(conn, &new).await?)
}

/// The second step: the declaration counts from now on, and is acknowledged by mail, in the language of whoever
/// confirms it. The order's language would tell that there is one. Confirmed once more, it stays as it was.
pub async fn confirm_withdrawal(
    conn: &mut AsyncPgConnection,
    id: WithdrawalId,
    locale: Option<&Locale>,
) -> Result<Withdrawal, ConfirmWithdrawalError> {
    conn.transaction(async |conn| {
        let Some(declared) = returns::confirm_withdrawal(conn, id).await? else {
            let earlier = returns::find_withdrawal(conn, id).await?;
            return earlier.ok_or(ConfirmWithdrawalError::NotFound);
        };
        enqueue_email(conn, NewEmail::about_withdrawal(id, &declared.email).in_locale(locale)).await?;
        queue::enqueue(conn, &ProcessWithdrawal { withdrawal_id: id }).await?;
        Ok(declared)
    })
    .await
}

/// Does the job: looks for the order, and opens a return of what the shopper has of it. The shop is told in any case,
/// because it has to pay the money back in time.
pub async fn run_withdrawal(
    pool: &Pool,
    shop: &ShopSettings,
    withdrawal_id: WithdrawalId,
    lease: Lease,
) -> Result<(), JobError> {
    db::in_transaction(pool, "process_withdrawal", async |conn| {
        queue::complete(conn, lease).await?;
        Ok::<_, JobError>(process(conn, shop, withdrawal_id).await?)
    })
    .await?;
    Ok(())
}

async fn process(conn: &mut AsyncPgConnection, shop: &ShopSettings, id: WithdrawalId) -> QueryResult<()> {
    let Some(declared) = returns::find_withdrawal(conn, id).await? else { return Ok(()) };
    let found = orders::find_by_number(conn, &declared.order_number, &declared.email).await?;
    let order = match found {
        Some(order) => orders::lock(conn, order.id).await?,
        None => None,
    };
    if declared.processed_at.is_some() {
        return Ok(());
    }
    // The return refers to the declaration, and the declaration to the order.
    let order_id = order.as_ref().map(|order| order.id);
    if !returns::match_withdrawal(conn, id, order_id).await? {
        return Ok(());
    }
    if let Some(order) = &order {
        let data = json!({ "withdrawal_id": id, "confirmed_at": declared.confirmed_at });
        orders::record(conn, order.id, EventKind::WithdrawalDeclared, data, &Origin::system()).await?;
        let wanted = wanted_back(conn, order, declared.lines()).await?;
        if !wanted.is_empty() {
            open_return(conn, order, &wanted, None, Some(id), &Origin::system()).await?;
        }
    }
    if let Some(to) = &shop.alert_email {
        let data = json!({ "withdrawal_id": id });
        enqueue_alert(conn, Template::WithdrawalAlert, to, data).await?;
    }
    Ok(())
}

/// Of the units that the declaration names, or of all, those that the shopper has or gets. Units that were not sent are
/// for staff to cancel.
async fn wanted_back(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    named: Option<Vec<NamedUnits>>,
) -> QueryResult<Vec<WantedBack>> {
    let lines = orders::lines(conn, &[order.id]).await?;
    let mut left = units_with_shopper(conn, order, &lines).await?;
    let wanted = match named {
        Some(named) => named.into_iter().map(|units| (units.order_line_id, units.quantity)).collect(),
        None => left.iter().map(|(line, units)| (*line, *units)).collect::<Vec<_>>(),
    };
    let mut back: Vec<WantedBack> = Vec::new();
    for (order_line_id, quantity) in wanted {
        let Some(left) = left.get_mut(&order_line_id) else { continue };
        let quantity = quantity.min(*left);
        if quantity < 1 {
            continue;
        }
        *left -= quantity;
        match back.iter_mut().find(|units| units.order_line_id == order_line_id) {
            Some(units) => units.quantity += quantity,
            None => back.push(WantedBack { order_line_id, quantity, reason: ReturnReason::Withdrawal }),
        }
    }
    Ok(back)
}
