//! Which products and variants of the shop a file means.

use std::time::Duration;

use commerce_core::catalog::{self, CategoryKey};
use commerce_core::flows::ImportOptions;
use commerce_core::ids::CategoryId;
use commerce_core::money::Currency;
use commerce_core::testing::TestDatabase;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection, TransactionManager as _,
};

use super::given::usd;
use super::imports::{counts, find, import, wrong_lines};

async fn rename(conn: &mut AsyncPgConnection, slug: &str, new: &str) {
    let product = find(conn, slug).await.unwrap();
    let patch = catalog::ProductPatch { slug: Some(new.into()), ..Default::default() };
    catalog::update_product(conn, product.id, None, patch, Currency::USD).await.unwrap();
}

#[tokio::test]
async fn a_file_of_yesterday_finds_what_was_renamed_today() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = "slug,title,categories,price,sku\nmug,Mug,Kitchen,4.00,\nhat,Hat,Clothes,9.00,HAT-1\n";
    import(conn, csv, ImportOptions::default()).await.unwrap();
    rename(conn, "mug", "beaker").await;
    rename(conn, "hat", "cap").await;
    let kitchen = catalog::find_category(conn, &CategoryKey::from("kitchen")).await.unwrap().unwrap();
    let patch = catalog::CategoryPatch { slug: Some("table".into()), ..Default::default() };
    catalog::update_category(conn, kitchen.id, None, patch).await.unwrap();

    assert_eq!(counts(&import(conn, csv, ImportOptions::default()).await.unwrap()), [0, 0, 2, 0]);
    let csv = csv.replace("4.00", "5.00").replace("Hat,", "Felt hat,");
    assert_eq!(counts(&import(conn, &csv, ImportOptions::default()).await.unwrap()), [0, 2, 0, 0]);
    let beaker = find(conn, "beaker").await.unwrap();
    assert_eq!((beaker.variants[0].price, beaker.category_ids.as_slice()), (usd(500), &[kitchen.id][..]));
    assert_eq!(find(conn, "cap").await.unwrap().title, "Felt hat");
    assert_eq!((find(conn, "mug").await, find(conn, "hat").await), (None, None));
    assert_eq!(catalog::find_category(conn, &CategoryKey::from("kitchen")).await.unwrap(), None);

    // New products go into the renamed category as well.
    let csv = "slug,title,categories,price\npan,Pan,Kitchen,4.00\n";
    import(conn, csv, ImportOptions::default()).await.unwrap();
    assert_eq!(find(conn, "pan").await.unwrap().category_ids, [kitchen.id]);
    db.finish().await;
}

