//! Changes of the catalogue that run at the same time.

use std::time::Duration;

use commerce_core::catalog::import::ExistingProducts;
use commerce_core::catalog::{
    self, Audience, Category, CategoryPatch, DeleteCategoryError, NewCategory, ProductKey, ProductPatch,
    UpdateProductError, WithChildren, WithProducts, WriteCategoryError,
};
use commerce_core::flows::{self, ImportError, ImportOptions, StockPolicy};
use commerce_core::ids::{CategoryId, ProductId};
use commerce_core::money::Currency;
use commerce_core::request::Origin;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl as _};

use super::given::{create, product, variant};

#[derive(diesel::QueryableByName)]
struct Waiting {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    waiting: i64,
}

/// Returns when a connection of this database waits for a lock.
async fn until_somebody_waits(database: &TestDatabase) {
    let conn = &mut database.conn().await;
    let waiting = "SELECT count(*) AS waiting FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..500 {
        let row: Waiting = diesel::sql_query(waiting).get_result(conn).await.unwrap();
        if row.waiting > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits");
}

async fn category(conn: &mut AsyncPgConnection, title: &str, parent_id: Option<CategoryId>) -> Category {
    let new = NewCategory { title: title.to_owned(), parent_id, ..Default::default() };
    catalog::create_category(conn, new).await.unwrap()
}

fn in_categories(ids: &[CategoryId]) -> ProductPatch {
    ProductPatch { category_ids: Some(ids.to_vec()), ..ProductPatch::default() }
}

async fn filed(conn: &mut AsyncPgConnection, title: &str, ids: &[CategoryId]) -> ProductId {
    let mut new = product(title, vec![variant(&[], 100)]);
    new.category_ids = ids.to_vec();
    new.variants[0].sku = Some(title.to_uppercase());
    create(conn, new, &[5]).await.unwrap().id
}

async fn delete(conn: &mut AsyncPgConnection, id: CategoryId) -> Result<(), DeleteCategoryError> {
    catalog::delete_category(conn, id, WithProducts::Detach, WithChildren::MoveUp).await
}

#[tokio::test]
async fn a_product_that_joins_a_category_while_it_is_deleted_leaves_it_and_gets_a_new_version() {
    let database = TestDatabase::new().await;
    let (mut editor, mut deleter) = (database.conn().await, database.conn().await);
    let hats = category(&mut editor, "Hats", None).await;
    let there = filed(&mut editor, "cap", &[hats.id]).await;
    let joins = filed(&mut editor, "beret", &[]).await;
    let edit = editor.transaction(async |conn| {
        catalog::update_product(conn, joins, None, in_categories(&[hats.id]), Currency::USD).await?;
        until_somebody_waits(&database).await;
        // It does so twice, which a deletion that had locked the category before its products would not let it.
        let patch = in_categories(&[hats.id]);
        catalog::update_product(conn, joins, None, patch, Currency::USD).await.map(drop)
    });
    let (edited, deleted) = tokio::join!(edit, delete(&mut deleter, hats.id));
    edited.unwrap();
    deleted.unwrap();
    for (id, version) in [(there, 2), (joins, 4)] {
        let found = catalog::find_product(&mut editor, &ProductKey::Id(id), Audience::Staff).await.unwrap();
        let found = found.unwrap();
        assert_eq!((found.category_ids, found.version), (vec![], version));
    }
    drop((editor, deleter));
    database.finish().await;
}

async fn import(conn: &mut AsyncPgConnection, csv: &str) -> Result<(), ImportError> {
    let options = ImportOptions {
        stock: StockPolicy::Set,
        existing: ExistingProducts::Update,
        ..ImportOptions::default()
    };
    flows::import_products(conn, csv.as_bytes(), options, Currency::USD, &Origin::system(), &mut |_| {})
        .await
        .map(drop)
}

