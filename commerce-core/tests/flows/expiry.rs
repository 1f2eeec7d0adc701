//! Orders that were not paid in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use commerce_core::audit;
use commerce_core::flows::expire_orders;
use commerce_core::ids::OrderId;
use commerce_core::orders::{CancelReason, OrderStatus};
use commerce_core::payments::{
    AttemptStatus, Invoice, MockProvider, Outcome, Payment, PaymentProvider, ProviderError, ProviderName,
    Providers, Refund, RefundOutcome, RequiredAction,
};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use diesel_async::SimpleAsyncConnection as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::payments::{begin, order, settle, success, timeline};

fn mock() -> Providers {
    Providers::new([Arc::new(MockProvider::new("http://localhost")) as Arc<dyn PaymentProvider>])
}

/// A provider whose answer the test chooses, and how often it was asked to expire an attempt.
struct Answering(Result<Outcome, ProviderError>, Arc<AtomicUsize>);

impl PaymentProvider for Answering {
    fn name(&self) -> ProviderName {
        ProviderName::MOCK
    }

    fn check_request(&self, _: &serde_json::Value) -> Result<(), String> {
        Ok(())
    }

    fn start<'a>(&'a self, _: &'a Payment, _: &'a Invoice) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async { self.0.clone() }.boxed()
    }

    fn confirm<'a>(
        &'a self,
        _: &'a Payment,
        _: &'a serde_json::Value,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async { self.0.clone() }.boxed()
    }

    fn expire<'a>(&'a self, _: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        async { self.0.clone() }.boxed()
    }

    fn attempt_status<'a>(&'a self, _: &'a Payment) -> BoxFuture<'a, Result<Option<Outcome>, ProviderError>> {
        async { self.0.clone().map(Some) }.boxed()
    }

    fn refund<'a>(
        &'a self,
        _: &'a Payment,
        _: &'a Refund,
    ) -> BoxFuture<'a, Result<RefundOutcome, ProviderError>> {
        async { Ok(RefundOutcome::Succeeded { reference: "refund".into() }) }.boxed()
    }

    fn refund_status<'a>(
        &'a self,
        _: &'a Payment,
        _: &'a Refund,
    ) -> BoxFuture<'a, Result<Option<RefundOutcome>, ProviderError>> {
        async { Ok(Some(RefundOutcome::Succeeded { reference: "refund".into() })) }.boxed()
    }
}

fn answering(answer: Result<Outcome, ProviderError>) -> Providers {
    counting(answer).0
}

fn counting(answer: Result<Outcome, ProviderError>) -> (Providers, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    (Providers::new([Arc::new(Answering(answer, Arc::clone(&asked))) as Arc<dyn PaymentProvider>]), asked)
}

/// From now on, every change of this order fails.
async fn poison(db: &TestDatabase, id: OrderId) {
    let refuse = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'this order is poisonous'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON commerce.orders FOR EACH ROW
             WHEN (OLD.id = '{id}') EXECUTE FUNCTION refuse();"
    );
    db.conn().await.batch_execute(&refuse).await.unwrap();
}

#[tokio::test]
async fn an_unpaid_order_expires_on_time_and_its_stock_comes_back() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (_, placed) = db.order(&shop, &[(variant, 3)]).await;
    db.shift_clock(shop.order_ttl - Duration::from_secs(30)).await;
    assert_eq!(expire_orders(db.pool(), &shop, &mock(), 100).await.unwrap(), 0);
    db.shift_clock(shop.order_ttl).await;
    assert_eq!(expire_orders(db.pool(), &shop, &mock(), 100).await.unwrap(), 1);
    let expired = order(&db, placed.order.id).await;
    assert_eq!(
        (expired.status, expired.cancel_reason),
        (OrderStatus::Cancelled, Some(CancelReason::Expired))
    );
    assert!(expired.stock_released_at.is_some());
    assert_eq!(db.stock(variant).await, (5, 0));
    assert_eq!(timeline(&db, placed.order.id).await, ["placed", "cancelled", "stock_released"]);
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sweeps_at_once_cancel_each_order_once() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 100).await;
    for _ in 0..20 {
        db.order(&shop, &[(variant, 1)]).await;
    }
    db.shift_clock(shop.order_ttl).await;
    let sweeps: Vec<_> = (0..4)
        .map(|_| {
            let (pool, shop) = (db.pool().clone(), shop.clone());
            tokio::spawn(async move { expire_orders(&pool, &shop, &mock(), 100).await.unwrap() })
        })
        .collect();
    let mut cancelled = 0;
    for sweep in sweeps {
        cancelled += sweep.await.unwrap();
    }
    assert_eq!(cancelled, 20);
    assert_eq!(db.stock(variant).await, (100, 0));
    db.finish().await;
}

