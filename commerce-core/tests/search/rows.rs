//! The rows that are searched follow every change, in its transaction.

use std::time::Duration;

use commerce_core::catalog::{
    self, CategoryKey, CategoryPatch, ProductPatch, ProductStatus, WithChildren, WithProducts,
};
use commerce_core::db::PoolSettings;
use commerce_core::flows::{self, ImportOptions, StockPolicy};
use commerce_core::jobs;
use commerce_core::jobs::kinds::IndexProducts;
use commerce_core::money::Currency;
use commerce_core::page::Limit;
use commerce_core::request::Origin;
use commerce_core::search::{
    COUNTED_MAX, PostgresEngine, SearchIndex, SearchProducts, SearchSort, index_products, search_query,
};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection,
    TransactionManager,
};

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
    let tags = Some(vec!["hamper".to_owned()]);
    let patched = ProductPatch { vendor: Some(Some("Falcon".into())), tags, ..Default::default() };
    patch(conn, mug.id, patched).await;
    for query in ["picnic", "enamel", "1838", "falcon", "hamper"] {
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
    let switch = async |track_inventory| {
        let switch = format!("UPDATE commerce.variants SET track_inventory = {track_inventory}");
        db.conn().await.batch_execute(&switch).await.unwrap();
    };
    switch(false).await;
    assert!(in_stock().await, "it is not counted");
    switch(true).await;
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
    let jobs = "SELECT 1 FROM commerce.jobs WHERE kind = 'index_products' AND payload ? 'product_ids'";
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

/// The jobs that are there, as `category_id` and whether they wait for a later time; each is done.
async fn do_category_jobs(db: &TestDatabase) -> Vec<bool> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        waits: bool,
    }
    let conn = &mut db.conn().await;
    let waiting = diesel::sql_query(
        "SELECT run_at > commerce.clock() AS waits FROM commerce.jobs WHERE payload ? 'category_id'",
    );
    let waiting: Vec<Row> = waiting.load(conn).await.unwrap();
    conn.batch_execute("UPDATE commerce.jobs SET run_at = commerce.clock() WHERE payload ? 'category_id'")
        .await
        .unwrap();
    let claimed =
        jobs::claim(conn, "tester", &["index_products"], 100, Duration::from_secs(60)).await.unwrap();
    for job in &claimed {
        let payload: IndexProducts = serde_json::from_value(job.payload.clone()).unwrap();
        index_products(db.pool(), &SearchIndex::none(), job.lease(), &payload).await.unwrap();
    }
    waiting.into_iter().map(|row| row.waits).collect()
}

/// An import, say, has filed a product under the old title, and commits after the job for the new one has run.
#[tokio::test]
async fn a_renamed_category_reaches_what_is_being_filed_under_it() {
    let db = TestDatabase::new().await;
    let (conn, other) = (&mut db.conn().await, &mut db.conn().await);
    let kitchen = category(conn, "Kitchen").await;
    AnsiTransactionManager::begin_transaction(&mut **other).await.unwrap();
    goods("Mug", 1000, 2).category(&kitchen).create(other).await;
    let patch = CategoryPatch { title: Some("Scullery".into()), ..Default::default() };
    catalog::update_category(conn, kitchen.id, None, patch).await.unwrap();
    assert_eq!(do_category_jobs(&db).await, [false]);
    AnsiTransactionManager::commit_transaction(&mut **other).await.unwrap();
    assert_eq!(found(&db, "kitchen").await, ["Mug"], "the row as the import left it");
    assert_eq!(do_category_jobs(&db).await, [true]);
    assert_eq!(found(&db, "scullery").await, ["Mug"]);
    assert_eq!(do_category_jobs(&db).await, [] as [bool; 0], "nobody was left to wait for");
    assert_exact(&db).await;
    db.finish().await;
}

/// A word that a product had by mistake for a while does not hide what is meant by it.
#[tokio::test]
async fn a_word_that_no_product_has_any_more_may_be_mistyped() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    goods("Lambswool Blanket", 11_800, 4).create(conn).await;
    let mistaken = goods("Linen blnaket", 4_800, 4).create(conn).await;
    assert_eq!(found(&db, "blnaket").await, ["Linen blnaket"]);
    patch(conn, mistaken.id, ProductPatch { title: Some("Linen Sheet".into()), ..Default::default() }).await;
    assert_eq!(found(&db, "blnaket").await, ["Lambswool Blanket"]);
    db.finish().await;
}

async fn row_versions(db: &TestDatabase) -> Vec<String> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        version: String,
    }
    let conn = &mut db.conn().await;
    let rows = diesel::sql_query(
        "SELECT ctid || ' ' || xmin AS version FROM commerce.product_search ORDER BY product_id",
    );
    rows.load::<Row>(conn).await.unwrap().into_iter().map(|row| row.version).collect()
}

