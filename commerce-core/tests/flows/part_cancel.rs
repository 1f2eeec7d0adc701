//! Some units of an order are cancelled: goods and money follow, and the order's lines and totals stay.

use std::sync::Arc;

use commerce_core::accounts::{Permission, Role};
use commerce_core::audit::verify;
use commerce_core::cart::Owner;
use commerce_core::flows::{
    self, BeginPaymentError, CancelLines, CancelLinesError, CancelOrderError, CancelledLine, Canceller,
    CreateShipment, CreateShipmentError, RefundAmount, RefundOf, RefundedLine, StaffRefund, StaffRefundError,
    begin_payment, cancel_lines, create_shipment, process_order, refund_by_staff,
};
use commerce_core::ids::{OrderId, VariantId};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{FulfillmentStatus, Order, OrderLine, OrderStatus, PaymentStatus};
use commerce_core::payments::{
    self, AttemptStatus, CaptureMethod, MockProvider, Outcome, PaymentProvider, Providers,
};
use commerce_core::settings::ShopSettings;
use commerce_core::shipments::ShipmentStatus;
use commerce_core::testing::{TestDatabase, guest, guest_origin};
use diesel_async::SimpleAsyncConnection as _;

use crate::parcels::{author, create, lines, paid_order, parcel, step, to};
use crate::payments::{begin, order, settle, success, timeline, wish as payment_wish};
use crate::staff_refunds::run_refunds;

/// Staff cancel these units.
pub fn cancelled(id: OrderId, units: &[(&OrderLine, i64)]) -> CancelLines {
    let of_line = |&(line, quantity): &(&OrderLine, i64)| CancelledLine { order_line_id: line.id, quantity };
    CancelLines {
        order_id: id,
        lines: Some(units.iter().map(of_line).collect()),
        refund: true,
        restock: true,
        by: Canceller::Staff(Role::Admin, author()),
    }
}

pub async fn cancel(db: &TestDatabase, wish: CancelLines) -> Result<Order, CancelLinesError> {
    cancel_lines(&mut *db.conn().await, wish).await
}

fn by_customer(owner: Owner, wish: CancelLines) -> CancelLines {
    CancelLines { by: Canceller::Customer(owner.into(), guest_origin()), ..wish }
}

async fn promised(db: &TestDatabase, id: OrderId) -> i64 {
    let refunds = payments::promised_by_payment(&mut *db.conn().await, id).await.unwrap();
    refunds.iter().map(|(_, amount_minor)| amount_minor).sum()
}

/// A paid order of three units of one thing and one of another, for 10.00 less a discount of 0.01, with shipping.
async fn discounted(db: &TestDatabase) -> (VariantId, OrderId, Vec<OrderLine>) {
    let (cup, pot) = (db.variant(200, 9).await, db.variant(400, 9).await);
    let shop = ShopSettings::default();
    let (owner, placed) = db.order(&shop, &[(cup, 3), (pot, 1)]).await;
    let reprice = format!(
        "UPDATE commerce.orders SET discount_minor = 1, shipping_minor = 50, total_minor = 1049 WHERE id = '{}'",
        placed.order.id
    );
    db.conn().await.batch_execute(&reprice).await.unwrap();
    let payment = begin(db, placed.order.id, owner, None).await;
    settle(db, &shop, payment.id, success(&payment)).await;
    (cup, placed.order.id, placed.lines)
}

#[tokio::test]
async fn an_unpaid_order_costs_less_and_its_stock_comes_back() {
    let db = TestDatabase::new().await;
    let (cup, pot) = (db.variant(200, 9).await, db.variant(400, 9).await);
    let (owner, placed) = db.order(&ShopSettings::default(), &[(cup, 3), (pot, 1)]).await;
    let (id, cups) = (placed.order.id, &placed.lines[0]);
    let less = cancel(&db, by_customer(owner, cancelled(id, &[(cups, 1), (cups, 1)]))).await.unwrap();
    assert_eq!(
        (less.status, less.total_minor, less.cancelled_minor, less.due_minor()),
        (OrderStatus::PendingPayment, 1000, 400, 600)
    );
    assert_eq!((db.stock(cup).await, db.stock(pot).await), ((9, 1), (9, 1)));
    let line = &lines(&db, id).await[0];
    assert_eq!((line.quantity, line.line_total_minor, line.cancelled_quantity), (3, 600, 2));
    let too_many = cancel(&db, cancelled(id, &[(cups, 2)])).await;
    assert!(matches!(too_many, Err(CancelLinesError::TooManyUnits { left: 1, .. })), "{too_many:?}");

    let too_much = begin_payment(&mut *db.conn().await, payment_wish(id, owner, Some(601))).await;
    assert!(matches!(too_much, Err(BeginPaymentError::AmountOutOfRange { .. })), "{too_much:?}");
    let payment = begin(&db, id, owner, None).await;
    assert_eq!(payment.amount_minor, 600);
    settle(&db, &ShopSettings::default(), payment.id, success(&payment)).await;
    let paid = order(&db, id).await;
    assert_eq!((paid.status, paid.payment_status), (OrderStatus::Paid, PaymentStatus::Paid));
    assert_eq!(promised(&db, id).await, 0);
    db.finish().await;
}

