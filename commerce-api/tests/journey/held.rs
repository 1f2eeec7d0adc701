//! Requests and jobs that are held up in the middle, by a row that the test has locked.

use commerce_core::db;
use commerce_core::ids::VariantId;
use commerce_core::testing::TestDatabase;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use serde_json::json;

use crate::bookkeeping;
use crate::client::{Ask, Client, address, post};
use crate::shop::eventually;

/// A transaction that holds every row of a table, or its writers; whoever wants one of them waits.
pub struct Hold(AsyncPgConnection);

impl Hold {
    pub async fn on(database: &TestDatabase, table: &str) -> Self {
        Self::by(database, &format!("SELECT 1 FROM {table} FOR UPDATE")).await
    }

    /// Holds whoever writes the table.
    pub async fn writers(database: &TestDatabase, table: &str) -> Self {
        Self::by(database, &format!("LOCK TABLE {table} IN SHARE MODE")).await
    }

    async fn by(database: &TestDatabase, lock: &str) -> Self {
        let mut conn = db::connect(database.url()).await.unwrap();
        conn.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
        Self(conn)
    }

    /// Waits until so many connections stand before the rows.
    pub async fn awaited_by(&self, database: &TestDatabase, connections: usize) {
        let waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually("connections wait for a lock", async || {
            (bookkeeping::count(database.url(), waiting).await >= connections).then_some(())
        })
        .await;
    }

    pub async fn release(mut self) {
        self.0.batch_execute("COMMIT").await.unwrap();
    }
}

/// A guest who is about to check out: the request, to be sent as often as need be.
pub async fn checkout(client: &Client, variant_id: VariantId) -> Ask {
    let item = json!({ "variant_id": variant_id.to_string(), "quantity": 1 });
    let cart = client.send(post("/v1/cart/items", &item)).await.expect(200);
    let wish = json!({ "email": "ada@example.com", "shipping_address": address() });
    post("/v1/orders/checkout", &wish).cart(cart["token"].as_str().unwrap()).key("checkout")
}