#[tokio::test]
async fn a_change_of_what_is_not_searched_writes_no_row() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    goods("Mug", 1000, 2).sku("M-1").create(conn).await;
    let before = row_versions(&db).await;
    conn.batch_execute(
        "UPDATE commerce.products SET version = version + 1, updated_at = commerce.clock();
         UPDATE commerce.variants SET price_minor = price_minor, compare_at_minor = 9000;
         UPDATE commerce.products SET title = title",
    )
    .await
    .unwrap();
    assert_eq!(row_versions(&db).await, before);
    conn.batch_execute("UPDATE commerce.products SET title = 'Beaker'").await.unwrap();
    assert_ne!(row_versions(&db).await, before);
    db.finish().await;
}

#[tokio::test]
async fn an_import_leaves_every_row_as_it_is_to_be() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let import = async |conn: &mut AsyncPgConnection, stock: i64, policy: StockPolicy| {
        let mut csv = "slug,title,price,sku,categories,stock\n".to_owned();
        for n in 0..450 {
            csv += &format!("thing-{n},Thing {n},9.00,T-{n},Things,{}\n", stock * (n % 2));
        }
        let options = ImportOptions { stock: policy, ..ImportOptions::default() };
        let origin = Origin::system();
        flows::import_products(conn, csv.as_bytes(), options, Currency::USD, &origin, &mut |_| {})
            .await
            .unwrap()
    };
    let counts = async |in_stock: bool| {
        let engine = PostgresEngine::new(db.pool().clone());
        let query = SearchProducts { in_stock: Some(in_stock), ..text("things") };
        search(&db, &engine, &query).await.total
    };
    assert_eq!(import(conn, 4, StockPolicy::CreateOnly).await.created, 450);
    assert_eq!((counts(true).await, counts(false).await), (225, 225));
    assert_exact(&db).await;
    // Stock that is set afterwards counts too, and what comes after the import is found by itself again.
    assert_eq!(import(conn, 0, StockPolicy::Set).await.updated, 225);
    assert_eq!((counts(true).await, counts(false).await), (0, 450));
    conn.transaction::<(), diesel::result::Error, _>(async |conn| {
        import(conn, 4, StockPolicy::Set).await;
        goods("Afterthought", 1000, 2).create(conn).await;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(found(&db, "afterthought").await, ["Afterthought"]);
    assert_exact(&db).await;
    db.finish().await;
}

/// So many products in a category `bulk`, of which number `n` costs `n` cents.
async fn many(db: &TestDatabase, count: i64, description: &str) {
    let conn = &mut db.conn().await;
    conn.batch_execute(&format!(
        "BEGIN;
         SELECT set_config('commerce.search_rows', 'later', true);
         INSERT INTO commerce.categories (id, slug, title) VALUES (gen_random_uuid(), 'bulk', 'Bulkware');
         INSERT INTO commerce.products (id, slug, title, description, status, price_from_minor)
         SELECT gen_random_uuid(), 'thing-' || n, 'Thing ' || n, '{description}', 'active', n
         FROM generate_series(1, {count}) n;
         INSERT INTO commerce.product_categories SELECT p.id, c.id FROM commerce.products p, commerce.categories c;
         COMMIT"
    ))
    .await
    .unwrap();
    for part in 0..10 {
        let ids = format!("ARRAY(SELECT id FROM commerce.products WHERE price_from_minor % 10 = {part})");
        conn.batch_execute(&format!("SELECT commerce.refresh_product_search({ids})")).await.unwrap();
    }
}

/// As the API deletes it: on a connection whose statements are cut off after fifteen seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_category_of_twenty_thousand_products_is_deleted() {
    const COUNT: i64 = 20_000;
    let db = TestDatabase::new().await;
    many(&db, COUNT, "").await;
    let engine = PostgresEngine::new(db.pool().clone());
    let page = search(&db, &engine, &text("bulkware")).await;
    assert!(page.total >= 5000 && page.facets["category"][0].value == "bulk", "{}", page.total);

    let pool = commerce_core::db::pool(db.url(), &PoolSettings::default()).unwrap();
    let mut conn = pool.get().await.unwrap();
    let key = CategoryKey::Slug("bulk".to_owned());
    let bulk = catalog::find_category(&mut conn, &key).await.unwrap().unwrap();
    catalog::delete_category(&mut conn, bulk.id, WithProducts::Detach, WithChildren::Refuse).await.unwrap();
    // It is gone from filters and facets at once, from the words by jobs.
    assert!(search(&db, &engine, &text("thing")).await.facets["category"].is_empty());
    let kinds = ["index_products"];
    let mut done = 0;
    loop {
        let jobs = jobs::claim(&mut conn, "tester", &kinds, 10, Duration::from_secs(60)).await.unwrap();
        if jobs.is_empty() {
            break;
        }
        for job in jobs {
            let payload: IndexProducts = serde_json::from_value(job.payload.clone()).unwrap();
            assert!(payload.product_ids.len() <= 500);
            index_products(&pool, &SearchIndex::none(), job.lease(), &payload).await.unwrap();
            done += payload.product_ids.len();
        }
    }
    assert_eq!(done, usize::try_from(COUNT).unwrap());
    assert_eq!(search(&db, &engine, &text("bulkware")).await.total, 0);
    db.finish().await;
}

