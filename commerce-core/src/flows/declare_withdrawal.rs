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
use super::request_return::{Opening, open_return, units_with_shopper};
use crate::db::{Pool, Retryable};
use crate::error::{FieldError, FieldErrors};
use crate::ids::WithdrawalId;
use crate::locale::Locale;
use crate::notifications::{NewEmail, Template, enqueue_alert, enqueue_email};
use crate::orders::{self, EventKind, LockedOrder};
use crate::queue::{self, Job, Lease};
use crate::request::Origin;
use crate::returns::{self, NamedUnits, NewWithdrawal, ReturnReason, WantedBack, Withdrawal};
use crate::settings::ShopSettings;
use crate::text::{filled_text, single_line};

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

/// Why nothing was declared.
#[derive(Debug, thiserror::Error)]
pub enum DeclareWithdrawalError {
    /// Texts are blank or too long.
    #[error("the declaration has invalid values")]
    Invalid(Vec<FieldError>),
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

/// The longest texts, in characters. The database checks the same numbers.
const NAME_CHARS_MAX: usize = 200;
const ORDER_NUMBER_CHARS_MAX: usize = 40;
const TEXT_CHARS_MAX: usize = 2000;

/// The first step: writes the declaration. It has no effect until it is confirmed.
pub async fn declare_withdrawal(
    conn: &mut AsyncPgConnection,
    wish: NewWithdrawal,
) -> Result<WithdrawalId, DeclareWithdrawalError> {
    let new = NewWithdrawal {
        name: single_line(&wish.name),
        order_number: single_line(&wish.order_number),
        text: filled_text(wish.text.as_deref()),
        ..wish
    };
    // Some letters are more characters in their normal form.
    let mut errors = FieldErrors::default();
    errors.check_text("/name", &new.name, 1..=NAME_CHARS_MAX);
    errors.check_text("/order_number", &new.order_number, 1..=ORDER_NUMBER_CHARS_MAX);
    errors.check_text("/text", new.text.as_deref().unwrap_or_default(), 0..=TEXT_CHARS_MAX);
    if !errors.is_empty() {
        return Err(DeclareWithdrawalError::Invalid(errors.into_vec()));
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
    queue::complete_with(pool, "process_withdrawal", lease, async |conn: &mut AsyncPgConnection| {
        Ok(process(conn, shop, withdrawal_id).await?)
    })
    .await
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
            let opening = Opening { withdrawal_id: Some(id), ..Opening::default() };
            open_return(conn, order, &wanted, opening, &Origin::system()).await?;
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
