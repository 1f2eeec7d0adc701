//! Money in: several attempts, partial amounts, the same news twice, more than was due.

use commerce_core::cart::Owner;
use commerce_core::flows::{BeginPayment, BeginPaymentError, begin_payment, settle_payment};
use commerce_core::ids::{OrderId, PaymentId};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{self, OrderStatus, PaymentStatus};
use commerce_core::payments::{self, Capture, CaptureMethod, Outcome, Payment, ProviderName};
use commerce_core::request::Origin;
use commerce_core::schema::emails;
use commerce_core::settings::{PaymentFailurePolicy, ShopSettings};
use commerce_core::testing::{TestDatabase, guest_origin};
use diesel::{ExpressionMethods as _, QueryDsl as _, TextExpressionMethods as _};
use diesel_async::RunQueryDsl as _;

pub fn wish(order_id: OrderId, owner: Owner, amount_minor: Option<i64>) -> BeginPayment {
    BeginPayment {
        order_id,
        owner,
        provider: ProviderName::MOCK,
        amount: amount_minor.map(|amount_minor| Money::new(amount_minor, Currency::USD)),
        capture_method: CaptureMethod::Automatic,
        request: serde_json::json!({ "outcome": "succeed" }),
        request_key: rand::random(),
        origin: guest_origin(),
    }
}

pub async fn begin(db: &TestDatabase, order_id: OrderId, owner: Owner, amount_minor: Option<i64>) -> Payment {
    begin_payment(&mut *db.conn().await, wish(order_id, owner, amount_minor)).await.unwrap()
}

/// The provider took what it was asked to.
pub fn success(payment: &Payment) -> Outcome {
    captured(payment, Money::new(payment.amount_minor, payment.currency))
}

/// The provider took this.
pub fn captured(payment: &Payment, captured: Money) -> Outcome {
    Outcome::Succeeded(Capture::new(format!("test_{}", payment.id), captured))
}

pub async fn settle(
    db: &TestDatabase,
    shop: &ShopSettings,
    payment_id: PaymentId,
    outcome: Outcome,
) -> Payment {
    settle_payment(&mut *db.conn().await, shop, payment_id, outcome, &Origin::system()).await.unwrap()
}

pub async fn order(db: &TestDatabase, id: OrderId) -> orders::Order {
    orders::find(&mut *db.conn().await, id).await.unwrap().unwrap()
}

pub async fn timeline(db: &TestDatabase, id: OrderId) -> Vec<&'static str> {
    orders::events(&mut *db.conn().await, id).await.unwrap().iter().map(|event| event.kind.as_str()).collect()
}

#[tokio::test]
async fn two_part_payments_make_an_order_paid() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let id = placed.order.id;
    let first = begin(&db, id, owner, Some(400)).await;
    settle(&db, &shop, first.id, success(&first)).await;
    let halfway = order(&db, id).await;
    assert_eq!(
        (halfway.status, halfway.payment_status, halfway.due_minor()),
        (OrderStatus::PendingPayment, PaymentStatus::PartiallyPaid, 600)
    );
    let second = begin(&db, id, owner, None).await;
    assert_eq!(second.amount_minor, 600);
    settle(&db, &shop, second.id, success(&second)).await;
    let paid = order(&db, id).await;
    assert_eq!(
        (paid.status, paid.payment_status, paid.due_minor()),
        (OrderStatus::Paid, PaymentStatus::Paid, 0)
    );
    assert_eq!(
        timeline(&db, id).await,
        ["placed", "payment_started", "payment_succeeded", "payment_started", "payment_succeeded", "paid"]
    );
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_news_fifty_times_at_once_counts_once() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    let news: Vec<_> = (0..50)
        .map(|_| {
            let (pool, shop, id, news) = (db.pool().clone(), shop.clone(), payment.id, success(&payment));
            tokio::spawn(async move {
                settle_payment(&mut pool.get().await.unwrap(), &shop, id, news, &Origin::system()).await
            })
        })
        .collect();
    for told in news {
        told.await.unwrap().unwrap();
    }
    assert_eq!(order(&db, placed.order.id).await.paid_minor, 1000);
    let paid = timeline(&db, placed.order.id).await.iter().filter(|kind| **kind == "paid").count();
    assert_eq!(paid, 1);
    db.finish().await;
}