/// The mails of this kind, oldest first.
async fn mails(db: &TestDatabase, template: &str) -> Vec<serde_json::Value> {
    use commerce_core::schema::emails;
    use diesel::{ExpressionMethods as _, QueryDsl as _};
    use diesel_async::RunQueryDsl as _;
    let mails = emails::table.filter(emails::template.eq(template)).order(emails::created_at);
    mails.select(emails::data).load(&mut *db.conn().await).await.unwrap()
}

#[tokio::test]
async fn the_customer_is_told_once_for_each_part_what_is_cancelled_and_what_goes_back() {
    let db = TestDatabase::new().await;
    let (_, id, order_lines) = discounted(&db).await;
    let (cups, pots) = (&order_lines[0], &order_lines[1]);
    cancel(&db, cancelled(id, &[(cups, 1)])).await.unwrap();
    cancel(&db, CancelLines { refund: false, ..cancelled(id, &[(cups, 1), (pots, 1)]) }).await.unwrap();
    // What is refused tells nobody of anything.
    cancel(&db, cancelled(id, &[(cups, 9)])).await.unwrap_err();
    let mails = mails(&db, "order_part_cancelled").await;
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0]["units"], serde_json::json!([[cups.id, 1]]));
    assert_eq!(
        mails[0]["refund"],
        serde_json::json!({ "amount_minor": promised(&db, id).await, "currency": "USD" })
    );
    assert_eq!((&mails[0]["by_customer"], &mails[1]["refund"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(mails[1]["units"].as_array().unwrap().len(), 2);
    assert_eq!(mails[0]["unproven_from"], serde_json::Value::Null, "it is paid");
    db.finish().await;
}

#[tokio::test]
async fn an_order_whose_money_covers_the_rest_becomes_paid_and_what_is_too_much_goes_back() {
    let db = TestDatabase::new().await;
    for (first, back) in [(700, 0), (750, 50), (900, 200)] {
        let shop = ShopSettings::default();
        let variant = db.variant(350, 9).await;
        let (owner, placed) = db.order(&shop, &[(variant, 3)]).await;
        let id = placed.order.id;
        let payment = begin(&db, id, owner, Some(first)).await;
        settle(&db, &shop, payment.id, success(&payment)).await;
        let less = cancel(&db, by_customer(owner, cancelled(id, &[(&placed.lines[0], 1)]))).await.unwrap();
        assert_eq!((less.status, less.due_minor(), promised(&db, id).await), (OrderStatus::Paid, 0, back));
        assert!(less.paid_at.is_some());
        assert_eq!(db.stock(variant).await, (9, 2));
        assert!(timeline(&db, id).await.contains(&"paid"));
        run_refunds(&db, &shop).await;
        assert_eq!(order(&db, id).await.payment_status, PaymentStatus::Paid);
    }
    db.finish().await;
}

#[tokio::test]
async fn what_was_paid_for_the_units_goes_back_to_the_cent() {
    let db = TestDatabase::new().await;
    let (cup, id, order_lines) = discounted(&db).await;
    let (cups, pots) = (&order_lines[0], &order_lines[1]);
    // The discount takes a cent from one of the lines; three cups cost 5.99 or 6.00.
    let mut sums = Vec::new();
    for line in [cups, cups, pots] {
        let before = promised(&db, id).await;
        cancel(&db, cancelled(id, &[(line, 1)])).await.unwrap();
        sums.push(promised(&db, id).await - before);
    }
    let left = order(&db, id).await;
    assert_eq!(left.cancelled_minor, sums.iter().sum::<i64>());
    assert_eq!(left.payable_minor(), 1049 - left.cancelled_minor);
    run_refunds(&db, &ShopSettings::default()).await;
    let refunded = order(&db, id).await;
    assert_eq!(
        (refunded.refunded_minor, refunded.payment_status),
        (left.cancelled_minor, PaymentStatus::Paid)
    );
    assert_eq!(db.stock(cup).await, (9, 1));
    // With the last unit the order is cancelled, and its shipping is refunded, too.
    let gone = cancel(&db, cancelled(id, &[(cups, 1)])).await.unwrap();
    assert_eq!((gone.status, promised(&db, id).await), (OrderStatus::Cancelled, 1049));
    assert_eq!(db.stock(cup).await, (9, 0));
    db.finish().await;
}

#[tokio::test]
async fn an_authorized_order_is_captured_for_less() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let mock = MockProvider::new("http://localhost");
    let providers = Providers::new([Arc::new(mock.clone()) as Arc<dyn PaymentProvider>]);
    let variant = db.variant(500, 9).await;
    let (owner, placed) = db.order(&shop, &[(variant, 3)]).await;
    let id = placed.order.id;
    let authorize = async |amount_minor: i64| {
        let mut wish = payment_wish(id, owner, Some(amount_minor));
        (wish.capture_method, wish.request) = (CaptureMethod::Manual, serde_json::json!({}));
        let payment = begin_payment(&mut *db.conn().await, wish).await.unwrap();
        let invoice = db.invoice(&payment).await;
        let outcome = mock.start(&payment, &invoice).await.unwrap();
        assert!(matches!(outcome, Outcome::Authorized(_)), "{outcome:?}");
        settle(&db, &shop, payment.id, outcome).await.id
    };
    let (first, second) = (authorize(900).await, authorize(600).await);
    // A parcel can be packed, but does not leave before its money is taken.
    let packed = create(&db, parcel(id, &[(&placed.lines[0], 1)])).await.unwrap();
    let early = step(&db, to(&packed, ShipmentStatus::Shipped)).await;
    assert!(matches!(early, Err(flows::MoveShipmentError::OrderState(_))), "{early:?}");

    let less = cancel(&db, cancelled(id, &[(&placed.lines[0], 2)])).await.unwrap();
    assert_eq!((less.payment_status, less.due_minor()), (PaymentStatus::Authorized, 500));
    flows::capture_order(db.pool(), &shop, &providers, id, &author()).await.unwrap();
    let paid = order(&db, id).await;
    assert_eq!((paid.status, paid.paid_minor, promised(&db, id).await), (OrderStatus::Paid, 500, 0));
    let mut conn = db.conn().await;
    let statuses = [
        payments::find(&mut conn, first).await.unwrap().unwrap().status,
        payments::find(&mut conn, second).await.unwrap().unwrap().status,
    ];
    assert_eq!(statuses[0], AttemptStatus::Succeeded);
    assert!(!statuses[1].is_open() && statuses[1] != AttemptStatus::Succeeded, "{statuses:?}");
    drop(conn);
    let told = timeline(&db, id).await;
    assert!(!told.contains(&"payment_mismatch"), "{told:?}");
    step(&db, to(&packed, ShipmentStatus::Shipped)).await.unwrap();
    assert_eq!(order(&db, id).await.status, OrderStatus::Shipped);
    assert_eq!(db.stock(variant).await, (8, 0));
    db.finish().await;
}

#[tokio::test]
async fn what_was_shipped_or_packed_is_not_cancelled_and_the_order_follows_the_rest() {
    let db = TestDatabase::new().await;
    let variant = db.variant(500, 9).await;
    let (id, order_lines) = paid_order(&db, &[(variant, 4)]).await;
    let line = &order_lines[0];
    let sent = create(&db, CreateShipment { shipped: true, ..parcel(id, &[(line, 1)]) }).await.unwrap();
    let packed = create(&db, parcel(id, &[(line, 1)])).await.unwrap();
    let refused = cancel(&db, cancelled(id, &[(line, 3)])).await;
    assert!(matches!(refused, Err(CancelLinesError::TooManyUnits { left: 2, .. })), "{refused:?}");
    let whole = cancel(&db, CancelLines { lines: None, ..cancelled(id, &[]) }).await;
    assert!(
        matches!(whole, Err(CancelLinesError::Order(CancelOrderError::TooLate(OrderStatus::Processing)))),
        "{whole:?}"
    );
    cancel(&db, cancelled(id, &[(line, 2)])).await.unwrap();
    let never = create(&db, parcel(id, &[(line, 1)])).await;
    assert!(matches!(never, Err(CreateShipmentError::TooManyUnits { left: 0, .. })), "{never:?}");
    step(&db, to(&sent, ShipmentStatus::Delivered)).await.unwrap();
    step(&db, to(&packed, ShipmentStatus::Cancelled)).await.unwrap();
    let rest = cancel(&db, cancelled(id, &[(line, 1)])).await.unwrap();
    assert_eq!(
        (rest.status, rest.fulfillment_status, rest.payable_minor()),
        (OrderStatus::Delivered, FulfillmentStatus::Delivered, 500)
    );
    assert_eq!((db.stock(variant).await, promised(&db, id).await), ((8, 0), 1500));
    db.finish().await;
}

#[tokio::test]
async fn shoppers_cancel_until_the_shop_processes_and_staff_choose_what_becomes_of_it() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(500, 9).await;
    let (owner, placed) = db.order(&shop, &[(variant, 4)]).await;
    let (id, line) = (placed.order.id, &placed.lines[0]);
    let payment = begin(&db, id, owner, None).await;
    settle(&db, &shop, payment.id, success(&payment)).await;
    let stranger = cancel(&db, by_customer(guest(), cancelled(id, &[(line, 1)]))).await;
    assert!(matches!(stranger, Err(CancelLinesError::Order(CancelOrderError::NotFound))), "{stranger:?}");
    let chosen =
        cancel(&db, CancelLines { refund: false, ..by_customer(owner, cancelled(id, &[(line, 1)])) }).await;
    assert!(matches!(chosen, Err(CancelLinesError::OnlyStaff)), "{chosen:?}");
    cancel(&db, by_customer(owner, cancelled(id, &[(line, 1)]))).await.unwrap();
    process_order(&mut *db.conn().await, id, &guest_origin()).await.unwrap();
    let late = cancel(&db, by_customer(owner, cancelled(id, &[(line, 1)]))).await;
    assert!(matches!(late, Err(CancelLinesError::Order(CancelOrderError::TooLate(_)))), "{late:?}");

    let by = || Canceller::Staff(Role::Support, author());
    let refused = cancel(&db, CancelLines { by: by(), ..cancelled(id, &[(line, 1)]) }).await;
    assert!(
        matches!(refused, Err(CancelLinesError::MayNot(Role::Support, Permission::PaymentsRefund))),
        "{refused:?}"
    );
    assert_eq!((db.stock(variant).await, promised(&db, id).await), ((9, 3), 500));
    let kept = CancelLines { refund: false, by: by(), ..cancelled(id, &[(line, 1)]) };
    let kept = cancel(&db, kept).await.unwrap();
    assert_eq!((kept.payment_status, promised(&db, id).await), (PaymentStatus::Overpaid, 500));
    let broken = CancelLines { restock: false, ..cancelled(id, &[(line, 1)]) };
    cancel(&db, broken).await.unwrap();
    assert_eq!(db.stock(variant).await, (8, 1), "one was written off");
    let whole = CancelLines { restock: false, lines: None, ..cancelled(id, &[]) };
    assert_eq!(cancel(&db, whole).await.unwrap().status, OrderStatus::Cancelled);
    assert_eq!((db.stock(variant).await, promised(&db, id).await), ((7, 0), 2000));
    db.finish().await;
}