#[tokio::test]
async fn an_open_attempt_is_expired_at_its_provider_first() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    let action = RequiredAction::Redirect { url: "http://localhost".into() };
    settle(&db, &shop, payment.id, Outcome::RequiresAction { reference: "r".into(), action }).await;
    db.shift_clock(shop.order_ttl).await;

    let away = ProviderError::unreachable(ProviderName::MOCK, "timed out");
    assert_eq!(expire_orders(db.pool(), &shop, &answering(Err(away.clone())), 100).await.unwrap(), 0);
    assert_eq!(
        order(&db, placed.order.id).await.status,
        OrderStatus::PendingPayment,
        "it waits for the provider"
    );

    db.shift_clock(shop.order_ttl + Duration::from_secs(2)).await;
    assert_eq!(expire_orders(db.pool(), &shop, &mock(), 100).await.unwrap(), 1);
    assert_eq!(
        timeline(&db, placed.order.id).await,
        ["placed", "payment_started", "payment_expired", "cancelled", "stock_released"]
    );
    db.finish().await;
}

#[tokio::test]
async fn a_provider_that_stays_away_does_not_keep_the_stock_for_ever() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    db.shift_clock(shop.order_ttl + shop.provider_grace).await;
    let away = ProviderError::unreachable(ProviderName::MOCK, "timed out");
    assert_eq!(expire_orders(db.pool(), &shop, &answering(Err(away)), 100).await.unwrap(), 1);
    assert_eq!(db.stock(variant).await, (5, 0));
    // And if money comes after all, the order comes back.
    let late = settle(&db, &shop, payment.id, success(&payment)).await;
    assert_eq!(late.status, AttemptStatus::Succeeded);
    assert_eq!(order(&db, placed.order.id).await.status, OrderStatus::Paid);
    db.finish().await;
}

#[tokio::test]
async fn an_attempt_that_turns_out_paid_saves_the_order() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    db.shift_clock(shop.order_ttl).await;
    let paid = answering(Ok(success(&payment)));
    assert_eq!(expire_orders(db.pool(), &shop, &paid, 100).await.unwrap(), 0);
    assert_eq!(order(&db, placed.order.id).await.status, OrderStatus::Paid);
    assert_eq!(db.stock(variant).await, (5, 1));
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_racing_payment_ends_in_one_of_two_good_states() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 40).await;
    let mut racing = Vec::new();
    for _ in 0..20 {
        let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
        racing.push((placed.order.id, begin(&db, placed.order.id, owner, None).await));
    }
    db.shift_clock(shop.order_ttl).await;
    let (pool, sweep_shop) = (db.pool().clone(), shop.clone());
    let sweep = tokio::spawn(async move { expire_orders(&pool, &sweep_shop, &mock(), 100).await.unwrap() });
    let payments: Vec<_> = racing
        .iter()
        .map(|(_, payment)| {
            let (pool, shop, id, news) = (db.pool().clone(), shop.clone(), payment.id, success(payment));
            tokio::spawn(async move {
                let origin = commerce_core::request::Origin::system();
                let conn = &mut *pool.get().await.unwrap();
                commerce_core::flows::settle_payment(conn, &shop, id, news, &origin).await.unwrap();
            })
        })
        .collect();
    for payment in payments {
        payment.await.unwrap();
    }
    sweep.await.unwrap();
    for (order_id, _) in racing {
        assert_eq!(
            order(&db, order_id).await.status,
            OrderStatus::Paid,
            "in time or reinstated: {:?}",
            timeline(&db, order_id).await
        );
    }
    assert_eq!(db.stock(variant).await, (40, 20));
    db.finish().await;
}

#[tokio::test]
async fn a_provider_that_is_away_does_not_hold_up_other_orders() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, stuck) = db.order(&shop, &[(variant, 1)]).await;
    begin(&db, stuck.order.id, owner, None).await;
    let (_, free) = db.order(&shop, &[(variant, 1)]).await;
    db.shift_clock(shop.order_ttl).await;
    let away = ProviderError::unreachable(ProviderName::MOCK, "timed out");
    // Room for one order a sweep: the one that waits longest is the one that is stuck.
    assert_eq!(expire_orders(db.pool(), &shop, &answering(Err(away)), 1).await.unwrap(), 1);
    assert_eq!(order(&db, stuck.order.id).await.status, OrderStatus::PendingPayment);
    assert_eq!(order(&db, free.order.id).await.status, OrderStatus::Cancelled);
    db.finish().await;
}

