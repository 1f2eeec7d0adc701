//! Money that came in without a provider, and how it goes back.

use commerce_core::flows::{
    CancelledBy, ManualPayment, ManualPaymentError, RefundAmount, RefundOf, RetryRefundError, StaffRefund,
    cancel_order, expire_orders, record_manual_payment, refund_by_staff, retry_refund, settle_refund_by_hand,
};
use commerce_core::ids::OrderId;
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{OrderStatus, PaymentStatus};
use commerce_core::page::Limit;
use commerce_core::payments::{self, AttemptStatus, Payment, Providers, RefundStatus, list_refunds};
use commerce_core::request::Origin;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, email, guest_origin};
use diesel_async::RunQueryDsl as _;

use crate::payments::{begin, order, settle, success, timeline};
use crate::staff_refunds::{author, run_refunds};

fn received(order_id: OrderId, amount_minor: Option<i64>) -> ManualPayment {
    ManualPayment {
        order_id,
        amount: amount_minor.map(|amount_minor| Money::new(amount_minor, Currency::USD)),
        reference: "transfer 4711".to_owned(),
        received_at: None,
        author: author(),
    }
}

async fn record(
    db: &TestDatabase,
    shop: &ShopSettings,
    wish: ManualPayment,
) -> Result<Payment, ManualPaymentError> {
    record_manual_payment(&mut *db.conn().await, shop, wish).await
}

async fn mails(db: &TestDatabase, template: &str) -> usize {
    let rows = format!("SELECT 1 FROM commerce.emails WHERE template = '{template}'");
    diesel::sql_query(rows).execute(&mut db.conn().await).await.unwrap()
}

#[tokio::test]
async fn an_order_of_nobody_is_paid_in_parts() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let placed = db.staff_order(&shop, None, &[(variant, 1)]).await;
    for wrong in [-5, 0, 1001] {
        let refused = record(&db, &shop, received(placed.id, Some(wrong))).await;
        assert!(matches!(refused, Err(ManualPaymentError::AmountOutOfRange { .. })), "{refused:?}");
    }
    let mut wish = received(placed.id, None);
    wish.reference = " \n".to_owned();
    assert!(matches!(record(&db, &shop, wish).await, Err(ManualPaymentError::NoReference)));
    let mut wish = received(placed.id, None);
    wish.received_at = Some(chrono::Utc::now() + chrono::Duration::days(1));
    assert!(matches!(record(&db, &shop, wish).await, Err(ManualPaymentError::InFuture)));

    // The same reference twice is in order: people write "cash".
    let part = record(&db, &shop, received(placed.id, Some(400))).await.unwrap();
    assert_eq!(
        (part.status, part.captured_minor, part.provider.as_str()),
        (AttemptStatus::Succeeded, 400, "manual")
    );
    let refused = record(&db, &shop, received(placed.id, Some(601))).await;
    assert!(matches!(refused, Err(ManualPaymentError::AmountOutOfRange { .. })), "{refused:?}");
    let rest = record(&db, &shop, received(placed.id, None)).await.unwrap();
    assert_eq!(rest.captured_minor, 600);
    let paid = order(&db, placed.id).await;
    assert_eq!((paid.status, paid.payment_status), (OrderStatus::Paid, PaymentStatus::Paid));
    let events = timeline(&db, placed.id).await;
    assert!(events.ends_with(&["payment_started", "payment_succeeded", "paid"]), "{events:?}");
    assert_eq!(mails(&db, "order_confirmed").await, 1);
    let refused = record(&db, &shop, received(placed.id, None)).await;
    assert!(matches!(refused, Err(ManualPaymentError::NothingDue(OrderStatus::Paid))), "{refused:?}");
    db.finish().await;
}