#[tokio::test]
async fn staff_cancel_a_whole_order_and_keep_its_money() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(500, 9).await;
    // Without a refund no permission to refund is needed.
    let keep = |id: OrderId| CancelLines {
        refund: false,
        lines: None,
        by: Canceller::Staff(Role::Support, author()),
        ..cancelled(id, &[])
    };
    let (id, _) = paid_order(&db, &[(variant, 3)]).await;
    let kept = cancel(&db, keep(id)).await.unwrap();
    assert_eq!(
        (kept.status, kept.payment_status, kept.kept_minor),
        (OrderStatus::Cancelled, PaymentStatus::Paid, 1500)
    );
    assert_eq!((db.stock(variant).await, promised(&db, id).await), ((9, 0), 0));
    let again = cancel(&db, keep(id)).await;
    assert!(matches!(again, Err(CancelLinesError::Order(CancelOrderError::TooLate(_)))), "{again:?}");
    // Staff may still give a part back.
    let amount = RefundAmount::Amount(Money::new(400, Currency::USD));
    let part = StaffRefund { of: RefundOf::Order(id), amount, restock: false, note: None, author: author() };
    refund_by_staff(&mut *db.conn().await, part).await.unwrap();
    run_refunds(&db, &shop).await;
    assert_eq!(order(&db, id).await.refunded_minor, 400);

    // What comes in after the decision is not kept.
    let (owner, placed) = db.order(&shop, &[(variant, 3)]).await;
    let id = placed.order.id;
    let first = begin(&db, id, owner, Some(700)).await;
    settle(&db, &shop, first.id, success(&first)).await;
    let late = begin(&db, id, owner, None).await;
    assert_eq!(cancel(&db, keep(id)).await.unwrap().kept_minor, 700);
    settle(&db, &shop, late.id, success(&late)).await;
    run_refunds(&db, &shop).await;
    let ended = order(&db, id).await;
    assert_eq!((ended.paid_minor, ended.refunded_minor, ended.kept_minor), (1500, 800, 700));
    // Whoever loses what was kept of the books is found out.
    let forgotten = format!("UPDATE commerce.orders SET kept_minor = 699 WHERE id = '{id}'");
    db.conn().await.batch_execute(&forgotten).await.unwrap();
    let breaches = verify(&mut *db.conn().await).await.unwrap();
    assert!(
        matches!(breaches.as_slice(), [breach] if breach.detail.contains("instead of 699")),
        "{breaches:?}"
    );
    db.discard().await;
}

