//! Staff refund money: once, never too much, by amount or by lines, and with or without the goods.

use std::sync::Arc;

use commerce_core::audit_log::Author;
use commerce_core::flows::{
    CancelledBy, Dispatch, RefundAmount, RefundOf, RefundedLine, RetryRefundError, StaffRefund,
    StaffRefundError, cancel_order, refund_by_staff, retry_refund, run_refund, settle_refund_by_hand,
    ship_order,
};
use commerce_core::ids::{OrderId, OrderLineId, VariantId};
use commerce_core::inventory::{MAIN_LOCATION, MovementKind, delete_location, list_movements};
use commerce_core::jobs::{self, Job as _, kinds::RefundPayment};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{self, OrderStatus, PaymentStatus};
use commerce_core::page::Limit;
use commerce_core::payments::{
    AttemptStatus, MockProvider, Payment, PaymentProvider, Providers, Refund, RefundStatus, list_refunds,
};
use commerce_core::request::Origin;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, guest_origin};
use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;

use crate::payments::{begin, order, settle, success, timeline, wish};
use crate::stock_places::{level, location};

pub fn author() -> Author {
    Author { origin: Origin::system(), role: Some("admin") }
}

fn request(of: RefundOf, amount: RefundAmount) -> StaffRefund {
    StaffRefund { of, amount, restock: false, note: None, author: author() }
}

fn usd(amount_minor: i64) -> RefundAmount {
    RefundAmount::Amount(Money::new(amount_minor, Currency::USD))
}

async fn refund(db: &TestDatabase, wish: StaffRefund) -> Result<Vec<Refund>, StaffRefundError> {
    refund_by_staff(&mut *db.conn().await, wish).await
}

/// Makes one attempt at each refund job that is due, as a worker does.
pub async fn run_refunds(db: &TestDatabase, shop: &ShopSettings) -> usize {
    let providers =
        Providers::new([Arc::new(MockProvider::new("http://localhost")) as Arc<dyn PaymentProvider>]);
    run_refunds_at(db, shop, &providers).await
}

/// Asks these providers for all refunds that are due.
pub async fn run_refunds_at(db: &TestDatabase, shop: &ShopSettings, providers: &Providers) -> usize {
    let lease = std::time::Duration::from_secs(60);
    let claimed =
        jobs::claim(&mut *db.conn().await, "test", &[RefundPayment::KIND], 100, lease).await.unwrap();
    for job in &claimed {
        let RefundPayment { refund_id } = serde_json::from_value(job.payload.clone()).unwrap();
        run_refund(db.pool(), shop, providers, refund_id, job.lease()).await.unwrap();
    }
    claimed.len()
}

async fn paid_order(db: &TestDatabase, wanted: &[(VariantId, i64)]) -> (OrderId, Payment) {
    let shop = ShopSettings::default();
    let (owner, placed) = db.order(&shop, wanted).await;
    let payment = begin(db, placed.order.id, owner, None).await;
    (placed.order.id, settle(db, &shop, payment.id, success(&payment)).await)
}

async fn lines(db: &TestDatabase, id: OrderId) -> Vec<orders::OrderLine> {
    orders::lines(&mut *db.conn().await, &[id]).await.unwrap()
}

