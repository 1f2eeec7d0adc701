//! Several attempts to pay one order: together they never take more than what is due.

use commerce_core::cart::Owner;
use commerce_core::flows::{
    BeginPayment, BeginPaymentError, SupersedeAttemptsError, begin_payment, supersede_attempts,
};
use commerce_core::ids::OrderId;
use commerce_core::orders::OrderStatus;
use commerce_core::payments::limits::ATTEMPTS_MAX;
use commerce_core::payments::{
    self, AttemptStatus, MockProvider, Outcome, Payment, PaymentProvider as _, Providers,
};
use commerce_core::request::Origin;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

use crate::payments::{begin, order, settle, wish};

fn mock() -> MockProvider {
    MockProvider::new("http://localhost")
}

fn providers() -> Providers {
    Providers::new([Arc::new(mock()) as Arc<dyn payments::PaymentProvider>])
}

/// An attempt that waits for its shopper.
async fn redirected(db: &TestDatabase, shop: &ShopSettings, id: OrderId, owner: Owner) -> Payment {
    let request = BeginPayment { request: json!({ "outcome": "require_action" }), ..wish(id, owner, None) };
    let payment = begin_payment(&mut *db.conn().await, request).await.unwrap();
    let outcome = mock().start(&payment, &db.invoice(&payment).await).await.unwrap();
    settle(db, shop, payment.id, outcome).await
}

async fn supersede(
    db: &TestDatabase,
    shop: &ShopSettings,
    id: OrderId,
) -> Result<(), SupersedeAttemptsError> {
    supersede_attempts(db.pool(), shop, &providers(), id, &Origin::system()).await
}

#[tokio::test]
async fn what_is_being_paid_counts_as_well_as_what_is_paid() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let id = placed.order.id;
    begin(&db, id, owner, Some(400)).await;
    let refused = begin_payment(&mut *db.conn().await, wish(id, owner, Some(601))).await;
    assert!(matches!(refused, Err(BeginPaymentError::UnderWay)), "{refused:?}");
    assert_eq!(begin(&db, id, owner, None).await.amount_minor, 600, "the rest by default");
    let refused = begin_payment(&mut *db.conn().await, wish(id, owner, None)).await;
    assert!(matches!(refused, Err(BeginPaymentError::UnderWay)), "{refused:?}");
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn six_clicks_at_once_begin_one_payment() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let id = placed.order.id;
    let clicks: Vec<_> = (0..6)
        .map(|_| {
            let pool = db.pool().clone();
            tokio::spawn(async move {
                begin_payment(&mut pool.get().await.unwrap(), wish(id, owner, None)).await.is_ok()
            })
        })
        .collect();
    let mut begun = 0;
    for click in clicks {
        begun += usize::from(click.await.unwrap());
    }
    assert_eq!(begun, 1);
    let refused = supersede(&db, &shop, id).await;
    assert!(matches!(refused, Err(SupersedeAttemptsError::UnderWay)), "its provider is being asked");
    db.finish().await;
}

#[tokio::test]
async fn an_abandoned_attempt_makes_room_for_another_and_cannot_succeed_any_more() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let id = placed.order.id;
    let abandoned = redirected(&db, &shop, id, owner).await;
    supersede(&db, &shop, id).await.unwrap();
    let second = begin(&db, id, owner, None).await;
    let abandoned = payments::find(&mut *db.conn().await, abandoned.id).await.unwrap().unwrap();
    assert_eq!(abandoned.status, AttemptStatus::Expired);
    assert_eq!(mock().confirm(&abandoned, &serde_json::Value::Null).await.unwrap(), Outcome::Expired);
    settle(&db, &shop, second.id, crate::payments::success(&second)).await;
    let paid = order(&db, id).await;
    assert_eq!((paid.status, paid.paid_minor), (OrderStatus::Paid, 1000));
    db.finish().await;
}

#[tokio::test]
async fn an_attempt_whose_process_died_is_asked_about_before_another_begins() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let id = placed.order.id;
    let mock = mock();
    let lossy = json!({ "outcome": "succeed", "lose_answers": true });
    let request = BeginPayment { request: lossy, ..wish(id, owner, None) };
    let payment = begin_payment(&mut *db.conn().await, request).await.unwrap();
    mock.start(&payment, &db.invoice(&payment).await).await.unwrap_err();
    db.shift_clock(Duration::from_secs(31)).await;
    let providers = Providers::new([Arc::new(mock) as Arc<dyn payments::PaymentProvider>]);
    supersede_attempts(db.pool(), &shop, &providers, id, &Origin::system()).await.unwrap();
    let paid = order(&db, id).await;
    assert_eq!((paid.status, paid.paid_minor), (OrderStatus::Paid, 1000), "the first had gone through");
    let refused = begin_payment(&mut *db.conn().await, wish(id, owner, None)).await;
    assert!(matches!(refused, Err(BeginPaymentError::NotPayable(OrderStatus::Paid))), "{refused:?}");
    db.finish().await;
}

#[tokio::test]
async fn an_order_has_so_many_attempts_and_no_more() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let id = placed.order.id;
    for _ in 0..ATTEMPTS_MAX {
        let payment = begin(&db, id, owner, None).await;
        let declined = Outcome::Failed { reference: None, code: "card_declined".into() };
        settle(&db, &shop, payment.id, declined).await;
    }
    let refused = begin_payment(&mut *db.conn().await, wish(id, owner, None)).await;
    assert!(matches!(refused, Err(BeginPaymentError::TooManyAttempts)), "{refused:?}");
    db.finish().await;
}