#[tokio::test]
async fn no_unit_is_refunded_and_cancelled_for_money_twice() {
    let db = TestDatabase::new().await;
    let variant = db.variant(500, 9).await;
    let (id, order_lines) = paid_order(&db, &[(variant, 3)]).await;
    let line = &order_lines[0];
    let refund = async |quantity| {
        let units = vec![RefundedLine { order_line_id: line.id, quantity }];
        let amount = RefundAmount::Lines(units);
        let wish =
            StaffRefund { of: RefundOf::Order(id), amount, restock: false, note: None, author: author() };
        refund_by_staff(&mut *db.conn().await, wish).await
    };
    refund(1).await.unwrap();
    cancel(&db, cancelled(id, &[(line, 1)])).await.unwrap();
    assert_eq!(promised(&db, id).await, 1000);
    let too_many = refund(2).await;
    assert!(matches!(too_many, Err(StaffRefundError::TooManyUnits { left: 1, .. })), "{too_many:?}");
    refund(1).await.unwrap();
    // All is refunded. What is cancelled now was paid back before.
    let less = cancel(&db, cancelled(id, &[(line, 1)])).await.unwrap();
    assert_eq!((less.cancelled_minor, promised(&db, id).await), (1000, 1500));
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_racing_a_cancellation_of_its_units_lets_one_win() {
    let db = TestDatabase::new().await;
    for _ in 0..10 {
        let variant = db.variant(500, 3).await;
        let (id, order_lines) = paid_order(&db, &[(variant, 3)]).await;
        let (pool, other_pool, third_pool) = (db.pool().clone(), db.pool().clone(), db.pool().clone());
        let sending = CreateShipment { shipped: true, ..parcel(id, &[(&order_lines[0], 2)]) };
        let cancelling = cancelled(id, &[(&order_lines[0], 2)]);
        let again = cancelling.clone();
        let ship =
            tokio::spawn(
                async move { create_shipment(&mut pool.get().await.unwrap(), sending).await.is_ok() },
            );
        let cancels = [(other_pool, cancelling), (third_pool, again)].map(|(pool, wish)| {
            tokio::spawn(async move { cancel_lines(&mut pool.get().await.unwrap(), wish).await.is_ok() })
        });
        let mut won = i64::from(ship.await.unwrap());
        let shipped = won == 1;
        for cancel in cancels {
            won += i64::from(cancel.await.unwrap());
        }
        assert_eq!(won, 1);
        assert_eq!(db.stock(variant).await, if shipped { (1, 1) } else { (3, 1) });
    }
    db.finish().await;
}

#[tokio::test]
async fn a_late_payment_brings_back_only_what_was_not_cancelled() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(500, 3).await;
    let (owner, placed) = db.order(&shop, &[(variant, 3)]).await;
    let id = placed.order.id;
    cancel(&db, by_customer(owner, cancelled(id, &[(&placed.lines[0], 1)]))).await.unwrap();
    let payment = begin(&db, id, owner, None).await;
    db.shift_clock(shop.order_ttl * 2).await;
    let providers =
        Providers::new([Arc::new(MockProvider::new("http://localhost")) as Arc<dyn PaymentProvider>]);
    flows::expire_orders(db.pool(), &shop, &providers, 10).await.unwrap();
    assert_eq!(order(&db, id).await.status, OrderStatus::Cancelled);
    settle(&db, &shop, payment.id, success(&payment)).await;
    let back = order(&db, id).await;
    assert_eq!((back.status, back.paid_minor, db.stock(variant).await), (OrderStatus::Paid, 1000, (3, 2)));
    db.finish().await;
}