/// A word that thousands of descriptions have: what is in the title comes first all the same, an order by price is of all of them, and
/// counting has an end.
#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_half_the_shop_has_is_counted_so_far() {
    const COUNT: i64 = COUNTED_MAX + 500;
    let db = TestDatabase::new().await;
    many(&db, COUNT, "<p>Goes well with a lamp.</p>").await;
    let conn = &mut db.conn().await;
    let lamp = goods("Brass Lamp", 900_000, 0).create(conn).await;
    let engine = PostgresEngine::new(db.pool().clone());

    let page = search(&db, &engine, &text("17 thing")).await;
    assert_eq!((page.total, page.is_total_exact, titles(&page)), (1, true, vec!["Thing 17"]));
    let page = search(&db, &engine, &text("lamp")).await;
    assert_eq!((page.total, page.is_total_exact), (COUNTED_MAX, false));
    assert_eq!(titles(&page)[0], "Brass Lamp");
    let counted: i64 = page.facets["in_stock"].iter().map(|value| value.count).sum();
    assert_eq!(counted, COUNTED_MAX);

    let cheapest = SearchProducts { sort: SearchSort::Price, ..text("lamp") };
    assert_eq!(titles(&search(&db, &engine, &cheapest).await)[..2], ["Thing 1", "Thing 2"]);
    let dearest = SearchProducts { sort: SearchSort::PriceDescending, ..text("lamp") };
    let last = format!("Thing {COUNT}");
    assert_eq!(titles(&search(&db, &engine, &dearest).await)[..2], ["Brass Lamp", last.as_str()]);
    // A filter is applied before anything is counted, and its own facet tells of the others.
    let only = SearchProducts { price_min_minor: Some(900_000), ..text("lamp") };
    let page = search(&db, &engine, &only).await;
    // What the filter keeps out is counted up to the same limit.
    assert_eq!((page.total, page.is_total_exact, page.found[0].product.id), (1, false, lamp.id));
    assert!(page.facets["price"].iter().any(|range| range.value == "0-999"), "{:?}", page.facets["price"]);

    // Pages follow each other beyond those that are ranked.
    let mut seen = std::collections::BTreeSet::new();
    for page in 1..=5 {
        let query = SearchProducts { page, per_page: Limit::new(60).unwrap(), ..text("lamp") };
        let page = search(&db, &engine, &query).await;
        seen.extend(page.found.iter().map(|found| found.product.id));
    }
    assert_eq!(seen.len(), 300);
    db.finish().await;
}

#[tokio::test]
async fn words_behind_an_apostrophe_are_found_in_products_of_older_versions_too() {
    const MIGRATION: [&str; 2] = [
        include_str!("../../../migrations/2026-12-01-000021_search_elisions/down.sql"),
        include_str!("../../../migrations/2026-12-01-000021_search_elisions/up.sql"),
    ];
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    conn.batch_execute(MIGRATION[0]).await.unwrap();
    goods("Savon à l’huile d'olive", 1000, 2).create(conn).await;
    goods("Work T-Shirt", 1000, 2).description("<p>From O'Neill.</p>").create(conn).await;
    conn.batch_execute(MIGRATION[1]).await.unwrap();
    for (query, title) in [
        ("huile", "Savon à l’huile d'olive"),
        ("lhuile d´olive", "Savon à l’huile d'olive"),
        ("tshirt", "Work T-Shirt"),
        ("oneill", "Work T-Shirt"),
        ("o‘neill", "Work T-Shirt"),
    ] {
        assert_eq!(found(&db, query).await, [title], "{query}");
    }
    assert_exact(&db).await;
    // The vocabulary has the new words, so that they are corrected.
    assert_eq!(found(&db, "huille").await, ["Savon à l’huile d'olive"]);
    db.finish().await;
}

#[tokio::test]
async fn texts_are_folded_alike_in_rust_and_in_sql() {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        folded: String,
    }
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    for given in [
        "",
        "  Stoneware  MUG ",
        "Chef\u{2019}s knife, 20-cm (steel)",
        "Crème BRÛLÉE; Ångström ﬁne ½",
        "a\tb\nc_d@e[f]{g}~\u{7f}h\u{a0}i\u{d7}j",
        "KNIFE-20/B.3",
        "日本語、テスト。ｶﾅ",
        "\u{2028}x\u{2003}y\u{feff}z🦀",
        "\u{27}\u{27}",
        "Savon à l’huile d'olive, l'Oréal; L''eau",
        "olio dell`Umbria e aujourd´hui, porte-d‘entrée, D'AB, jusqu'à",
        "O'Neill O´Neill O`Neill O‘Neill O’Neill rock'n'roll 'n' mens men's boys' 'quoted'",
        "Straße ŒUVRE Æther STRASSE t-shirt T-Shirt-Kleid -a- --",
    ] {
        let row: Row = diesel::sql_query("SELECT commerce.search_query($1) AS folded")
            .bind::<diesel::sql_types::Text, _>(given)
            .get_result(conn)
            .await
            .unwrap();
        assert_eq!(search_query(given), row.folded, "{given:?}");
    }
    db.finish().await;
}
