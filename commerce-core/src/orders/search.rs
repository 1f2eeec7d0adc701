//! The words by which staff find an order, in a table of their own. A trigger adds the tracking numbers.

use diesel::QueryResult;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{NewLine, NewOrder};
use crate::db::Prepared;
use crate::ids::OrderId;
use crate::search::search_query;

/// The order has its number when this statement runs.
const INSERT: &str = "INSERT INTO commerce.order_search (order_id, document)
    SELECT id, array_to_tsvector($2 || number::text) FROM commerce.orders WHERE id = $1";

/// The words of a new order, as the SQL function `commerce.order_document` has them. Its number is not known yet.
pub(crate) struct Words {
    id: OrderId,
    words: Vec<String>,
}

impl Words {
    /// The words of the e-mail address, the names and the SKUs.
    pub(crate) fn of(order: &NewOrder, lines: &[NewLine]) -> Self {
        let skus = || lines.iter().filter_map(|line| line.sku.as_deref());
        let addresses = std::iter::once(&order.shipping_address).chain(&order.billing_address);
        let names = addresses.map(|address| address.name.as_str());
        let texts = std::iter::once(order.email.as_str()).chain(names).chain(skus());
        let texts: Vec<String> = texts.map(search_query).chain(skus().map(without_signs)).collect();
        let words = texts.iter().flat_map(|text| text.split(' ')).filter(|word| !word.is_empty());
        Self { id: order.id, words: words.map(str::to_owned).collect() }
    }

    /// Writes them, after the order. It takes a shared connection, so that the writes of an order can be sent together.
    pub(crate) async fn insert(self, conn: &AsyncPgConnection) -> QueryResult<()> {
        let insert = diesel::sql_query(INSERT).bind::<SqlUuid, _>(self.id).bind::<Array<Text>, _>(self.words);
        Prepared(insert).execute(&mut { conn }).await?;
        Ok(())
    }
}

/// A SKU as people type it who leave its signs out.
fn without_signs(sku: &str) -> String {
    sku.chars().filter(|c| c.is_alphanumeric() || *c == ' ').flat_map(char::to_lowercase).collect()
}
