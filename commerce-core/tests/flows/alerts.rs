//! Alerts to the shop: one mail of a kind in an hour, which tells how many more there were.

use std::time::Duration;

use commerce_core::flows::{CancelledBy, cancel_order};
use commerce_core::payments::Outcome;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, email, guest_origin};
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::RunQueryDsl as _;

use crate::payments::{begin, settle, success};

#[derive(diesel::QueryableByName, Debug, PartialEq)]
struct Alert {
    #[diesel(sql_type = Text)]
    template: String,
    #[diesel(sql_type = BigInt)]
    more: i64,
    #[diesel(sql_type = Bool)]
    due: bool,
}

async fn alerts(db: &TestDatabase, template: &str) -> Vec<(i64, bool)> {
    let rows: Vec<Alert> = diesel::sql_query(
        "SELECT e.template, coalesce((e.data ->> 'more')::bigint, 0) AS more, bool_or(j.run_at <= commerce.clock()) AS due
         FROM commerce.emails e JOIN commerce.jobs j ON j.payload ->> 'email_id' = e.id::text
         WHERE e.recipient = 'shop@example.com' GROUP BY e.id ORDER BY e.id",
    )
    .load(&mut db.conn().await)
    .await
    .unwrap();
    assert!(rows.iter().all(|alert| alert.template == template), "{rows:?}");
    rows.into_iter().map(|alert| (alert.more, alert.due)).collect()
}

const FAILED: &str = "payment_failed_alert";

/// So many payments fail, each of an order of its own.
async fn fail(db: &TestDatabase, payments: usize) {
    let shop = ShopSettings { alert_email: Some(email("shop@example.com")), ..Default::default() };
    for _ in 0..payments {
        let variant = db.variant(1000, 1).await;
        let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
        let payment = begin(db, placed.order.id, owner, None).await;
        let declined = Outcome::Failed { reference: None, code: "card_declined".into() };
        // The same news again is none.
        for _ in 0..2 {
            settle(db, &shop, payment.id, declined.clone()).await;
        }
    }
}

/// Moves the shop's time to the beginning of an hour.
async fn next_hour(db: &TestDatabase, hours: i64) {
    let now = chrono::Utc::now().timestamp();
    let until = (now / 3600 + hours) * 3600 + 5 - now;
    db.shift_clock(Duration::from_secs(until.unsigned_abs())).await;
}

#[tokio::test]
async fn who_tries_many_cards_causes_one_mail_an_hour() {
    let db = TestDatabase::new().await;
    next_hour(&db, 1).await;
    fail(&db, 1).await;
    assert_eq!(alerts(&db, FAILED).await, [(0, true)]);
    fail(&db, 14).await;
    assert_eq!(
        alerts(&db, FAILED).await,
        [(0, true), (13, false)],
        "the second is told of in the next hour, with 13 more"
    );
    // The mail of this hour is the one that waited, so what fails now is told of in the hour after.
    next_hour(&db, 2).await;
    fail(&db, 3).await;
    assert_eq!(alerts(&db, FAILED).await, [(0, true), (13, false), (2, false)]);
    db.shift_clock(Duration::from_secs(24 * 3600)).await;
    assert_eq!(alerts(&db, FAILED).await, [(0, true), (13, true), (2, true)]);
    fail(&db, 1).await;
    assert_eq!(alerts(&db, FAILED).await, [(0, true), (13, true), (2, true), (0, true)]);
    db.discard().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_at_once_are_all_counted() {
    let db = TestDatabase::new().await;
    next_hour(&db, 1).await;
    futures_util::future::join_all((0..10).map(|_| fail(&db, 2))).await;
    assert_eq!(alerts(&db, FAILED).await, [(0, true), (18, false)]);
    db.finish().await;
}

#[tokio::test]
async fn late_payments_are_counted_like_all_that_alerts() {
    let db = TestDatabase::new().await;
    next_hour(&db, 1).await;
    let shop = ShopSettings { alert_email: Some(email("shop@example.com")), ..Default::default() };
    for _ in 0..5 {
        let variant = db.variant(1000, 1).await;
        let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
        let payment = begin(&db, placed.order.id, owner, None).await;
        let by = CancelledBy::Admin;
        cancel_order(&mut *db.conn().await, placed.order.id, by, &guest_origin()).await.unwrap();
        settle(&db, &shop, payment.id, success(&payment)).await;
    }
    assert_eq!(alerts(&db, "late_payment_alert").await, [(0, true), (3, false)]);
    db.finish().await;
}
