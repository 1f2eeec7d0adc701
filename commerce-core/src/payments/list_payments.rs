//! Lists of payments.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{AttemptStatus, Payment, ProviderName};
use crate::cart::Owner;
use crate::ids::{OrderId, PaymentId};
use crate::orders;
use crate::page::{Cursor, InvalidCursor, Limit, Page, storable_time};
use crate::schema::payments;

/// Filters payments. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct PaymentFilter {
    /// Payments of this owner's orders.
    pub owner: Option<Owner>,
    /// Payments of this order.
    pub order_id: Option<OrderId>,
    /// Payments with this provider.
    pub provider: Option<ProviderName>,
    /// Payments in this status.
    pub status: Option<AttemptStatus>,
    /// Only payments begun at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Only payments begun before this time.
    pub created_before: Option<DateTime<Utc>>,
}

/// Why payments could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListPaymentsError {
    /// The cursor was not issued by this list.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

const SORT: &str = "-created_at";

/// One page of the payments that match, newest first.
pub async fn list_payments(
    conn: &mut AsyncPgConnection,
    filter: &PaymentFilter,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<Payment>, ListPaymentsError> {
    let mut query = payments::table.select(Payment::as_select()).into_boxed();
    if let Some(owner) = filter.owner {
        query = query.filter(payments::order_id.eq_any(orders::ids_owned(owner)));
    }
    if let Some(order_id) = filter.order_id {
        query = query.filter(payments::order_id.eq(order_id));
    }
    if let Some(provider) = &filter.provider {
        query = query.filter(payments::provider.eq(provider));
    }
    if let Some(status) = filter.status {
        query = query.filter(payments::status.eq(status));
    }
    if let Some(from) = filter.created_from {
        query = query.filter(payments::created_at.ge(storable_time(from)));
    }
    if let Some(before) = filter.created_before {
        query = query.filter(payments::created_at.lt(storable_time(before)));
    }
    if let Some(last) = Cursor::<DateTime<Utc>>::place::<PaymentId>(cursor, SORT)? {
        let place = (payments::created_at, payments::id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
        query = query.filter(place.lt(last));
    }
    let rows: Vec<Payment> = query
        .order((payments::created_at.desc(), payments::id.desc()))
        .limit(limit.rows_and_one())
        .load(conn)
        .await?;
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(SORT, last.created_at, last.id)))
}
