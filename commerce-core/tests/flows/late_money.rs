//! Money that comes after its order was cancelled.

use std::sync::Arc;

use commerce_core::flows::{CancelledBy, cancel_order, expire_orders, run_refund};
use commerce_core::jobs::{self, Job as _, kinds::RefundPayment};
use commerce_core::orders::{CancelReason, OrderStatus, PaymentStatus};
use commerce_core::payments::{MockProvider, PaymentProvider, Providers};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, email, guest_origin};
use diesel_async::RunQueryDsl as _;

use crate::payments::{begin, order, settle, success, timeline};

fn mock() -> Providers {
    Providers::new([Arc::new(MockProvider::new("http://localhost")) as Arc<dyn PaymentProvider>])
}

/// Does all refund jobs that are due, as a worker would.
pub async fn run_refunds(db: &TestDatabase) -> usize {
    let lease = std::time::Duration::from_secs(60);
    let claimed =
        jobs::claim(&mut *db.conn().await, "test", &[RefundPayment::KIND], 100, lease).await.unwrap();
    for job in &claimed {
        let RefundPayment { refund_id } = serde_json::from_value(job.payload.clone()).unwrap();
        run_refund(db.pool(), &ShopSettings::default(), &mock(), refund_id, job.lease()).await.unwrap();
    }
    claimed.len()
}

#[tokio::test]
async fn a_late_payment_brings_an_expired_order_back_while_its_stock_is_there() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 2).await;
    let (owner, placed) = db.order(&shop, &[(variant, 2)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    db.shift_clock(shop.order_ttl).await;
    expire_orders(db.pool(), &shop, &mock(), 100).await.unwrap();
    settle(&db, &shop, payment.id, success(&payment)).await;
    let back = order(&db, placed.order.id).await;
    assert_eq!((back.status, back.cancel_reason, back.stock_released_at), (OrderStatus::Paid, None, None));
    assert_eq!(db.stock(variant).await, (2, 2));
    assert!(timeline(&db, placed.order.id).await.ends_with(&["payment_succeeded", "reinstated", "paid"]));
    db.finish().await;
}

#[tokio::test]
async fn an_order_that_came_back_and_is_cancelled_again_is_told_of_again() {
    use diesel::sql_types::BigInt;
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 1).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    db.shift_clock(shop.order_ttl).await;
    expire_orders(db.pool(), &shop, &mock(), 100).await.unwrap();
    settle(&db, &shop, payment.id, success(&payment)).await;
    cancel_order(&mut *db.conn().await, placed.order.id, CancelledBy::Admin, &guest_origin()).await.unwrap();
    let told = "SELECT count(*) FROM commerce.emails WHERE template = 'order_cancelled'";
    let told = diesel::dsl::sql::<BigInt>(&format!("({told})"));
    let told: i64 = diesel::select(told).get_result(&mut *db.conn().await).await.unwrap();
    assert_eq!(told, 2);
    assert_eq!(run_refunds(&db).await, 1);
    db.finish().await;
}

#[tokio::test]
async fn a_late_payment_goes_back_exactly_once_when_the_stock_is_gone() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings { alert_email: Some(email("shop@example.com")), ..Default::default() };
    let variant = db.variant(1000, 1).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    db.shift_clock(shop.order_ttl).await;
    expire_orders(db.pool(), &shop, &mock(), 100).await.unwrap();
    db.order(&shop, &[(variant, 1)]).await;
    for _ in 0..3 {
        settle(&db, &shop, payment.id, success(&payment)).await;
    }
    let events = timeline(&db, placed.order.id).await;
    assert!(
        events.ends_with(&["payment_succeeded", "reinstatement_refused", "refund_requested"]),
        "{events:?}"
    );
    assert_eq!(run_refunds(&db).await, 1);
    assert_eq!(run_refunds(&db).await, 0);
    let refunded = order(&db, placed.order.id).await;
    assert_eq!((refunded.status, refunded.payment_status), (OrderStatus::Cancelled, PaymentStatus::Refunded));
    db.finish().await;
}

#[tokio::test]
async fn a_part_payment_goes_back_when_its_order_expires() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 1).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let part = begin(&db, placed.order.id, owner, Some(300)).await;
    settle(&db, &shop, part.id, success(&part)).await;
    let rest = begin(&db, placed.order.id, owner, None).await;
    db.shift_clock(shop.order_ttl).await;
    expire_orders(db.pool(), &shop, &mock(), 100).await.unwrap();
    assert_eq!(run_refunds(&db).await, 1);
    // The rest comes late: what was given back does not cover the order, so the rest goes back as well.
    settle(&db, &shop, rest.id, success(&rest)).await;
    assert_eq!(run_refunds(&db).await, 1);
    let ended = order(&db, placed.order.id).await;
    assert_eq!((ended.status, ended.paid_minor, ended.refunded_minor), (OrderStatus::Cancelled, 1000, 1000));
    assert_eq!(db.stock(variant).await, (1, 0));
    db.finish().await;
}

#[tokio::test]
async fn an_order_that_its_customer_cancelled_does_not_come_back() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 1).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    let by = CancelledBy::Customer(owner.into());
    let cancelled = cancel_order(&mut *db.conn().await, placed.order.id, by, &guest_origin()).await.unwrap();
    assert_eq!(cancelled.cancel_reason, Some(CancelReason::Customer));
    settle(&db, &shop, payment.id, success(&payment)).await;
    assert_eq!(run_refunds(&db).await, 1);
    assert_eq!(order(&db, placed.order.id).await.status, OrderStatus::Cancelled);
    assert_eq!(db.stock(variant).await, (1, 0));
    db.finish().await;
}

#[tokio::test]
async fn a_paid_order_that_is_cancelled_gives_all_its_money_back() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 1).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    settle(&db, &shop, payment.id, success(&payment)).await;
    cancel_order(&mut *db.conn().await, placed.order.id, CancelledBy::Admin, &guest_origin()).await.unwrap();
    assert_eq!(run_refunds(&db).await, 1);
    let ended = order(&db, placed.order.id).await;
    assert_eq!((ended.payment_status, ended.refunded_minor), (PaymentStatus::Refunded, 1000));
    assert_eq!(db.stock(variant).await, (1, 0));
    db.finish().await;
}