#[tokio::test]
async fn during_an_import_shoppers_buy_and_a_category_is_deleted_afterwards() {
    let database = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let (mut importer, mut deleter) = (database.conn().await, database.conn().await);
    let hats = category(&mut importer, "Hats", None).await;
    let cap = filed(&mut importer, "cap", &[hats.id]).await;
    let beret = filed(&mut importer, "beret", &[hats.id]).await;
    let mut variants = Vec::new();
    for id in [cap, beret] {
        let found = catalog::find_product(&mut importer, &ProductKey::Id(id), Audience::Staff).await.unwrap();
        variants.push((found.unwrap().variants[0].id, 1));
    }
    // The products exchange their SKUs by way of new ones, so that the keys of both variants change.
    let csv = "slug,title,price,sku,categories,stock\nberet,Beret,2.00,B-2,Hats,5\ncap,Cap,2.00,C-2,Hats,5\n";
    // The deletion begins when the import holds its rows, or else it may be over by then.
    let imported = tokio::sync::Notify::new();
    let work = importer.transaction::<_, ImportError, _>(async |conn| {
        import(conn, csv).await?;
        imported.notify_one();
        // Their rows refer to the variants whose SKUs have just changed.
        database.shopper(&shop, &variants).await;
        until_somebody_waits(&database).await;
        Ok(())
    });
    let deletion = async {
        imported.notified().await;
        delete(&mut deleter, hats.id).await
    };
    let (done, deleted) = tokio::join!(work, deletion);
    done.unwrap();
    deleted.unwrap();
    drop((importer, deleter));
    database.finish().await;
}

#[tokio::test]
async fn variants_exchange_their_skus_and_options_in_one_file() {
    let database = TestDatabase::new().await;
    let conn = &mut database.conn().await;
    let file = |first: &str, second: &str| {
        format!("slug,title,price,sku,options\ncap,Cap,1.00,A,Size={first}\ncap,,1.00,B,Size={second}\n")
    };
    import(conn, &file("S", "L")).await.unwrap();
    let key = ProductKey::Slug("cap".to_owned());
    let before = catalog::find_product(conn, &key, Audience::Staff).await.unwrap().unwrap();
    import(conn, &file("L", "S")).await.unwrap();
    let after = catalog::find_product(conn, &key, Audience::Staff).await.unwrap().unwrap();
    let of = |product: &catalog::Product, sku: &str| {
        let found = product.variants.iter().find(|variant| variant.sku.as_deref() == Some(sku)).unwrap();
        (found.id, found.options["Size"].clone())
    };
    assert_eq!((of(&before, "A").1, of(&after, "A").1), ("S".to_owned(), "L".to_owned()));
    assert_eq!(of(&before, "A").0, of(&after, "A").0, "each variant is still the same");
    database.finish().await;
}

/// Two products want each other's slug at the same time, again and again.
#[tokio::test]
async fn products_that_exchange_slugs_do_not_deadlock() {
    let database = TestDatabase::new().await;
    let (mut one, mut other) = (database.conn().await, database.conn().await);
    let ids = [filed(&mut one, "cap", &[]).await, filed(&mut one, "beret", &[]).await];
    let slug = |slug: &str| ProductPatch { slug: Some(slug.to_owned()), ..ProductPatch::default() };
    let refused = |result: Result<catalog::Product, UpdateProductError>| {
        if let Err(UpdateProductError::Database(error)) = result {
            panic!("{error}");
        }
    };
    for _ in 0..50 {
        let (first, second) = tokio::join!(
            catalog::update_product(&mut one, ids[0], None, slug("beret"), Currency::USD),
            catalog::update_product(&mut other, ids[1], None, slug("cap"), Currency::USD),
        );
        refused(first);
        refused(second);
    }
    drop((one, other));
    database.finish().await;
}

#[tokio::test]
async fn a_move_sees_the_category_that_another_transaction_was_making() {
    let database = TestDatabase::new().await;
    let (mut one, mut other) = (database.conn().await, database.conn().await);
    // A chain that is as deep as it may be with one more below, and a category with one below it.
    let mut deepest = category(&mut one, "Level 1", None).await;
    for level in 2..catalog::limits::CATEGORY_LEVELS_MAX {
        deepest = category(&mut one, &format!("Level {level}"), Some(deepest.id)).await;
    }
    let moved = category(&mut one, "Moved", None).await;
    let (made, is_made) = tokio::sync::oneshot::channel();
    let make = one.transaction::<_, QueryError, _>(async |conn| {
        category(conn, "Below the moved one", Some(moved.id)).await;
        made.send(()).unwrap();
        until_somebody_waits(&database).await;
        Ok(())
    });
    let move_it = async {
        is_made.await.unwrap();
        let to_deepest = CategoryPatch { parent_id: Some(Some(deepest.id)), ..CategoryPatch::default() };
        catalog::update_category(&mut other, moved.id, None, to_deepest).await
    };
    let (made, refused) = tokio::join!(make, move_it);
    made.unwrap();
    assert!(
        matches!(refused, Err(WriteCategoryError::Invalid(_))),
        "the tree would be too deep: {refused:?}"
    );
    drop((one, other));
    database.finish().await;
}
