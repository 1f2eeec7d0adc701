//! Lists of refunds, for staff.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{Refund, RefundStatus};
use crate::ids::RefundId;
use crate::money::Currency;
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::{payments, refunds};

/// Why refunds could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListRefundsError {
    /// The cursor was not issued by this list.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

const SORT: &str = "-created_at";

/// One page of the refunds, in one status or in all, newest first. Each comes with its currency.
pub async fn list_refunds(
    conn: &mut AsyncPgConnection,
    status: Option<RefundStatus>,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<(Refund, Currency)>, ListRefundsError> {
    let refunds = refunds::table.inner_join(payments::table);
    let mut query = refunds.select((Refund::as_select(), payments::currency)).into_boxed();
    if let Some(status) = status {
        query = query.filter(refunds::status.eq(status));
    }
    if let Some(last) = Cursor::<DateTime<Utc>>::place::<RefundId>(cursor, SORT)? {
        let place = (refunds::created_at, refunds::id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
        query = query.filter(place.lt(last));
    }
    let rows: Vec<(Refund, Currency)> = query
        .order((refunds::created_at.desc(), refunds::id.desc()))
        .limit(limit.rows_and_one())
        .load(conn)
        .await?;
    Ok(Page::from_rows(rows, limit, |(last, _)| Cursor::at(SORT, last.created_at, last.id)))
}
