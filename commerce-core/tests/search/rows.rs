//! The rows that are searched follow every change, in its transaction.

use commerce_core::catalog::{self, CategoryPatch, ProductPatch, ProductStatus, WithChildren, WithProducts};
use commerce_core::search::PostgresEngine;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};

use super::given::{category, goods, patch, search, text, titles};

/// Writing all rows anew must not change one.
async fn assert_exact(db: &TestDatabase) {
    let conn = &mut db.conn().await;
    conn.batch_execute("INSERT INTO commerce.search_indexes VALUES ('probe', 'live', 1)").await.unwrap();
    conn.batch_execute("SELECT commerce.refresh_product_search(ARRAY(SELECT id FROM commerce.products))")
        .await
        .unwrap();
    let wrong = diesel::sql_query("SELECT 1 FROM commerce.search_changes").execute(conn).await.unwrap();
    assert_eq!(wrong, 0, "rows were behind their products");
    conn.batch_execute("DELETE FROM commerce.search_indexes").await.unwrap();
}

async fn found(db: &TestDatabase, query: &str) -> Vec<String> {
    let page = search(db, &PostgresEngine::new(db.pool().clone()), &text(query)).await;
    titles(&page).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn every_change_is_found_at_once() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let kitchen = category(conn, "Kitchen").await;
    let mug = goods("Mug", 1000, 2).sku("M-1").category(&kitchen).create(conn).await;
    assert_eq!(found(&db, "kitchen m1").await, ["Mug"]);

    patch(conn, mug.id, ProductPatch { title: Some("Beaker".into()), ..Default::default() }).await;
    assert_eq!((found(&db, "mug").await, found(&db, "beaker").await), (vec![], vec!["Beaker".to_owned()]));
    patch(conn, mug.id, ProductPatch { status: Some(ProductStatus::Archived), ..Default::default() }).await;
    assert_eq!(found(&db, "beaker").await, Vec::<String>::new());
    patch(conn, mug.id, ProductPatch { status: Some(ProductStatus::Active), ..Default::default() }).await;
    assert_eq!(found(&db, "beaker").await, ["Beaker"]);
    let attributes =
        serde_json::from_str(r#"{"tags": ["picnic", {"deep": "enamel"}], "year": 1838}"#).unwrap();
    patch(conn, mug.id, ProductPatch { attributes: Some(attributes), ..Default::default() }).await;
    for query in ["picnic", "enamel", "1838"] {
        assert_eq!(found(&db, query).await, ["Beaker"], "{query}");
    }
    catalog::delete_category(conn, kitchen.id, WithProducts::Detach, WithChildren::Refuse).await.unwrap();
    assert_eq!(found(&db, "kitchen").await, Vec::<String>::new());
    assert_exact(&db).await;
    db.finish().await;
}

#[tokio::test]
async fn what_is_rolled_back_is_not_found() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let outcome = conn
        .transaction::<(), diesel::result::Error, _>(async |conn| {
            goods("Ghost", 1000, 2).create(conn).await;
            Err(diesel::result::Error::RollbackTransaction)
        })
        .await;
    assert!(outcome.is_err());
    assert_eq!(found(&db, "ghost").await, Vec::<String>::new());
    db.finish().await;
}

#[tokio::test]
async fn stock_counts_when_it_runs_out_and_when_it_comes_back() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 2).await;
    let in_stock = async || {
        let engine = PostgresEngine::new(db.pool().clone());
        let query = commerce_core::search::SearchProducts { in_stock: Some(true), ..text("") };
        search(&db, &engine, &query).await.total == 1
    };
    assert!(in_stock().await);
    db.order(&shop, &[(variant, 1)]).await;
    assert!(in_stock().await);
    db.order(&shop, &[(variant, 1)]).await;
    assert!(!in_stock().await);
    db.restock(variant, 1).await;
    assert!(in_stock().await);
    assert_exact(&db).await;
    db.finish().await;
}

/// A checkout must never wait for somebody who edits the catalogue; a job puts right what it could not write.
#[tokio::test]
async fn selling_the_last_unit_does_not_wait_for_an_editor() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 1).await;
    let editor = &mut db.conn().await;
    editor.batch_execute("BEGIN; UPDATE commerce.products SET title = 'Edited'").await.unwrap();
    db.order(&ShopSettings::default(), &[(variant, 1)]).await;
    editor.batch_execute("COMMIT").await.unwrap();
    let jobs = "SELECT 1 FROM commerce.jobs WHERE kind = 'index_products' AND payload ? 'product_id'";
    assert_eq!(diesel::sql_query(jobs).execute(editor).await.unwrap(), 1);
    editor
        .batch_execute("SELECT commerce.refresh_product_search(ARRAY(SELECT id FROM commerce.products))")
        .await
        .unwrap();
    assert_exact(&db).await;
    db.finish().await;
}

#[tokio::test]
async fn a_renamed_category_reaches_its_products_by_a_job() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let kitchen = category(conn, "Kitchen").await;
    goods("Mug", 1000, 2).category(&kitchen).create(conn).await;
    let patch = CategoryPatch { title: Some("Scullery".into()), ..Default::default() };
    catalog::update_category(conn, kitchen.id, None, patch).await.unwrap();
    let jobs = "SELECT 1 FROM commerce.jobs WHERE kind = 'index_products' AND payload ? 'category_id'";
    assert_eq!(diesel::sql_query(jobs).execute(conn).await.unwrap(), 1);
    db.finish().await;
}
