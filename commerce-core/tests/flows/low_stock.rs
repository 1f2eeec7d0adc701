//! What is low and who is told, stock as it was, and the repair of stock that drifted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use commerce_core::accounts::SecretKey;
use commerce_core::audit_log::{self, Author};
use commerce_core::catalog::image::Media;
use commerce_core::ids::VariantId;
use commerce_core::inventory::{
    self, LedgerExport, LowStockSort, MAIN_LOCATION, MovementFilter, MovementKind,
};
use commerce_core::jobs::{self, Services, Sweep, kinds};
use commerce_core::notifications::{FolderMailer, MailSettings};
use commerce_core::page::Limit;
use commerce_core::payments::Providers;
use commerce_core::request::Origin;
use commerce_core::schema::emails;
use commerce_core::search::SearchIndex;
use commerce_core::settings::{Carriers, ShopSettings};
use commerce_core::testing::{TestDatabase, email};
use commerce_core::{audit, db};
use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use object_store::memory::InMemory;

use crate::stock_places::{location, moving, transfer};

pub fn services(db: &TestDatabase, alerts: Option<&str>) -> Services {
    let shop = ShopSettings { alert_email: alerts.map(email), ..Default::default() };
    Services {
        pool: db.pool().clone(),
        shop,
        mailer: Arc::new(FolderMailer::new(std::env::temp_dir()).unwrap()),
        mails: Arc::new(MailSettings {
            sender: "Shop <shop@example.com>".parse().unwrap(),
            shop_url: None,
            password_reset_url: None,
            secret_key: SecretKey::parse("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap(),
            carriers: Carriers::default(),
            templates: Default::default(),
            order_url: None,
        }),
        providers: Providers::default(),
        media: Media::over(Arc::new(InMemory::new())),
        search_index: SearchIndex::none(),
    }
}

/// Does all jobs that are due.
pub async fn run_jobs(db: &TestDatabase, services: &Services) {
    loop {
        let lease = Duration::from_secs(60);
        let due = jobs::claim(&mut *db.conn().await, "tester", kinds::ALL, 10, lease).await.unwrap();
        if due.is_empty() {
            return;
        }
        for job in due {
            jobs::run(&job, services).await.unwrap();
        }
    }
}

async fn alerts(db: &TestDatabase) -> Vec<serde_json::Value> {
    let mails = emails::table.filter(emails::template.eq("low_stock_alert")).order(emails::created_at);
    mails.select(emails::data).load(&mut db.conn().await).await.unwrap()
}

#[tokio::test]
async fn what_becomes_low_is_listed_and_mailed_once_a_day() {
    let db = TestDatabase::new().await;
    let (mug, cup, pot) = (db.variant(1250, 5).await, db.variant(1250, 9).await, db.variant(1250, 1).await);
    let conn = &mut db.conn().await;
    for (variant, threshold) in [(mug, 5), (cup, 5), (pot, 3)] {
        inventory::set_low_stock_threshold(conn, variant, Some(threshold)).await.unwrap();
    }
    // Nobody can buy it, so nobody misses it.
    conn.batch_execute(&format!("UPDATE commerce.variants SET active = false WHERE id = '{pot}'"))
        .await
        .unwrap();
    let low = async |sort| -> Vec<(VariantId, i64)> {
        let limit = Limit::new(1).unwrap();
        let mut page =
            inventory::list_low_stock(&mut *db.conn().await, None, sort, limit, None).await.unwrap();
        let mut all = page.data;
        while let Some(cursor) = page.next_cursor {
            page = inventory::list_low_stock(&mut *db.conn().await, None, sort, limit, Some(&cursor))
                .await
                .unwrap();
            all.append(&mut page.data.clone());
        }
        all.into_iter().map(|low| (low.variant_id, low.available)).collect()
    };
    assert_eq!(low(LowStockSort::FewestFirst).await, [(mug, 5)]);

    assert_eq!(Sweep::TellLowStock.run(&services(&db, None)).await.unwrap(), 0);
    let services = services(&db, Some("shop@example.com"));
    // Two workers at once.
    let (one, other) = tokio::join!(Sweep::TellLowStock.run(&services), Sweep::TellLowStock.run(&services));
    assert_eq!(one.unwrap() + other.unwrap(), 1);
    let ids = |variants: &[VariantId]| serde_json::json!({ "variant_ids": variants, "further": 0 });
    assert_eq!(alerts(&db).await, [ids(&[mug])]);

    // What becomes low on the same day is told on the next, and only that.
    db.restock(cup, -6).await;
    assert_eq!(low(LowStockSort::FewestFirst).await, [(cup, 3), (mug, 5)]);
    assert_eq!(low(LowStockSort::MostFirst).await, [(mug, 5), (cup, 3)]);
    assert_eq!(low(LowStockSort::MissingMost).await, [(cup, 3), (mug, 5)]);
    assert_eq!(Sweep::TellLowStock.run(&services).await.unwrap(), 0);
    let day = Duration::from_secs(24 * 60 * 60);
    db.shift_clock(day).await;
    assert_eq!(Sweep::TellLowStock.run(&services).await.unwrap(), 1);
    assert_eq!(alerts(&db).await, [ids(&[mug]), ids(&[cup])]);
    // It is still low, and was told.
    db.shift_clock(2 * day).await;
    assert_eq!(Sweep::TellLowStock.run(&services).await.unwrap(), 0);
    // It is refilled, and becomes low once more.
    db.restock(mug, 20).await;
    assert_eq!(Sweep::TellLowStock.run(&services).await.unwrap(), 0);
    db.restock(mug, -21).await;
    assert_eq!(Sweep::TellLowStock.run(&services).await.unwrap(), 1);
    assert_eq!(alerts(&db).await.last(), Some(&ids(&[mug])));
    run_jobs(&db, &services).await;
    db.finish().await;
}

#[tokio::test]
async fn a_mail_lists_fifty_and_counts_the_others() {
    let db = TestDatabase::new().await;
    for units in 0..53 {
        let variant = db.variant(100, units % 3).await;
        inventory::set_low_stock_threshold(&mut *db.conn().await, variant, Some(3)).await.unwrap();
    }
    let services = services(&db, Some("shop@example.com"));
    Sweep::TellLowStock.run(&services).await.unwrap();
    let mails = alerts(&db).await;
    assert_eq!((mails.len(), mails[0]["variant_ids"].as_array().unwrap().len()), (1, 50));
    assert_eq!(mails[0]["further"], 3);
    db.shift_clock(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!(Sweep::TellLowStock.run(&services).await.unwrap(), 0);
    run_jobs(&db, &services).await;
    db.finish().await;
}

#[tokio::test]
async fn stock_is_told_as_it_was() {
    let db = TestDatabase::new().await;
    let far = location(&db, "far", None).await;
    let variant = db.variant(1250, 10).await;
    let conn = &mut db.conn().await;
    let as_of = async |time| -> BTreeMap<String, (i64, i64)> {
        let stock =
            inventory::find_variant_stock(&mut *db.conn().await, variant, time).await.unwrap().unwrap();
        let levels = stock.levels.into_iter();
        levels.map(|level| (level.location_code, (level.on_hand, level.reserved))).collect()
    };
    let before = db::current_time(conn).await.unwrap();
    db.shift_clock(Duration::from_secs(60)).await;
    db.order(&ShopSettings::default(), &[(variant, 2)]).await;
    transfer(&db, &moving(MAIN_LOCATION, far, &[(variant, 3)])).await.unwrap();
    let main = |on_hand, reserved| ("main".to_owned(), (on_hand, reserved));
    assert_eq!(as_of(Some(before)).await, BTreeMap::from([main(10, 0)]));
    let now = BTreeMap::from([main(7, 2), ("far".to_owned(), (3, 0))]);
    assert_eq!(as_of(None).await, now);
    assert_eq!(as_of(Some(db::current_time(conn).await.unwrap())).await, now);
    assert_eq!(as_of(Some(before - chrono::TimeDelta::days(1))).await, BTreeMap::new());
    assert_eq!(inventory::find_variant_stock(conn, VariantId::new(), None).await.unwrap(), None);

    let mut export = LedgerExport::new(None, MovementFilter { from: Some(before), ..Default::default() });
    let mut kinds = Vec::new();
    while let Some(entries) = export.next_entries(conn).await.unwrap() {
        kinds.extend(entries.into_iter().map(|entry| (entry.movement.kind, entry.location)));
    }
    let entry = |kind, code: &str| (kind, code.to_owned());
    let (reserve, transfer) = (MovementKind::Reserve, MovementKind::Transfer);
    assert_eq!(kinds, [entry(reserve, "main"), entry(transfer, "main"), entry(transfer, "far")]);
    db.finish().await;
}

#[tokio::test]
async fn drift_is_mended_where_it_is_certain_and_recorded() {
    let db = TestDatabase::new().await;
    let (mug, cup) = (db.variant(1250, 10).await, db.variant(1250, 5).await);
    db.order(&ShopSettings::default(), &[(mug, 2), (cup, 4)]).await;
    let conn = &mut db.conn().await;
    // Somebody changed levels, the ledger and nothing else.
    let by_hand = format!(
        "UPDATE commerce.stock_levels SET on_hand = 12, reserved = 5 WHERE variant_id = '{mug}';
         UPDATE commerce.stock_movements SET reserved_delta = 3 WHERE kind = 'reserve' AND variant_id = '{mug}';
         UPDATE commerce.stock_movements SET on_hand_delta = 3 WHERE kind = 'adjust' AND variant_id = '{cup}'"
    );
    conn.batch_execute(&by_hand).await.unwrap();
    let drifted = inventory::find_drift(conn, None).await.unwrap();
    let known: Vec<_> = drifted
        .iter()
        .map(|drift| {
            (drift.on_hand, drift.ledger_on_hand, drift.reserved, drift.ledger_reserved, drift.live_reserved)
        })
        .collect();
    assert_eq!(known, [(12, 10, 5, 3, 2), (5, 3, 4, 4, 4)]);
    assert_eq!(drifted.iter().map(|drift| drift.can_be_mended()).collect::<Vec<_>>(), [true, false]);

    let author = Author { origin: Origin::system(), role: None };
    for variant in [mug, cup] {
        let drifted = audit::repair_stock(conn, variant, &author).await.unwrap();
        assert_eq!(drifted.len(), 1);
    }
    assert_eq!(db.stock(mug).await, (10, 2));
    // Of the other, somebody has to count what is there.
    assert_eq!(db.stock(cup).await, (5, 4));
    let log = audit_log::list(conn, &Default::default(), Limit::default(), None).await.unwrap().data;
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].action.as_str(), log[0].actor.as_str()), ("audit_repair", "system"));
    assert_eq!(log[0].subject_id.as_deref(), Some(mug.to_string().as_str()));
    assert_eq!(log[0].before.as_ref().unwrap()["levels"][0]["on_hand"], 12);
    assert_eq!(log[0].after.as_ref().unwrap()["levels"][0]["on_hand"], 10);
    // Again it changes nothing.
    assert_eq!(audit::repair_stock(conn, mug, &author).await.unwrap(), []);
    conn.batch_execute(&format!(
        "UPDATE commerce.stock_movements SET on_hand_delta = 5 WHERE kind = 'adjust' AND variant_id = '{cup}'"
    ))
    .await
    .unwrap();
    db.finish().await;
}