#[tokio::test]
async fn a_product_under_another_handle_is_found_by_its_skus() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv =
        "slug,title,price,sku,options\ntee,Tee,4.00,T-S,Size=S\ntee,,4.00,T-M,Size=M\ncap,Cap,9.00,C-1,\n";
    import(conn, csv, ImportOptions::default()).await.unwrap();
    let other = "slug,title,price,sku,options\nt-shirt,T-shirt,4.00,T-M,Size=M\nt-shirt,,5.00,T-L,Size=L\n";
    assert_eq!(counts(&import(conn, other, ImportOptions::default()).await.unwrap()), [0, 1, 0, 0]);
    let tee = find(conn, "tee").await.unwrap();
    assert_eq!((tee.title.as_str(), tee.variants.len()), ("T-shirt", 3));
    assert_eq!(find(conn, "t-shirt").await, None);

    // SKUs of two products name neither of them.
    let mixed = "slug,title,price,sku,options\nset,Set,4.00,T-M,Size=M\nset,,5.00,C-1,Size=L\n";
    let errors = wrong_lines(import(conn, mixed, ImportOptions::default()).await);
    assert_eq!((errors[0].line, errors[0].column.as_str()), (2, "sku"));
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staff_files_while_an_import_waits_for_it_stays() {
    let db = TestDatabase::new().await;
    let (staff, importer) = (&mut db.conn().await, &mut db.conn().await);
    let csv = |category: &str| format!("slug,title,categories,price\nmug,Mug,{category},4.00\n");
    for category in ["Kitchen", "Gifts", "Sale"] {
        import(staff, &csv(category), ImportOptions::default()).await.unwrap();
    }
    let mug = find(staff, "mug").await.unwrap();
    let [kitchen, gifts, sale] = mug.category_ids[..] else { panic!("{mug:?}") };
    let filed_under =
        |ids: &[CategoryId]| catalog::ProductPatch { category_ids: Some(ids.to_vec()), ..Default::default() };
    catalog::update_product(staff, mug.id, None, filed_under(&[kitchen]), Currency::USD).await.unwrap();

    AnsiTransactionManager::begin_transaction(&mut **staff).await.unwrap();
    catalog::update_product(staff, mug.id, None, filed_under(&[kitchen, gifts]), Currency::USD)
        .await
        .unwrap();
    let (file, waiting) = (csv("Sale"), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        AnsiTransactionManager::commit_transaction(&mut **staff).await.unwrap();
    });
    let (report, ()) = tokio::join!(import(importer, &file, ImportOptions::default()), waiting);
    assert_eq!(counts(&report.unwrap()), [0, 1, 0, 0]);
    assert_eq!(find(importer, "mug").await.unwrap().category_ids, [kitchen, gifts, sale]);
    db.finish().await;
}

/// In either order, and however far apart they are in the file.
#[tokio::test]
async fn two_products_of_a_file_never_become_one() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    import(conn, "slug,title,price\nmug,Mug,4.00\n", ImportOptions::default()).await.unwrap();
    rename(conn, "mug", "beaker").await;
    for apart in [0, 500] {
        let between: String = (0..apart).map(|n| format!("p-{n},P {n},1.00\n")).collect();
        for (first, second, faulty) in [("mug", "beaker", 3 + apart), ("beaker", "mug", 3 + apart)] {
            let csv = format!("slug,title,price\n{first},{first},4.00\n{between}{second},{second},4.00\n");
            let errors = wrong_lines(import(conn, csv, ImportOptions::default()).await);
            let lines: Vec<u64> = errors.iter().map(|error| error.line).collect();
            // Where both are read before either is written, the one that was renamed is at fault.
            let wanted = if apart == 0 && first == "mug" { 2 } else { faulty };
            assert_eq!((lines, errors[0].column.as_str()), (vec![wanted], "slug"), "{errors:?}");
            let said = if apart > 0 && first == "mug" {
                "line 2 already refers to"
            } else {
                "refers to the shop's product"
            };
            assert!(errors[0].message.contains(said), "{errors:?}");
        }
    }
    db.finish().await;
}

#[tokio::test]
async fn a_sku_goes_over_to_another_product_of_the_file() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    import(conn, "slug,title,price,sku\ntee,Tee,4.00,T-1\n", ImportOptions::default()).await.unwrap();
    let handed_on = "slug,title,price,sku\ntee,Tee,4.00,T-2\ncap,Cap,9.00,T-1\n";
    let report = import(conn, handed_on, ImportOptions::default()).await.unwrap();
    assert_eq!(counts(&report), [1, 1, 0, 0]);
    let sku = |product: Option<catalog::Product>| product.unwrap().variants[0].sku.clone().unwrap();
    assert_eq!(sku(find(conn, "tee").await), "T-2");
    assert_eq!(sku(find(conn, "cap").await), "T-1");
    db.finish().await;
}

/// It was called so before the word was reserved.
#[tokio::test]
async fn what_has_a_reserved_slug_is_imported_again() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    import(conn, "slug,title,price\nmap,Map,4.00\n", ImportOptions::default()).await.unwrap();
    conn.batch_execute("UPDATE commerce.products SET slug = 'export'").await.unwrap();
    let again = "slug,title,price\nexport,Map of the world,4.00\n";
    assert_eq!(counts(&import(conn, again, ImportOptions::default()).await.unwrap()), [0, 1, 0, 0]);
    let new = "slug,title,price\nsearch,Search,4.00\n";
    let errors = wrong_lines(import(conn, new, ImportOptions::default()).await);
    assert_eq!((errors[0].line, errors[0].column.as_str()), (2, "slug"), "{errors:?}");
    db.finish().await;
}

