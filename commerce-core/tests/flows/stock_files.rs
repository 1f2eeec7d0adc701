//! Files that change stock.

use std::sync::Arc;

use commerce_core::flows::{
    self, ImportMode, OnError, STOCK_LINES_MAX, StockImportError, StockImportOptions, StockImportReport,
};
use commerce_core::ids::VariantId;
use commerce_core::inventory::{self, LevelSort, MovementFilter};
use commerce_core::page::Limit;
use commerce_core::request::Origin;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use diesel_async::SimpleAsyncConnection;

use crate::stock_places::{level, location};

const ABORT: StockImportOptions = StockImportOptions { on_error: OnError::Abort, mode: ImportMode::Apply };
const SKIP: StockImportOptions = StockImportOptions { on_error: OnError::Skip, mode: ImportMode::Apply };

async fn import(
    db: &TestDatabase,
    csv: &str,
    options: StockImportOptions,
) -> Result<StockImportReport, StockImportError> {
    flows::import_stock(&mut *db.conn().await, csv.as_bytes(), options, &Origin::system()).await
}

async fn with_sku(db: &TestDatabase, sku: &str, units: i64) -> VariantId {
    let variant = db.variant(1250, units).await;
    let name = format!("UPDATE commerce.variants SET sku = '{sku}' WHERE id = '{variant}'");
    db.conn().await.batch_execute(&name).await.unwrap();
    variant
}

fn wrong(report: &StockImportReport) -> Vec<(u64, &str, &str)> {
    let listed = report.faults.listed.iter();
    listed.map(|error| (error.line, error.column.as_str(), error.message.as_str())).collect()
}

#[tokio::test]
async fn a_file_changes_stock_once_tried_and_then_done() {
    let db = TestDatabase::new().await;
    let far = location(&db, "far", None).await;
    let (mug, cup) = (with_sku(&db, "MUG", 10).await, with_sku(&db, "CUP", 4).await);
    let file = format!(
        "\u{feff}SKU;variant_id;location;delta;on_hand;reason\r\nMUG;;;-3;;broken\r\nMUG;;;5;;\r\n\
         ;{cup};main;;4;counted\r\nCUP;{cup};far;;7;\"counted; twice\"\r\n"
    );
    let dry = StockImportOptions { mode: ImportMode::DryRun, ..ABORT };
    let expected = StockImportReport { changed: 3, unchanged: 1, ..Default::default() };
    assert_eq!(import(&db, &file, dry).await.unwrap(), expected);
    assert_eq!((db.stock(mug).await, db.stock(cup).await), ((10, 0), (4, 0)));
    let levels = inventory::list_levels(
        &mut *db.conn().await,
        &Default::default(),
        LevelSort::Variant,
        Limit::default(),
        None,
    )
    .await
    .unwrap();
    assert_eq!(levels.data.len(), 2, "a dry run leaves no level");

    assert_eq!(import(&db, &file, ABORT).await.unwrap(), expected);
    assert_eq!((db.stock(mug).await, level(&db, cup, far).await), ((12, 0), (7, 0)));
    let newest = inventory::list_movements(
        &mut *db.conn().await,
        cup,
        &MovementFilter { location_id: Some(far), ..Default::default() },
        Limit::default(),
        None,
    )
    .await
    .unwrap();
    assert_eq!(newest.data[0].reason.as_deref(), Some("counted; twice"));
    db.finish().await;
}

#[tokio::test]
async fn a_file_with_wrong_lines_says_which_and_changes_nothing_or_the_rest() {
    let db = TestDatabase::new().await;
    let mug = with_sku(&db, "MUG", 10).await;
    let cup = with_sku(&db, "CUP", 4).await;
    db.order(&ShopSettings::default(), &[(cup, 3)]).await;
    let file = "sku,location,delta,on_hand\nMUG,,2,\nXXX,,1,\nMUG,moon,1,\nCUP,,-2,\nMUG,,x,\nMUG,,,\nMUG,,1,1\n\
                MUG,,0,\nCUP,,,-1\n,,1,\nMUG,,,5\nMUG,\"\n";
    let told = match import(&db, file, ABORT).await {
        Err(StockImportError::WrongLines(faults)) => StockImportReport { faults, ..Default::default() },
        other => panic!("{other:?}"),
    };
    assert_eq!(db.stock(mug).await, (10, 0));
    let lines: Vec<(u64, &str)> = wrong(&told).iter().map(|(line, column, _)| (*line, *column)).collect();
    let expected = [
        (3, "sku"),
        (4, "location"),
        (5, "delta"),
        (6, "delta"),
        (7, "delta"),
        (8, "on_hand"),
        (9, "delta"),
        (10, "on_hand"),
        (11, "sku"),
        (12, "on_hand"),
    ];
    assert_eq!(lines[..expected.len()], expected, "{told:?}");
    assert!(wrong(&told).contains(&(12, "on_hand", "line 2 is about the same stock")), "{told:?}");
    assert!(
        told.faults.listed.iter().any(|error| error.message.contains("fewer than the 3 that are reserved"))
    );

    let report = import(&db, file, SKIP).await.unwrap();
    assert_eq!((report.changed, report.skipped), (1, 11), "{report:?}");
    assert_eq!((db.stock(mug).await, db.stock(cup).await), ((12, 0), (4, 3)));
    db.finish().await;
}

#[tokio::test]
async fn files_that_are_refused_as_a_whole() {
    let db = TestDatabase::new().await;
    let long = format!("sku,delta\n{}", "X,1\n".repeat(STOCK_LINES_MAX + 1));
    for (file, column, message) in [
        ("", "", "the file is empty"),
        ("name,delta\n", "sku", "needs a column sku or variant_id"),
        ("sku,units\n", "delta", "needs a column delta or on_hand"),
        ("sku,delta,loction\n", "loction", "is no column of this file"),
        (long.as_str(), "", "at most 20000 lines"),
    ] {
        let Err(StockImportError::WrongLines(faults)) = import(&db, file, SKIP).await else {
            panic!("{message}")
        };
        assert_eq!(faults.listed[0].column, column, "{faults:?}");
        assert!(faults.listed[0].message.contains(message), "{faults:?}");
    }
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_orders_about_the_same_goods_at_once() {
    let db = Arc::new(TestDatabase::new().await);
    let mut variants = Vec::new();
    for sku in ["A", "B", "C", "D"] {
        variants.push(with_sku(&db, sku, 50).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let (db, variants) = (Arc::clone(&db), variants.clone());
        tasks.spawn(async move {
            if number % 2 == 0 {
                let wanted = [(variants[number % 4], 1), (variants[(number + 1) % 4], 1)];
                db.order(&ShopSettings::default(), &wanted).await;
                return;
            }
            let mut lines = ["A,1", "B,1", "C,1", "D,1"];
            lines.rotate_left(number % 4);
            let file = format!("sku,delta\n{}\n", lines.join("\n"));
            assert_eq!(import(&db, &file, ABORT).await.unwrap().changed, 4);
        });
    }
    tasks.join_all().await;
    let mut reserved = 0;
    for variant in &variants {
        let stock = db.stock(*variant).await;
        assert_eq!(stock.0, 58);
        reserved += stock.1;
    }
    assert_eq!(reserved, 16);
    Arc::into_inner(db).unwrap().finish().await;
}
