//! Finds returns: by id, and in lists.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{Return, ReturnStatus};
use crate::ids::{OrderId, ReturnId};
use crate::orders::{Access, ids_accessible};
use crate::page::{Cursor, InvalidCursor, Limit, Page, storable_time};
use crate::schema::returns;

/// Filters returns. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct ReturnFilter {
    /// Returns of orders to which this gives access.
    pub access: Option<Access>,
    /// Returns of this order.
    pub order_id: Option<OrderId>,
    /// Returns in this status.
    pub status: Option<ReturnStatus>,
    /// Only returns requested at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Only returns requested before this time.
    pub created_before: Option<DateTime<Utc>>,
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListReturnsError {
    /// The cursor was not issued by this list.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// A return by id: of an order to which this gives access, or of any.
pub async fn find_return(
    conn: &mut AsyncPgConnection,
    id: ReturnId,
    access: Option<Access>,
) -> QueryResult<Option<Return>> {
    let mut query = returns::table.filter(returns::id.eq(id)).select(Return::as_select()).into_boxed();
    if let Some(access) = access {
        query = query.filter(returns::order_id.eq_any(ids_accessible(access)));
    }
    query.first(conn).await.optional()
}

const SORT: &str = "-created_at";

/// One page of the returns that match, newest first.
pub async fn list_returns(
    conn: &mut AsyncPgConnection,
    filter: &ReturnFilter,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<Return>, ListReturnsError> {
    let mut query = returns::table.select(Return::as_select()).into_boxed();
    if let Some(access) = filter.access {
        query = query.filter(returns::order_id.eq_any(ids_accessible(access)));
    }
    if let Some(order_id) = filter.order_id {
        query = query.filter(returns::order_id.eq(order_id));
    }
    if let Some(status) = filter.status {
        query = query.filter(returns::status.eq(status));
    }
    if let Some(from) = filter.created_from {
        query = query.filter(returns::created_at.ge(storable_time(from)));
    }
    if let Some(before) = filter.created_before {
        query = query.filter(returns::created_at.lt(storable_time(before)));
    }
    if let Some(last) = Cursor::<DateTime<Utc>>::place::<ReturnId>(cursor, SORT)? {
        let place = (returns::created_at, returns::id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
        query = query.filter(place.lt(last));
    }
    let rows: Vec<Return> = query
        .order((returns::created_at.desc(), returns::id.desc()))
        .limit(limit.rows_and_one())
        .load(conn)
        .await?;
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(SORT, last.created_at, last.id)))
}
