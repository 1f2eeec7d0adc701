//! Declarations of withdrawal from a contract, as Directive (EU) 2023/2673 demands them: made in two steps, without a
//! reason, and kept as they were made.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};

use super::ListReturnsError;
use crate::db::{self, clock};
use crate::email_address::EmailAddress;
use crate::ids::{OrderId, OrderLineId, WithdrawalId};
use crate::page::{Cursor, Limit, Page, storable_time};
use crate::schema::withdrawals;

/// How long a declaration waits for its confirmation.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Units that a declaration names. Nobody has checked them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedUnits {
    /// The line.
    pub order_line_id: OrderLineId,
    /// The units.
    pub quantity: i64,
}

/// A declaration.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = withdrawals)]
pub struct Withdrawal {
    /// Its id. Whoever made it knows it, and can confirm it.
    pub id: WithdrawalId,
    /// The name of who declares it.
    pub name: String,
    /// Where it is acknowledged.
    pub email: EmailAddress,
    /// The number of the order, as it was typed.
    pub order_number: String,
    /// The units. `None` for the whole order.
    lines: Option<serde_json::Value>,
    /// What else was written.
    pub text: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was confirmed. Only then it is declared.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When its order was looked for.
    pub processed_at: Option<DateTime<Utc>>,
    /// The order, if one has this number and address.
    pub order_id: Option<OrderId>,
}

impl Withdrawal {
    /// The units. `None` for the whole order.
    pub fn lines(&self) -> Option<Vec<NamedUnits>> {
        self.lines.clone().and_then(|lines| serde_json::from_value(lines).ok())
    }
}

/// A declaration that is about to be written.
#[derive(Debug, Clone)]
pub struct NewWithdrawal {
    /// The name, in one line.
    pub name: String,
    /// Where it is acknowledged.
    pub email: EmailAddress,
    /// The number of the order, in one line.
    pub order_number: String,
    /// The units. `None` for the whole order.
    pub lines: Option<Vec<NamedUnits>>,
    /// What else was written.
    pub text: Option<String>,
}

/// Writes a declaration that waits for its confirmation.
pub(crate) async fn insert_withdrawal(
    conn: &mut AsyncPgConnection,
    new: &NewWithdrawal,
) -> QueryResult<WithdrawalId> {
    let id = WithdrawalId::new();
    let lines = new.lines.as_ref().map(serde_json::to_value).transpose();
    let lines = lines.map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
    diesel::insert_into(withdrawals::table)
        .values((
            withdrawals::id.eq(id),
            withdrawals::name.eq(&new.name),
            withdrawals::email.eq(&new.email),
            withdrawals::order_number.eq(&new.order_number),
            withdrawals::lines.eq(lines),
            withdrawals::text.eq(&new.text),
        ))
        .execute(conn)
        .await?;
    Ok(id)
}

/// Confirms a declaration. `None` if it was confirmed before, or is not there. Of two that do so at once, one gets it.
pub(crate) async fn confirm_withdrawal(
    conn: &mut AsyncPgConnection,
    id: WithdrawalId,
) -> QueryResult<Option<Withdrawal>> {
    let in_time = withdrawals::table
        .find(id)
        .filter(withdrawals::confirmed_at.is_null())
        .filter(withdrawals::created_at.gt(db::time_before(CONFIRM_WITHIN)));
    diesel::update(in_time)
        .set(withdrawals::confirmed_at.eq(clock().nullable()))
        .returning(Withdrawal::as_returning())
        .get_result(conn)
        .await
        .optional()
}

/// Writes which order a declaration is about, if any. Returns whether this had not been written before.
pub(crate) async fn match_withdrawal(
    conn: &mut AsyncPgConnection,
    id: WithdrawalId,
    order_id: Option<OrderId>,
) -> QueryResult<bool> {
    let open = withdrawals::table.find(id).filter(withdrawals::processed_at.is_null());
    let written = diesel::update(open)
        .set((withdrawals::processed_at.eq(clock().nullable()), withdrawals::order_id.eq(order_id)))
        .execute(conn)
        .await?;
    Ok(written == 1)
}

/// A declaration that was confirmed.
pub async fn find_withdrawal(
    conn: &mut AsyncPgConnection,
    id: WithdrawalId,
) -> QueryResult<Option<Withdrawal>> {
    withdrawals::table
        .find(id)
        .filter(withdrawals::confirmed_at.is_not_null())
        .select(Withdrawal::as_select())
        .first(conn)
        .await
        .optional()
}

/// Filters declarations. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct WithdrawalFilter {
    /// Whether they are confirmed.
    pub confirmed: Option<bool>,
    /// Whether an order was found.
    pub matched: Option<bool>,
    /// Those about this order.
    pub order_id: Option<OrderId>,
    /// Those with this address.
    pub email: Option<EmailAddress>,
    /// Only those made at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Only those made before this time.
    pub created_before: Option<DateTime<Utc>>,
}

const SORT: &str = "-created_at";

/// One page of the declarations that match, newest first.
pub async fn list_withdrawals(
    conn: &mut AsyncPgConnection,
    filter: &WithdrawalFilter,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<Withdrawal>, ListReturnsError> {
    let mut query = withdrawals::table.select(Withdrawal::as_select()).into_boxed();
    match filter.confirmed {
        Some(true) => query = query.filter(withdrawals::confirmed_at.is_not_null()),
        Some(false) => query = query.filter(withdrawals::confirmed_at.is_null()),
        None => {}
    }
    match filter.matched {
        Some(true) => query = query.filter(withdrawals::order_id.is_not_null()),
        Some(false) => query = query.filter(withdrawals::order_id.is_null()),
        None => {}
    }
    if let Some(order_id) = filter.order_id {
        query = query.filter(withdrawals::order_id.eq(order_id));
    }
    if let Some(email) = &filter.email {
        query = query.filter(withdrawals::email.eq(email.as_str()));
    }
    if let Some(from) = filter.created_from {
        query = query.filter(withdrawals::created_at.ge(storable_time(from)));
    }
    if let Some(before) = filter.created_before {
        query = query.filter(withdrawals::created_at.lt(storable_time(before)));
    }
    if let Some(last) = Cursor::<DateTime<Utc>>::place::<WithdrawalId>(cursor, SORT)? {
        let place = (withdrawals::created_at, withdrawals::id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
        query = query.filter(place.lt(last));
    }
    let rows: Vec<Withdrawal> = query
        .order((withdrawals::created_at.desc(), withdrawals::id.desc()))
        .limit(limit.rows_and_one())
        .load(conn)
        .await?;
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(SORT, last.created_at, last.id)))
}

/// Deletes declarations that were not confirmed in time, `batch` at a time. Returns their number.
pub async fn prune_withdrawals(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let delete = "DELETE FROM commerce.withdrawals WHERE id = ANY (ARRAY(
         SELECT id FROM commerce.withdrawals
         WHERE confirmed_at IS NULL AND created_at < commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED))";
    db::prune(conn, batch, CONFIRM_WITHIN, delete).await
}
