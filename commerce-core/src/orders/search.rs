//! The words by which staff find an order, in a table of their own. Its trigger adds the tracking numbers.

use diesel::QueryResult;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{NewLine, NewOrder};
use crate::db::Prepared;
use crate::ids::OrderId;

/// The order has its number when this statement runs.
const INDEX: &str = "INSERT INTO commerce.order_search (order_id, document)
    SELECT id, commerce.order_document(concat_ws(' ', number, $2), $3) FROM commerce.orders WHERE id = $1";

/// What is known of a new order before it is written.
pub(crate) struct Words {
    id: OrderId,
    texts: String,
    skus: Vec<String>,
}

impl Words {
    /// The e-mail address, the names and the SKUs.
    pub(crate) fn of(order: &NewOrder, lines: &[NewLine]) -> Self {
        let addresses = std::iter::once(&order.shipping_address).chain(&order.billing_address);
        let names = addresses.map(|address| address.name.as_str());
        let texts: Vec<&str> = std::iter::once(order.email.as_str()).chain(names).collect();
        let skus = lines.iter().filter_map(|line| line.sku.clone()).collect();
        Self { id: order.id, texts: texts.join(" "), skus }
    }

    /// Writes them, after the order. It takes a shared connection, so that the writes of an order can be sent together.
    pub(crate) async fn insert(self, conn: &AsyncPgConnection) -> QueryResult<()> {
        let insert = diesel::sql_query(INDEX)
            .bind::<SqlUuid, _>(self.id)
            .bind::<Text, _>(self.texts)
            .bind::<Array<Text>, _>(self.skus);
        Prepared(insert).execute(&mut { conn }).await?;
        Ok(())
    }
}