#[tokio::test]
async fn a_manual_payment_brings_an_expired_order_back_or_has_to_be_paid_back() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings { alert_email: Some(email("shop@example.com")), ..Default::default() };
    let variant = db.variant(1000, 1).await;
    let (_, placed) = db.order(&shop, &[(variant, 1)]).await;
    let id = placed.order.id;
    db.shift_clock(shop.order_ttl).await;
    expire_orders(db.pool(), &shop, &Providers::default(), 100).await.unwrap();
    record(&db, &shop, received(id, None)).await.unwrap();
    assert_eq!(order(&db, id).await.status, OrderStatus::Paid);
    assert_eq!(db.stock(variant).await, (1, 1));

    // Whoever cancels it now has to pay it back.
    cancel_order(&mut *db.conn().await, id, CancelledBy::Admin, &guest_origin()).await.unwrap();
    let (_, other) = db.order(&shop, &[(variant, 1)]).await;
    let by = CancelledBy::Admin;
    cancel_order(&mut *db.conn().await, other.order.id, by, &guest_origin()).await.unwrap();
    record(&db, &shop, received(other.order.id, None)).await.unwrap();
    assert_eq!(
        order(&db, other.order.id).await.status,
        OrderStatus::Cancelled,
        "it was cancelled on purpose"
    );
    assert_eq!(run_refunds(&db, &shop).await, 2);
    assert_eq!(run_refunds(&db, &shop).await, 0, "nobody is asked again");
    assert_eq!(mails(&db, "refund_by_hand_alert").await, 2, "the second one is told of in the next hour");
    let by_hand = "late_payment_alert' AND data ->> 'by_hand' = 'true";
    assert_eq!(mails(&db, by_hand).await, 1, "nobody but staff sends it back");
    let breaches = commerce_core::audit::verify(&mut *db.conn().await).await.unwrap();
    assert_eq!(breaches, []);
    let waiting =
        list_refunds(&mut *db.conn().await, Some(RefundStatus::Pending), Limit::default(), None).await;
    for (refund, _) in waiting.unwrap().data {
        let retried = retry_refund(&mut *db.conn().await, refund.id, &Origin::system()).await;
        assert!(matches!(retried, Err(RetryRefundError::ByHand)), "{retried:?}");
        settle_refund_by_hand(&mut *db.conn().await, refund.id, "sent", &Origin::system()).await.unwrap();
    }
    for id in [id, other.order.id] {
        assert_eq!(order(&db, id).await.payment_status, PaymentStatus::Refunded);
    }
    assert_eq!(mails(&db, "payment_refunded").await, 2);
    db.finish().await;
}

#[tokio::test]
async fn a_refund_by_hand_does_not_wait_for_its_job() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let placed = db.staff_order(&shop, None, &[(variant, 1)]).await;
    let payment = record(&db, &shop, received(placed.id, None)).await.unwrap();
    let wish = StaffRefund {
        of: RefundOf::Payment(payment.id),
        amount: RefundAmount::Rest,
        restock: false,
        note: None,
        author: author(),
    };
    let refund = refund_by_staff(&mut *db.conn().await, wish).await.unwrap().remove(0);
    settle_refund_by_hand(&mut *db.conn().await, refund.id, "cash", &Origin::system()).await.unwrap();
    assert_eq!(run_refunds(&db, &shop).await, 1);
    assert_eq!(order(&db, placed.id).await.refunded_minor, 1000);
    db.finish().await;
}

/// The money of a provider and money by hand at the same instant: what is too much goes back.
#[tokio::test(flavor = "multi_thread")]
async fn two_payments_at_the_same_instant_keep_no_more_than_the_total() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 50).await;
    for _ in 0..10 {
        let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
        let id = placed.order.id;
        let attempt = begin(&db, id, owner, Some(700)).await;
        let by_hand = {
            let (pool, shop) = (db.pool().clone(), shop.clone());
            tokio::spawn(async move {
                record_manual_payment(&mut pool.get().await.unwrap(), &shop, received(id, Some(700))).await
            })
        };
        settle(&db, &shop, attempt.id, success(&attempt)).await;
        match by_hand.await.unwrap() {
            Ok(_) | Err(ManualPaymentError::AmountOutOfRange { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        let order = order(&db, id).await;
        let promised = payments::promised_by_payment(&mut *db.conn().await, id).await.unwrap();
        let promised: i64 = promised.iter().map(|(_, amount_minor)| amount_minor).sum();
        assert_eq!(order.paid_minor - promised, order.paid_minor.min(1000));
    }
    run_refunds(&db, &shop).await;
    db.finish().await;
}

#[tokio::test]
async fn attempts_that_are_open_are_ended_once_the_order_is_covered() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    begin(&db, placed.order.id, owner, None).await;
    let jobs = async || {
        let rows = "SELECT 1 FROM commerce.jobs WHERE kind = 'end_payment'";
        diesel::sql_query(rows).execute(&mut db.conn().await).await.unwrap()
    };
    record(&db, &shop, received(placed.order.id, Some(300))).await.unwrap();
    assert_eq!(jobs().await, 0);
    record(&db, &shop, received(placed.order.id, None)).await.unwrap();
    assert_eq!(jobs().await, 1);
    db.finish().await;
}