fn units(order_line_id: OrderLineId, quantity: i64) -> RefundAmount {
    RefundAmount::Lines(vec![RefundedLine { order_line_id, quantity }])
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_refunds_of_one_payment_at_once_refund_it_once() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (id, payment) = paid_order(&db, &[(variant, 1)]).await;
    let requests: Vec<_> = (0..50)
        .map(|number| {
            let pool = db.pool().clone();
            let of = if number % 2 == 0 { RefundOf::Payment(payment.id) } else { RefundOf::Order(id) };
            let amount = if number % 3 == 0 { usd(1000) } else { RefundAmount::Rest };
            tokio::spawn(
                async move { refund_by_staff(&mut pool.get().await.unwrap(), request(of, amount)).await },
            )
        })
        .collect();
    let mut begun = 0;
    for request in requests {
        match request.await.unwrap() {
            Ok(refunds) => begun += refunds.len(),
            Err(StaffRefundError::NothingLeft) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(begun, 1);
    assert_eq!(run_refunds(&db, &ShopSettings::default()).await, 1);
    let refunded = order(&db, id).await;
    assert_eq!((refunded.refunded_minor, refunded.payment_status), (1000, PaymentStatus::Refunded));
    assert_eq!(refunded.status, OrderStatus::Paid, "the order goes on");
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_at_once_never_exceed_what_came_in() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (id, payment) = paid_order(&db, &[(variant, 1)]).await;
    let requests: Vec<_> = (0..30)
        .map(|number| {
            let pool = db.pool().clone();
            let wish = request(RefundOf::Payment(payment.id), usd(90 + number));
            tokio::spawn(async move { refund_by_staff(&mut pool.get().await.unwrap(), wish).await })
        })
        .collect();
    let mut promised = 0;
    for request in requests {
        match request.await.unwrap() {
            Ok(refunds) => promised += refunds.iter().map(|refund| refund.amount_minor).sum::<i64>(),
            Err(StaffRefundError::NothingLeft) => {}
            Err(StaffRefundError::AmountOutOfRange { amount, left }) => {
                assert!(amount.amount_minor > left.amount_minor);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!((900..=1000).contains(&promised), "{promised}");
    run_refunds(&db, &ShopSettings::default()).await;
    assert_eq!(order(&db, id).await.refunded_minor, promised);
    db.finish().await;
}

#[tokio::test]
async fn more_than_what_is_left_is_refused_with_what_is_left() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (_, payment) = paid_order(&db, &[(variant, 1)]).await;
    let of = RefundOf::Payment(payment.id);
    let noted = StaffRefund { note: Some(" chipped\r\ncup ".to_owned()), ..request(of, usd(300)) };
    let first = refund(&db, noted).await.unwrap();
    assert_eq!((first.len(), first[0].note.as_deref()), (1, Some("chipped\ncup")));
    for wrong in [-1, 0, 701] {
        let refused = refund(&db, request(of, usd(wrong))).await;
        let Err(StaffRefundError::AmountOutOfRange { left, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(left, Money::new(700, Currency::USD));
    }
    let yen = RefundAmount::Amount(Money::new(100, Currency::JPY));
    let refused = refund(&db, request(of, yen)).await;
    assert!(matches!(refused, Err(StaffRefundError::CurrencyMismatch { .. })), "{refused:?}");
    let rest = refund(&db, request(of, RefundAmount::Rest)).await.unwrap();
    assert_eq!(rest[0].amount_minor, 700);
    assert!(matches!(refund(&db, request(of, RefundAmount::Rest)).await, Err(StaffRefundError::NothingLeft)));
    db.finish().await;
}

#[tokio::test]
async fn a_payment_that_did_not_succeed_has_nothing_to_refund() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&ShopSettings::default(), &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    for of in [RefundOf::Payment(payment.id), RefundOf::Order(placed.order.id)] {
        let refused = refund(&db, request(of, RefundAmount::Rest)).await;
        assert!(matches!(refused, Err(StaffRefundError::NothingLeft)), "{refused:?}");
    }
    db.finish().await;
}

#[tokio::test]
async fn a_failed_refund_leaves_its_sum_for_another_amount() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let mut asked = wish(placed.order.id, owner, None);
    asked.request = json!({ "refund": "refuse_once" });
    let payment = commerce_core::flows::begin_payment(&mut *db.conn().await, asked).await.unwrap();
    settle(&db, &shop, payment.id, success(&payment)).await;
    let of = RefundOf::Payment(payment.id);
    let failed = refund(&db, request(of, usd(900))).await.unwrap().remove(0);
    run_refunds(&db, &shop).await;
    // All of it is there again, and a part of it goes back.
    let other = refund(&db, request(of, usd(200))).await.unwrap().remove(0);
    let retried = retry_refund(&mut *db.conn().await, failed.id, &Origin::system()).await;
    assert!(matches!(retried, Err(RetryRefundError::Replaced)), "{retried:?}");
    run_refunds(&db, &shop).await;
    let paid =
        settle_refund_by_hand(&mut *db.conn().await, other.id, "cash", &Origin::system()).await.unwrap();
    assert_eq!(paid.status, RefundStatus::Succeeded);
    assert_eq!(order(&db, placed.order.id).await.refunded_minor, 200);
    let rest = refund(&db, request(of, RefundAmount::Rest)).await.unwrap().remove(0);
    assert_eq!(rest.amount_minor, 800);
    db.finish().await;
}

#[tokio::test]
async fn units_refunded_one_by_one_add_up_to_what_the_order_cost() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let (dear, cheap) = (db.variant(1000, 9).await, db.variant(333, 9).await);
    let (owner, placed) = db.order(&shop, &[(dear, 3), (cheap, 7)]).await;
    let id = placed.order.id;
    // A discount does not divide evenly over lines and units.
    let discount = format!(
        "UPDATE commerce.orders SET discount_minor = 101, total_minor = total_minor - 101 WHERE id = '{id}'"
    );
    db.conn().await.batch_execute(&discount).await.unwrap();
    let payment = begin(&db, id, owner, None).await;
    settle(&db, &shop, payment.id, success(&payment)).await;
    let total = order(&db, id).await.total_minor;
    assert_eq!(total, 3000 + 2331 - 101);
    let mut sum = 0;
    for line in lines(&db, id).await {
        let mut of_line = 0;
        for unit in 0..line.quantity {
            let part = refund(&db, request(RefundOf::Order(id), units(line.id, 1))).await.unwrap();
            assert!((part[0].amount_minor - line.unit_price_minor).abs() < 25, "unit {unit}: {part:?}");
            of_line += part[0].amount_minor;
        }
        assert!(of_line < line.line_total_minor, "the discount is shared");
        let more = refund(&db, request(RefundOf::Order(id), units(line.id, 1))).await;
        let is_refused = matches!(
            more,
            Err(StaffRefundError::TooManyUnits { left: 0, quantity: 1, .. } | StaffRefundError::NothingLeft)
        );
        assert!(is_refused, "{more:?}");
        sum += of_line;
    }
    assert_eq!(sum, total);
    assert_eq!(run_refunds(&db, &shop).await, 10);
    assert_eq!(order(&db, id).await.payment_status, PaymentStatus::Refunded);
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_unit_is_not_refunded_twice_at_once() {
    let db = TestDatabase::new().await;
    let (dear, cheap) = (db.variant(1000, 9).await, db.variant(100, 9).await);
    let (id, _) = paid_order(&db, &[(dear, 5), (cheap, 2)]).await;
    let line = lines(&db, id).await.into_iter().find(|line| line.variant_id == cheap).unwrap().id;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let (pool, wish) = (db.pool().clone(), request(RefundOf::Order(id), units(line, 1)));
            tokio::spawn(async move { refund_by_staff(&mut pool.get().await.unwrap(), wish).await.is_ok() })
        })
        .collect();
    let mut begun = 0;
    for request in requests {
        begun += usize::from(request.await.unwrap());
    }
    assert_eq!(begun, 2);
    run_refunds(&db, &ShopSettings::default()).await;
    assert_eq!(order(&db, id).await.refunded_minor, 200);
    let unknown = OrderLineId::new();
    for (line, quantity) in [(unknown, 1), (line, 0), (line, i64::MAX)] {
        assert!(refund(&db, request(RefundOf::Order(id), units(line, quantity))).await.is_err());
    }
    db.finish().await;
}

#[tokio::test]
async fn shipped_units_come_back_into_stock_and_others_are_cancelled_instead() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (id, payment) = paid_order(&db, &[(variant, 3)]).await;
    let line = lines(&db, id).await[0].id;
    let back =
        |quantity| StaffRefund { restock: true, ..request(RefundOf::Order(id), units(line, quantity)) };
    let refused = refund(&db, back(1)).await;
    let Err(error @ StaffRefundError::NotShipped { shipped: 0, .. }) = &refused else {
        panic!("{refused:?}")
    };
    assert!(error.to_string().contains("Cancel the order"), "{error}");
    assert_eq!(db.stock(variant).await, (5, 3));

    ship_order(&mut *db.conn().await, id, &Dispatch::default(), &guest_origin()).await.unwrap();
    assert_eq!(db.stock(variant).await, (2, 0));
    let returned = refund(&db, back(2)).await.unwrap();
    assert_eq!(returned[0].amount_minor, 2000);
    assert_eq!(db.stock(variant).await, (4, 0));
    // The third goes back to its buyer's account, but stays with them.
    refund(&db, request(RefundOf::Payment(payment.id), units(line, 1))).await.unwrap();
    assert_eq!(db.stock(variant).await, (4, 0));
    let movements =
        list_movements(&mut *db.conn().await, variant, &Default::default(), Limit::default(), None)
            .await
            .unwrap()
            .data;
    let returns: Vec<_> = movements.iter().filter(|movement| movement.kind == MovementKind::Return).collect();
    assert_eq!(returns.len(), 1);
    assert_eq!((returns[0].on_hand_delta, returns[0].order_id), (2, Some(id)));
    run_refunds(&db, &ShopSettings::default()).await;
    assert_eq!(order(&db, id).await.refunded_minor, 3000);
    let without_lines = StaffRefund { restock: true, ..request(RefundOf::Order(id), RefundAmount::Rest) };
    let refused = refund(&db, without_lines).await;
    assert!(matches!(refused, Err(StaffRefundError::RestockWithoutLines)), "{refused:?}");
    db.finish().await;
}

/// The goods had left a location that is gone by now.
#[tokio::test]
async fn units_whose_location_is_deleted_come_back_to_the_main_one() {
    let db = TestDatabase::new().await;
    let far = location(&db, "far", Some(0)).await;
    let variant = db.variant(1000, 0).await;
    db.restock_at(variant, far, 3).await;
    let (id, _) = paid_order(&db, &[(variant, 3)]).await;
    ship_order(&mut *db.conn().await, id, &Dispatch::default(), &guest_origin()).await.unwrap();
    delete_location(&mut *db.conn().await, far, None).await.unwrap();
    let line = lines(&db, id).await[0].id;
    for quantity in [2, 1] {
        let back = StaffRefund { restock: true, ..request(RefundOf::Order(id), units(line, quantity)) };
        refund(&db, back).await.unwrap();
    }
    assert_eq!((level(&db, variant, MAIN_LOCATION).await, level(&db, variant, far).await), ((3, 0), (0, 0)));
    run_refunds(&db, &ShopSettings::default()).await;
    db.finish().await;
}

#[tokio::test]
async fn a_refund_of_an_order_takes_from_its_payments_the_oldest_first() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 2)]).await;
    let id = placed.order.id;
    let mut paid = Vec::new();
    for (amount, asked) in
        [(Some(500), json!({})), (Some(700), json!({ "refund": "refuse" })), (None, json!({}))]
    {
        let mut wish = wish(id, owner, amount);
        wish.request = asked;
        let payment = commerce_core::flows::begin_payment(&mut *db.conn().await, wish).await.unwrap();
        paid.push(settle(&db, &shop, payment.id, success(&payment)).await);
    }
    let line = lines(&db, id).await[0].id;
    let parts = refund(&db, request(RefundOf::Order(id), units(line, 1))).await.unwrap();
    let amounts: Vec<_> = parts.iter().map(|part| (part.payment_id, part.amount_minor)).collect();
    assert_eq!(amounts, [(paid[0].id, 500), (paid[1].id, 500)]);
    assert_eq!((parts[0].part_of, parts[1].part_of), (None, Some(parts[0].id)));
    run_refunds(&db, &shop).await;
    assert_eq!(order(&db, id).await.refunded_minor, 500);
    let page = list_refunds(&mut *db.conn().await, Some(RefundStatus::Failed), Limit::default(), None).await;
    assert_eq!(page.unwrap().data.len(), 1);
    // A part of the unit's price has gone back, so the unit counts as refunded. The failed part is paid by hand.
    let again = refund(&db, request(RefundOf::Order(id), units(line, 2))).await;
    assert!(matches!(again, Err(StaffRefundError::TooManyUnits { left: 1, .. })), "{again:?}");
    settle_refund_by_hand(&mut *db.conn().await, parts[1].id, "cash", &Origin::system()).await.unwrap();
    let rest = refund(&db, request(RefundOf::Order(id), RefundAmount::Rest)).await.unwrap();
    assert_eq!(rest.iter().map(|part| part.amount_minor).collect::<Vec<_>>(), [200, 800]);
    let events = timeline(&db, id).await;
    assert_eq!(events.iter().filter(|kind| **kind == "refund_requested").count(), 4);
    db.finish().await;
}