#[tokio::test]
async fn variants_trade_their_skus_and_options() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let shown = async |conn: &mut AsyncPgConnection| {
        let tee = find(conn, "tee").await.unwrap();
        let shown = |v: &catalog::Variant| format!("{} {}", v.sku.as_deref().unwrap_or("-"), v.title);
        tee.variants.iter().map(shown).collect::<Vec<_>>()
    };
    let first =
        "slug,title,price,sku,options\ntee,Tee,4.00,A,Size=S\ntee,,4.00,B,Size=M\ntee,,4.00,C,Size=L\n";
    import(conn, first, ImportOptions::default()).await.unwrap();

    let turned =
        "slug,title,price,sku,options\ntee,Tee,4.00,A,Size=M\ntee,,4.00,B,Size=L\ntee,,4.00,C,Size=S\n";
    assert_eq!(counts(&import(conn, turned, ImportOptions::default()).await.unwrap()), [0, 1, 0, 0]);
    assert_eq!(shown(conn).await, ["A M", "B L", "C S"]);
    assert_eq!(counts(&import(conn, turned, ImportOptions::default()).await.unwrap()), [0, 0, 1, 0]);

    // A SKU goes on to another variant, and its former one gets a new one.
    let handed_on = "slug,title,price,sku,options\ntee,Tee,4.00,D,Size=M\ntee,,4.00,A,Size=XL\n";
    import(conn, handed_on, ImportOptions::default()).await.unwrap();
    assert_eq!(shown(conn).await, ["A XL", "B L", "C S", "D M"]);

    // What a variant has that is not in the file cannot be taken from it; the fault is on the line that would.
    let robbed = "slug,title,price,sku,options\ntee,Tee,4.00,D,Size=M\ntee,,4.00,A,Size=L\n";
    let errors = wrong_lines(import(conn, robbed, ImportOptions::default()).await);
    assert_eq!((errors[0].line, errors[0].column.as_str()), (3, "options"), "{errors:?}");
    assert!(errors[0].message.contains("the SKU \"B\""), "{errors:?}");
    db.finish().await;
}

#[tokio::test]
async fn titles_of_variants_follow_the_order_of_the_options() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let titles = async |conn: &mut AsyncPgConnection| {
        let tee = find(conn, "tee").await.unwrap();
        tee.variants.into_iter().map(|variant| variant.title).collect::<Vec<_>>()
    };
    let first = "slug,title,price,sku,options\ntee,Tee,4.00,A,Size=S; Color=Red\ntee,,4.00,B,Size=M; Color=Red\n\
        tee,,4.00,C,Size=L; Color=Red\n";
    import(conn, first, ImportOptions::default()).await.unwrap();
    let second =
        "slug,title,price,sku,options\ntee,Tee,4.00,A,Color=Blue; Size=S\ntee,,4.00,B,Color=Red; Size=M\n";
    import(conn, second, ImportOptions::default()).await.unwrap();
    assert_eq!(titles(conn).await, ["Blue / S", "Red / M", "Red / L"]);

    // Titles that were wrong before are made right.
    conn.batch_execute("UPDATE commerce.variants SET title = 'S / Blue' WHERE sku IN ('A', 'C')")
        .await
        .unwrap();
    assert_eq!(counts(&import(conn, second, ImportOptions::default()).await.unwrap()), [0, 1, 0, 0]);
    assert_eq!(titles(conn).await, ["Blue / S", "Red / M", "Red / L"]);
    assert_eq!(counts(&import(conn, second, ImportOptions::default()).await.unwrap()), [0, 0, 1, 0]);
    db.finish().await;
}
