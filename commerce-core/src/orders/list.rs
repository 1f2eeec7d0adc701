//! Lists of orders, for customers and for staff.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Record, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{CancelReason, FulfillmentStatus, Order, OrderStatus, PaymentStatus};
use crate::ids::{OrderId, UserId};
use crate::page::{Cursor, InvalidCursor, Limit, Page, storable_time};
use crate::schema::orders;
use crate::text_enum::text_enum;

/// Filters orders. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    /// Orders of this user.
    pub user_id: Option<UserId>,
    /// Orders in this status.
    pub status: Option<OrderStatus>,
    /// Orders with this payment status.
    pub payment_status: Option<PaymentStatus>,
    /// Orders with this fulfillment status.
    pub fulfillment_status: Option<FulfillmentStatus>,
    /// Orders that were cancelled for this reason.
    pub cancel_reason: Option<CancelReason>,
    /// Whether a cancellation released stock.
    pub stock_released: Option<bool>,
    /// Only orders placed at this time or later.
    pub placed_from: Option<DateTime<Utc>>,
    /// Only orders placed before this time.
    pub placed_before: Option<DateTime<Utc>>,
    /// The lowest total, in minor units.
    pub total_min_minor: Option<i64>,
    /// The highest total, in minor units.
    pub total_max_minor: Option<i64>,
    /// The number of the order, and the beginnings of words of its e-mail address, names, SKUs and tracking numbers.
    /// All words must match.
    pub text: Option<String>,
}

text_enum! {
    /// The sort order of orders.
    pub enum OrderSort {
        /// By the time of placing, the oldest first.
        OldestFirst = "placed_at",
        /// By the time of placing, the newest first.
        NewestFirst = "-placed_at",
        /// By total, the smallest first.
        SmallestFirst = "total",
        /// By total, the largest first.
        LargestFirst = "-total",
    }
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListOrdersError {
    /// The cursor was not issued by this list in this order.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// One page of the orders that match.
pub async fn list(
    conn: &mut AsyncPgConnection,
    filter: &OrderFilter,
    sort: OrderSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<Order>, ListOrdersError> {
    let query = page_query(filter, sort, limit, cursor)?;
    Ok(Page::from_rows(query.load(conn).await?, limit, |last| cursor_of(last, sort)))
}

/// How Postgres reads the page, and how long that takes: the lines of EXPLAIN ANALYZE.
#[cfg(feature = "testing")]
pub async fn explain_list(
    conn: &mut AsyncPgConnection,
    filter: &OrderFilter,
    sort: OrderSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Vec<String>, ListOrdersError> {
    Ok(crate::db::Explain(page_query(filter, sort, limit, cursor)?).load(conn).await?)
}

fn page_query<'a>(
    filter: &'a OrderFilter,
    sort: OrderSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<OrderQuery<'a>, InvalidCursor> {
    let query = after(filtered(filter), sort, cursor)?.limit(limit.rows_and_one());
    Ok(match sort {
        OrderSort::NewestFirst => query.order((orders::placed_at.desc(), orders::id.desc())),
        OrderSort::OldestFirst => query.order((orders::placed_at.asc(), orders::id.asc())),
        OrderSort::LargestFirst => query.order((orders::total_minor.desc(), orders::id.desc())),
        OrderSort::SmallestFirst => query.order((orders::total_minor.asc(), orders::id.asc())),
    })
}

fn cursor_of(order: &Order, sort: OrderSort) -> String {
    let (name, id) = (sort.as_str(), order.id);
    match sort {
        OrderSort::NewestFirst | OrderSort::OldestFirst => Cursor::at(name, order.placed_at, id),
        OrderSort::LargestFirst | OrderSort::SmallestFirst => Cursor::at(name, order.total_minor, id),
    }
}

/// The orders after the one that the cursor names.
fn after<'a>(
    query: OrderQuery<'a>,
    sort: OrderSort,
    cursor: Option<&str>,
) -> Result<OrderQuery<'a>, InvalidCursor> {
    let is_ascending = matches!(sort, OrderSort::OldestFirst | OrderSort::SmallestFirst);
    Ok(match sort {
        OrderSort::NewestFirst | OrderSort::OldestFirst => {
            let place = (orders::placed_at, orders::id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
            match Cursor::<DateTime<Utc>>::place::<OrderId>(cursor, sort.as_str())? {
                Some(last) if is_ascending => query.filter(place.gt(last)),
                Some(last) => query.filter(place.lt(last)),
                None => query,
            }
        }
        OrderSort::LargestFirst | OrderSort::SmallestFirst => {
            let place = (orders::total_minor, orders::id).into_sql::<Record<(BigInt, SqlUuid)>>();
            match Cursor::<i64>::place::<OrderId>(cursor, sort.as_str())? {
                Some(last) if is_ascending => query.filter(place.gt(last)),
                Some(last) => query.filter(place.lt(last)),
                None => query,
            }
        }
    })
}

type OrderQuery<'a> = orders::BoxedQuery<'a, Pg, diesel::dsl::SqlTypeOf<diesel::dsl::AsSelect<Order, Pg>>>;

fn filtered(filter: &OrderFilter) -> OrderQuery<'_> {
    let mut query = orders::table.select(Order::as_select()).into_boxed();
    if let Some(user_id) = filter.user_id {
        query = query.filter(orders::user_id.eq(user_id));
    }
    if let Some(status) = filter.status {
        query = query.filter(orders::status.eq(status));
    }
    if let Some(status) = filter.payment_status {
        query = query.filter(orders::payment_status.eq(status));
    }
    if let Some(status) = filter.fulfillment_status {
        query = query.filter(orders::fulfillment_status.eq(status));
    }
    if let Some(reason) = filter.cancel_reason {
        query = query.filter(orders::cancel_reason.eq(reason));
    }
    match filter.stock_released {
        Some(true) => query = query.filter(orders::stock_released_at.is_not_null()),
        Some(false) => query = query.filter(orders::stock_released_at.is_null()),
        None => {}
    }
    if let Some(from) = filter.placed_from {
        query = query.filter(orders::placed_at.ge(storable_time(from)));
    }
    if let Some(before) = filter.placed_before {
        query = query.filter(orders::placed_at.lt(storable_time(before)));
    }
    if let Some(total) = filter.total_min_minor {
        query = query.filter(orders::total_minor.ge(total));
    }
    if let Some(total) = filter.total_max_minor {
        query = query.filter(orders::total_minor.le(total));
    }
    if let Some(text) = &filter.text {
        let found = "orders.id IN (SELECT order_id FROM commerce.order_search WHERE document @@ commerce.order_query(";
        query = query.filter(sql::<Bool>(found).bind::<Text, _>(text).sql("))"));
    }
    query
}
