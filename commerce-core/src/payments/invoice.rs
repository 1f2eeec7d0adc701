//! What a payment is for.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use crate::ids::OrderId;
use crate::orders::{self, Order, OrderLine};

/// The order that a payment is for, so that a provider can show the shopper what is paid. The payment may be a part of
/// the order's total.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Invoice {
    /// The order.
    pub order: Order,
    /// Its lines, sorted by position.
    pub lines: Vec<OrderLine>,
}

impl Invoice {
    /// An order with its lines, sorted by position.
    pub fn new(order: Order, lines: Vec<OrderLine>) -> Self {
        Self { order, lines }
    }

    /// The order and its lines as they are now.
    pub async fn of(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<Option<Self>> {
        let Some(order) = orders::find(conn, id).await? else { return Ok(None) };
        let lines = orders::lines(conn, &[id]).await?;
        Ok(Some(Self::new(order, lines)))
    }
}
