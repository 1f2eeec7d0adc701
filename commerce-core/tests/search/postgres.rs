use commerce_core::search::PostgresEngine;
use commerce_core::testing::TestDatabase;

use super::conformance::{conforms, stock_the_shop};

#[tokio::test]
async fn postgres_conforms() {
    let db = TestDatabase::new().await;
    stock_the_shop(&db).await;
    conforms(&db, &PostgresEngine::new(db.pool().clone())).await;
    db.finish().await;
}