#[tokio::test]
async fn an_order_that_cannot_be_cancelled_stops_no_other() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (_, poisonous) = db.order(&shop, &[(variant, 1)]).await;
    poison(&db, poisonous.order.id).await;
    for _ in 0..2 {
        db.order(&shop, &[(variant, 1)]).await;
    }
    db.shift_clock(shop.order_ttl).await;
    // The oldest order fails, and fills the whole first batch.
    assert_eq!(expire_orders(db.pool(), &shop, &mock(), 1).await.unwrap(), 2);
    assert_eq!(order(&db, poisonous.order.id).await.status, OrderStatus::PendingPayment);
    assert_eq!(db.stock(variant).await, (5, 1));

    assert!(audit::verify(&mut *db.conn().await).await.unwrap().is_empty());
    db.shift_clock(shop.order_ttl + Duration::from_secs(11 * 60)).await;
    let breaches = audit::verify(&mut *db.conn().await).await.unwrap();
    let [breach]: [audit::Breach; 1] = breaches.try_into().unwrap();
    assert_eq!((breach.invariant.as_str(), breach.subject), ("I5", format!("orders {}", poisonous.order.id)));
    db.discard().await;
}

#[tokio::test]
async fn an_order_with_an_attempt_that_cannot_be_cancelled_stops_no_other() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let mut placed = Vec::new();
    for _ in 0..3 {
        let (owner, order) = db.order(&shop, &[(variant, 1)]).await;
        begin(&db, order.order.id, owner, None).await;
        placed.push(order.order.id);
    }
    poison(&db, placed[0]).await;
    db.shift_clock(shop.order_ttl).await;
    assert_eq!(expire_orders(db.pool(), &shop, &mock(), 100).await.unwrap(), 2);
    assert_eq!(order(&db, placed[0]).await.status, OrderStatus::PendingPayment);
    assert_eq!(db.stock(variant).await, (5, 1));
    db.finish().await;
}

#[tokio::test]
async fn a_provider_that_is_away_is_asked_after_growing_delays_by_all_together() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    begin(&db, placed.order.id, owner, None).await;
    let (away, asked) = counting(Err(ProviderError::unreachable(ProviderName::MOCK, "timed out")));
    // Two processes look at this time after the order's end. Returns how often both asked together.
    let asked_at = async |late: u64| {
        db.shift_clock(shop.order_ttl + Duration::from_secs(late)).await;
        let look = || expire_orders(db.pool(), &shop, &away, 100);
        let (one, other) = tokio::join!(look(), look());
        assert_eq!((one.unwrap(), other.unwrap()), (0, 0));
        asked.swap(0, Ordering::Relaxed)
    };
    let mut in_a_minute = 0;
    for late in 0..60 {
        in_a_minute += asked_at(late).await;
    }
    // After 0, 1, 2, 4, 8, 16 and 32 seconds, or 0, 1, 3, 7, 15 and 31.
    assert!((6..=7).contains(&in_a_minute), "{in_a_minute}");
    let mut in_a_quarter = 0;
    for late in (1800..2700).step_by(30) {
        in_a_quarter += asked_at(late).await;
    }
    assert!((3..=4).contains(&in_a_quarter), "every five minutes: {in_a_quarter}");

    // The last delay ends with the grace.
    assert_eq!(asked_at(3590).await, 1);
    db.shift_clock(shop.order_ttl + shop.provider_grace).await;
    assert_eq!(expire_orders(db.pool(), &shop, &away, 100).await.unwrap(), 1);
    db.finish().await;
}

#[tokio::test]
async fn an_order_does_not_wait_for_a_provider_that_refuses() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    begin(&db, placed.order.id, owner, None).await;
    db.shift_clock(shop.order_ttl).await;
    let refused = answering(Err(ProviderError::refused(ProviderName::MOCK, "no such attempt")));
    assert_eq!(expire_orders(db.pool(), &shop, &refused, 100).await.unwrap(), 1);
    assert_eq!(
        timeline(&db, placed.order.id).await,
        ["placed", "payment_started", "payment_expired", "cancelled", "stock_released"]
    );
    db.finish().await;
}
