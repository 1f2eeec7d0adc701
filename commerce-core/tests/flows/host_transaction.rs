//! The transaction contract: a use case joins the host's transaction, and a refusal leaves the host's own work alone.

use commerce_core::db::Retryable;
use commerce_core::flows::{PlaceOrderError, place_order};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, order_wish};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

async fn note(conn: &mut AsyncPgConnection, text: &str) -> diesel::QueryResult<usize> {
    diesel::sql_query("INSERT INTO host_notes VALUES ($1)")
        .bind::<diesel::sql_types::Text, _>(text)
        .execute(conn)
        .await
}

async fn count(conn: &mut AsyncPgConnection, table: &str) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        rows: i64,
    }
    let count: Count =
        diesel::sql_query(format!("SELECT count(*) AS rows FROM {table}")).get_result(conn).await.unwrap();
    count.rows
}

#[tokio::test]
async fn the_hosts_rollback_takes_the_order_with_it() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(100, 5).await;
    let owner = db.shopper(&shop, &[(variant, 2)]).await;
    let mut conn = db.conn().await;
    conn.batch_execute("CREATE TABLE host_notes (text text)").await.unwrap();
    let rolled_back: Result<(), PlaceOrderError> = conn
        .transaction(async |conn| {
            note(conn, "ordered").await?;
            place_order(conn, &shop, order_wish(owner)).await?;
            Err(diesel::result::Error::RollbackTransaction.into())
        })
        .await;
    assert!(rolled_back.is_err());
    assert_eq!(count(&mut conn, "host_notes").await, 0);
    assert_eq!(count(&mut conn, "commerce.orders").await, 0);
    assert_eq!(count(&mut conn, "commerce.jobs").await, 0, "the mail vanished with its order");
    drop(conn);
    assert_eq!(db.stock(variant).await, (5, 0));
    db.finish().await;
}

#[tokio::test]
async fn a_host_may_catch_out_of_stock_and_commit_its_own_row() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(100, 2).await;
    let owner = db.shopper(&shop, &[(variant, 2)]).await;
    db.order(&shop, &[(variant, 1)]).await;
    let mut conn = db.conn().await;
    conn.batch_execute("CREATE TABLE host_notes (text text)").await.unwrap();
    conn.transaction::<_, PlaceOrderError, _>(async |conn| {
        match place_order(conn, &shop, order_wish(owner)).await {
            Err(PlaceOrderError::OutOfStock(_)) => note(conn, "sold out").await?,
            other => panic!("{other:?}"),
        };
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(count(&mut conn, "host_notes").await, 1);
    assert_eq!(count(&mut conn, "commerce.orders").await, 1, "only the other shopper's");
    drop(conn);
    assert_eq!(db.stock(variant).await, (2, 1));
    db.finish().await;
}

#[tokio::test]
async fn a_host_at_a_stricter_isolation_meets_a_failure_that_says_run_me_again() {
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        let db = TestDatabase::new().await;
        let shop = ShopSettings::default();
        let variant = db.variant(100, 5).await;
        let owner = db.shopper(&shop, &[(variant, 2)]).await;
        let mut conn = db.conn().await;
        let begin = format!("SET TRANSACTION ISOLATION LEVEL {isolation}");
        let overtaken = conn
            .transaction(async |conn| {
                conn.batch_execute(&begin).await?;
                assert_eq!(count(conn, "commerce.orders").await, 0, "the snapshot is taken");
                db.order(&shop, &[(variant, 1)]).await;
                place_order(conn, &shop, order_wish(owner)).await
            })
            .await;
        assert!(overtaken.is_err_and(|error| error.is_retryable()), "{isolation}");
        conn.transaction(async |conn| {
            conn.batch_execute(&begin).await?;
            place_order(conn, &shop, order_wish(owner)).await
        })
        .await
        .unwrap();
        drop(conn);
        assert_eq!(db.stock(variant).await, (5, 3), "{isolation}");
        db.finish().await;
    }
}
