//! Lists of orders, for their customer and for the shop.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{CancelReason, FulfillmentStatus, Order, OrderStatus, PaymentStatus, parse_order_number};
use crate::ids::{OrderId, UserId};
use crate::page::{Cursor, InvalidCursor, Limit, Page, storable_time};
use crate::schema::orders;
use crate::text_enum::text_enum;

/// Which orders; each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    pub user_id: Option<UserId>,
    pub status: Option<OrderStatus>,
    pub payment_status: Option<PaymentStatus>,
    pub fulfillment_status: Option<FulfillmentStatus>,
    pub cancel_reason: Option<CancelReason>,
    /// Whether a cancellation gave stock back.
    pub stock_released: Option<bool>,
    /// Placed at or after.
    pub placed_from: Option<DateTime<Utc>>,
    /// Placed before.
    pub placed_before: Option<DateTime<Utc>>,
    pub total_min_minor: Option<i64>,
    pub total_max_minor: Option<i64>,
    /// An order number, or a part of an e-mail address.
    pub text: Option<String>,
}

text_enum! {
    /// In which order a list comes.
    pub enum OrderSort {
        OldestFirst = "placed_at",
        NewestFirst = "-placed_at",
        SmallestFirst = "total",
        LargestFirst = "-total",
    }
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListOrdersError {
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
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
    let query = filtered(filter).limit(limit.rows_and_one());
    let rows: Vec<Order> = match sort {
        OrderSort::NewestFirst => {
            let query = match decode::<DateTime<Utc>>(cursor, sort)? {
                Some((key, id)) => query
                    .filter(orders::placed_at.lt(key).or(orders::placed_at.eq(key).and(orders::id.lt(id)))),
                None => query,
            };
            query.order((orders::placed_at.desc(), orders::id.desc())).load(conn).await?
        }
        OrderSort::OldestFirst => {
            let query = match decode::<DateTime<Utc>>(cursor, sort)? {
                Some((key, id)) => query
                    .filter(orders::placed_at.gt(key).or(orders::placed_at.eq(key).and(orders::id.gt(id)))),
                None => query,
            };
            query.order((orders::placed_at, orders::id)).load(conn).await?
        }
        OrderSort::LargestFirst => {
            let query = match decode::<i64>(cursor, sort)? {
                Some((key, id)) => query.filter(
                    orders::total_minor.lt(key).or(orders::total_minor.eq(key).and(orders::id.lt(id))),
                ),
                None => query,
            };
            query.order((orders::total_minor.desc(), orders::id.desc())).load(conn).await?
        }
        OrderSort::SmallestFirst => {
            let query = match decode::<i64>(cursor, sort)? {
                Some((key, id)) => query.filter(
                    orders::total_minor.gt(key).or(orders::total_minor.eq(key).and(orders::id.gt(id))),
                ),
                None => query,
            };
            query.order((orders::total_minor, orders::id)).load(conn).await?
        }
    };
    Ok(Page::from_rows(rows, limit, |last| cursor_after(last, sort)))
}

fn cursor_after(order: &Order, sort: OrderSort) -> String {
    let (sort_text, id): (String, Uuid) = (sort.as_str().to_owned(), order.id.0);
    match sort {
        OrderSort::NewestFirst | OrderSort::OldestFirst => {
            Cursor { sort: sort_text, key: order.placed_at, id }.encode()
        }
        OrderSort::LargestFirst | OrderSort::SmallestFirst => {
            Cursor { sort: sort_text, key: order.total_minor, id }.encode()
        }
    }
}

fn decode<K>(cursor: Option<&str>, sort: OrderSort) -> Result<Option<(K, OrderId)>, InvalidCursor>
where
    K: serde::Serialize + serde::de::DeserializeOwned,
{
    let cursor = cursor.map(|text| Cursor::<K>::decode(text, sort.as_str())).transpose()?;
    Ok(cursor.map(|after| (after.key, OrderId(after.id))))
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
        let number = parse_order_number(text);
        query = match number {
            Some(number) => query.filter(orders::number.eq(number)),
            None => query.filter(orders::email.ilike(format!("%{}%", escape_like(text.trim())))),
        };
    }
    query
}

/// `%`, `_` and `\` are plain characters in what a person types.
fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