#[tokio::test]
async fn units_of_a_failed_refund_can_be_refunded_again() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 2)]).await;
    let id = placed.order.id;
    let mut asked = wish(id, owner, None);
    asked.request = json!({ "refund": "refuse_once" });
    let payment = commerce_core::flows::begin_payment(&mut *db.conn().await, asked).await.unwrap();
    settle(&db, &shop, payment.id, success(&payment)).await;
    let line = lines(&db, id).await[0].id;
    let failed = refund(&db, request(RefundOf::Order(id), units(line, 2))).await.unwrap().remove(0);
    run_refunds(&db, &shop).await;
    let one = refund(&db, request(RefundOf::Order(id), units(line, 1))).await.unwrap().remove(0);
    run_refunds(&db, &shop).await;
    // Both have failed. The first is retried, and then there is nothing left for the second.
    retry_refund(&mut *db.conn().await, failed.id, &Origin::system()).await.unwrap();
    let retried = retry_refund(&mut *db.conn().await, one.id, &Origin::system()).await;
    assert!(matches!(retried, Err(RetryRefundError::Replaced)), "{retried:?}");
    run_refunds(&db, &shop).await;
    assert_eq!(order(&db, id).await.refunded_minor, 2000);
    db.finish().await;
}

#[tokio::test]
async fn a_cancelled_order_gives_back_only_what_is_left() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (id, payment) = paid_order(&db, &[(variant, 1)]).await;
    refund(&db, request(RefundOf::Payment(payment.id), usd(300))).await.unwrap();
    cancel_order(&mut *db.conn().await, id, CancelledBy::Admin, &guest_origin()).await.unwrap();
    assert_eq!(run_refunds(&db, &ShopSettings::default()).await, 2);
    let ended = order(&db, id).await;
    assert_eq!((ended.status, ended.refunded_minor), (OrderStatus::Cancelled, 1000));
    let payment = commerce_core::payments::find(&mut *db.conn().await, payment.id).await.unwrap().unwrap();
    assert_eq!(payment.status, AttemptStatus::Refunded);
    db.finish().await;
}