#[tokio::test]
async fn what_is_paid_beyond_the_total_is_promised_back_once() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let other = begin(&db, placed.order.id, owner, Some(700)).await;
    settle(&db, &shop, other.id, Outcome::Expired).await;
    let one = begin(&db, placed.order.id, owner, None).await;
    // The provider had taken the money of the attempt that it was asked to end.
    for payment in [&one, &other, &other] {
        settle(&db, &shop, payment.id, success(payment)).await;
    }
    let overpaid = order(&db, placed.order.id).await;
    assert_eq!((overpaid.status, overpaid.payment_status), (OrderStatus::Paid, PaymentStatus::Overpaid));
    let promised = payments::promised_by_payment(&mut *db.conn().await, placed.order.id).await.unwrap();
    assert_eq!(promised, [(other.id, 700)]);
    db.finish().await;
}

#[tokio::test]
async fn a_failed_attempt_keeps_the_order_or_cancels_it_as_the_shop_decides() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    for (policy, status, reserved) in [
        (PaymentFailurePolicy::Keep, OrderStatus::PendingPayment, 1),
        (PaymentFailurePolicy::Cancel, OrderStatus::Cancelled, 1),
    ] {
        let shop = ShopSettings { payment_failure: policy, ..Default::default() };
        let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
        let payment = begin(&db, placed.order.id, owner, None).await;
        let declined = Outcome::Failed { reference: None, code: "card_declined".into() };
        let failed = settle(&db, &shop, payment.id, declined).await;
        assert_eq!(failed.failure_code.as_deref(), Some("card_declined"));
        assert_eq!(order(&db, placed.order.id).await.status, status);
        assert_eq!(
            db.stock(variant).await,
            (5, reserved),
            "the first order's unit stays reserved, the second's came back"
        );
        // Once for the order, however often it is tried; a cancelled one has its own mail.
        if policy == PaymentFailurePolicy::Keep {
            let payment = begin(&db, placed.order.id, owner, None).await;
            let declined = Outcome::Failed { reference: None, code: "card_declined".into() };
            settle(&db, &shop, payment.id, declined).await;
        }
        let template = if status == OrderStatus::Cancelled { "order_cancelled" } else { "payment_failed" };
        let told: Vec<String> = emails::table
            .filter(emails::template.eq_any(["payment_failed", "order_cancelled"]))
            .filter(emails::dedupe_key.like(format!("%{}%", placed.order.id)))
            .select(emails::template)
            .load(&mut *db.conn().await)
            .await
            .unwrap();
        assert_eq!(told, [template]);
    }
    db.finish().await;
}

#[tokio::test]
async fn an_amount_that_is_not_due_is_refused() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let id = placed.order.id;
    let mut conn = db.conn().await;
    for wrong in [0, -5, 1001] {
        let refused = begin_payment(&mut conn, wish(id, owner, Some(wrong))).await;
        assert!(matches!(refused, Err(BeginPaymentError::AmountOutOfRange { .. })), "{wrong}: {refused:?}");
    }
    let mut yen = wish(id, owner, None);
    yen.amount = Some(Money::new(1000, Currency::JPY));
    assert!(matches!(begin_payment(&mut conn, yen).await, Err(BeginPaymentError::CurrencyMismatch { .. })));
    let stranger = commerce_core::testing::guest();
    assert!(matches!(
        begin_payment(&mut conn, wish(id, stranger, None)).await,
        Err(BeginPaymentError::OrderNotFound)
    ));
    db.shift_clock(shop.order_ttl).await;
    assert!(matches!(begin_payment(&mut conn, wish(id, owner, None)).await, Err(BeginPaymentError::Expired)));
    drop(conn);
    db.finish().await;
}

#[tokio::test]
async fn the_same_request_resumes_its_attempt() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let request = wish(placed.order.id, owner, None);
    let mut conn = db.conn().await;
    let first = begin_payment(&mut conn, request.clone()).await.unwrap();
    let second = begin_payment(&mut conn, request).await.unwrap();
    assert_eq!(first.id, second.id);
    drop(conn);
    db.finish().await;
}

#[tokio::test]
async fn an_order_over_nothing_is_paid_when_it_is_placed() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(0, 5).await;
    let (_, placed) = db.order(&shop, &[(variant, 2)]).await;
    assert_eq!((placed.order.status, placed.order.payment_status), (OrderStatus::Paid, PaymentStatus::Paid));
    assert_eq!(timeline(&db, placed.order.id).await, ["placed", "paid"]);
    db.finish().await;
}
