//! Goods that come back: requested, approved, received and refunded, once and no more than there is.

use std::time::Duration;

use commerce_core::accounts::{Permission, Role};
use commerce_core::audit_log::{self, AuditFilter};
use commerce_core::cart::Owner;
use commerce_core::flows::{
    MoveReturn, MoveReturnError, ReceivedLine, RefundAmount, RefundOf, RefundedLine, RequestReturn,
    RequestReturnError, StaffRefund, StaffRefundError, StaffReturn, StaffReturnError, move_return,
    open_staff_return, refund_by_staff, request_return,
};
use commerce_core::ids::{OrderId, ReturnId, VariantId};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{self, FulfillmentStatus, OrderLine, OrderStatus, PaymentStatus};
use commerce_core::page::Limit;
use commerce_core::payments::{RefundReason, list_refunds};
use commerce_core::returns::{Return, ReturnReason, ReturnStatus, WantedBack, find_return, return_lines};
use commerce_core::settings::ShopSettings;
use commerce_core::shipments::ShipmentStatus;
use commerce_core::testing::{TestDatabase, guest_origin};
use diesel_async::SimpleAsyncConnection as _;
use futures_util::future::join_all;

use crate::parcels::{author, create, lines, parcel, step, to};
use crate::payments::{begin, order, settle, success, timeline};
use crate::staff_refunds::run_refunds;

/// A paid order, its owner, and its lines.
pub async fn owned_order(db: &TestDatabase, wanted: &[(VariantId, i64)]) -> (OrderId, Owner, Vec<OrderLine>) {
    let shop = ShopSettings::default();
    let (owner, placed) = db.order(&shop, wanted).await;
    let payment = begin(db, placed.order.id, owner, None).await;
    settle(db, &shop, payment.id, success(&payment)).await;
    (placed.order.id, owner, placed.lines)
}

/// Like [`owned_order`], with its parcel having arrived.
pub async fn delivered_order(
    db: &TestDatabase,
    wanted: &[(VariantId, i64)],
) -> (OrderId, Owner, Vec<OrderLine>) {
    let (id, owner, lines) = owned_order(db, wanted).await;
    let sent = create(db, parcel(id, &[])).await.unwrap();
    for status in [ShipmentStatus::Shipped, ShipmentStatus::Delivered] {
        step(db, to(&sent, status)).await.unwrap();
    }
    (id, owner, lines)
}

pub fn wish(order_id: OrderId, owner: Owner, lines: &[(&OrderLine, i64)]) -> RequestReturn {
    let wanted = |&(line, quantity): &(&OrderLine, i64)| WantedBack {
        order_line_id: line.id,
        quantity,
        reason: ReturnReason::DoesNotFit,
    };
    RequestReturn {
        order_id,
        access: owner.into(),
        lines: lines.iter().map(wanted).collect(),
        note: None,
        origin: guest_origin(),
    }
}

pub async fn request(db: &TestDatabase, wish: RequestReturn) -> Result<Return, RequestReturnError> {
    request_return(&mut *db.conn().await, &ShopSettings::default(), wish).await
}

pub fn towards(id: ReturnId, to: ReturnStatus) -> MoveReturn {
    MoveReturn {
        id,
        to,
        lines: Vec::new(),
        amount: None,
        answer: None,
        expected_version: None,
        role: Role::Admin,
        author: author(),
    }
}

pub async fn moved(db: &TestDatabase, wish: MoveReturn) -> Result<Return, MoveReturnError> {
    move_return(&mut *db.conn().await, wish).await
}

pub async fn received(db: &TestDatabase, id: ReturnId) {
    for status in [ReturnStatus::Approved, ReturnStatus::Received] {
        moved(db, towards(id, status)).await.unwrap();
    }
}

async fn refunded(db: &TestDatabase, id: OrderId) -> Vec<(i64, RefundReason)> {
    let page = list_refunds(&mut *db.conn().await, None, Limit::default(), None).await.unwrap();
    let of_order = page.data.into_iter().filter(|(refund, _)| refund.order_id == id);
    of_order.map(|(refund, _)| (refund.amount_minor, refund.reason)).collect()
}

#[tokio::test]
async fn goods_come_back_and_their_price_goes_back() {
    let db = TestDatabase::new().await;
    let (cup, pot) = (db.variant(500, 10).await, db.variant(2000, 10).await);
    let (id, owner, bought) = delivered_order(&db, &[(cup, 3), (pot, 1)]).await;
    let (cups, pots) = (&bought[0], &bought[1]);
    let opened = request(&db, wish(id, owner, &[(cups, 3), (pots, 1)])).await.unwrap();
    assert_eq!((opened.status, opened.order_id), (ReturnStatus::Requested, id));
    // In its normal form this letter has two characters.
    let wordy = RequestReturn { note: Some("\u{958}".repeat(1001)), ..wish(id, owner, &[(cups, 1)]) };
    let refused = request(&db, wordy).await;
    assert!(matches!(refused, Err(RequestReturnError::Invalid(_))), "{refused:?}");
    // The same units are not announced twice.
    let again = request(&db, wish(id, owner, &[(cups, 1)])).await;
    assert!(matches!(again, Err(RequestReturnError::TooManyUnits { left: 0, .. })), "{again:?}");

    let early = moved(&db, towards(opened.id, ReturnStatus::Received)).await;
    assert!(matches!(early, Err(MoveReturnError::Transition(_))), "{early:?}");
    moved(&db, towards(opened.id, ReturnStatus::Approved)).await.unwrap();
    let came =
        |line: &OrderLine, quantity, restock| ReceivedLine { order_line_id: line.id, quantity, restock };
    let too_many =
        MoveReturn { lines: vec![came(cups, Some(4), true)], ..towards(opened.id, ReturnStatus::Received) };
    let refused = moved(&db, too_many).await;
    assert!(matches!(refused, Err(MoveReturnError::TooManyUnits { announced: 3, .. })), "{refused:?}");
    // Two of three cups come and are sold again; the pot is broken.
    let receive = MoveReturn {
        lines: vec![came(cups, Some(2), true), came(pots, None, false)],
        ..towards(opened.id, ReturnStatus::Received)
    };
    moved(&db, receive.clone()).await.unwrap();
    assert_eq!((db.stock(cup).await, db.stock(pot).await), ((9, 0), (9, 0)));
    // The same request again receives nothing again.
    moved(&db, receive).await.unwrap();
    assert_eq!((db.stock(cup).await, db.stock(pot).await), ((9, 0), (9, 0)));
    let back: Vec<i64> = lines(&db, id).await.iter().map(|line| line.returned_quantity).collect();
    assert_eq!(back, [2, 1]);
    assert_eq!(order(&db, id).await.fulfillment_status, FulfillmentStatus::Delivered);

    let mut by_fulfilment = towards(opened.id, ReturnStatus::Refunded);
    by_fulfilment.role = Role::Fulfilment;
    let refused = moved(&db, by_fulfilment).await;
    assert!(matches!(refused, Err(MoveReturnError::MayNot(_, Permission::PaymentsRefund))), "{refused:?}");
    let paid_back = moved(&db, towards(opened.id, ReturnStatus::Refunded)).await.unwrap();
    assert_eq!(paid_back.refund_minor, 2 * 500 + 2000);
    let again = moved(&db, towards(opened.id, ReturnStatus::Refunded)).await.unwrap();
    assert_eq!((again.refund_id, again.version), (paid_back.refund_id, paid_back.version));
    run_refunds(&db, &ShopSettings::default()).await;
    assert_eq!(refunded(&db, id).await, [(3000, RefundReason::GoodsReturned)]);
    assert_eq!(order(&db, id).await.payment_status, PaymentStatus::PartiallyRefunded);

    // The third cup may still come.
    let last = request(&db, wish(id, owner, &[(cups, 1)])).await.unwrap();
    received(&db, last.id).await;
    let whole = order(&db, id).await;
    assert_eq!(
        (whole.status, whole.fulfillment_status),
        (OrderStatus::Delivered, FulfillmentStatus::Returned)
    );
    moved(&db, towards(last.id, ReturnStatus::Refunded)).await.unwrap();
    run_refunds(&db, &ShopSettings::default()).await;
    assert_eq!(order(&db, id).await.payment_status, PaymentStatus::Refunded);
    let told = timeline(&db, id).await;
    for kind in ["return_requested", "return_approved", "return_received", "return_refunded"] {
        assert_eq!(told.iter().filter(|told| **told == kind).count(), 2, "{kind} in {told:?}");
    }
    db.finish().await;
}

#[tokio::test]
async fn a_return_is_rejected_before_its_goods_came_or_after() {
    let db = TestDatabase::new().await;
    let cup = db.variant(500, 10).await;
    let (id, owner, bought) = delivered_order(&db, &[(cup, 2)]).await;
    let first = request(&db, wish(id, owner, &[(&bought[0], 2)])).await.unwrap();
    let no = MoveReturn { answer: Some("Worn.".to_owned()), ..towards(first.id, ReturnStatus::Rejected) };
    assert_eq!(moved(&db, no).await.unwrap().answer.as_deref(), Some("Worn."));
    // Its units are free again.
    let second = request(&db, wish(id, owner, &[(&bought[0], 2)])).await.unwrap();
    moved(&db, towards(second.id, ReturnStatus::Approved)).await.unwrap();
    let nothing = ReceivedLine { order_line_id: bought[0].id, quantity: Some(0), restock: true };
    let nothing = MoveReturn { lines: vec![nothing], ..towards(second.id, ReturnStatus::Received) };
    moved(&db, nothing).await.unwrap();
    moved(&db, towards(second.id, ReturnStatus::Rejected)).await.unwrap();
    let refunded_late = moved(&db, towards(second.id, ReturnStatus::Refunded)).await;
    assert!(matches!(refunded_late, Err(MoveReturnError::Transition(_))), "{refunded_late:?}");
    assert_eq!((db.stock(cup).await, refunded(&db, id).await), ((8, 0), vec![]));
    db.finish().await;
}

#[tokio::test]
async fn only_what_has_arrived_within_the_window_can_be_returned() {
    let db = TestDatabase::new().await;
    let cup = db.variant(500, 10).await;
    let (id, owner, bought) = delivered_order(&db, &[(cup, 2)]).await;
    let mine = wish(id, owner, &[(&bought[0], 1)]);
    let stranger = RequestReturn { access: commerce_core::testing::guest().into(), ..mine.clone() };
    assert!(matches!(request(&db, stranger).await, Err(RequestReturnError::NotFound)));
    for (quantity, left) in [(0, 2), (3, 2), (-1, 2)] {
        let refused = request(&db, wish(id, owner, &[(&bought[0], quantity)])).await;
        assert!(matches!(refused, Err(RequestReturnError::TooManyUnits { left: are, .. }) if are == left));
    }
    let later = "UPDATE commerce.shipments SET delivered_at = delivered_at - interval '30 days 1 second'";
    db.conn().await.batch_execute(later).await.unwrap();
    let refused = request(&db, mine.clone()).await;
    assert!(matches!(refused, Err(RequestReturnError::TooLate { left: 0, .. })), "{refused:?}");
    let patient =
        ShopSettings { return_window: Duration::from_secs(60 * 24 * 60 * 60), ..ShopSettings::default() };
    request_return(&mut *db.conn().await, &patient, mine).await.unwrap();

    // What is still on its way cannot be returned.
    let (id, owner, bought) = owned_order(&db, &[(db.variant(100, 1).await, 1)]).await;
    let sent = create(&db, parcel(id, &[])).await.unwrap();
    step(&db, to(&sent, ShipmentStatus::Shipped)).await.unwrap();
    let refused = request(&db, wish(id, owner, &[(&bought[0], 1)])).await;
    assert!(matches!(refused, Err(RequestReturnError::TooManyUnits { left: 0, .. })), "{refused:?}");
    db.finish().await;
}

#[tokio::test]
async fn staff_refund_less_for_wear_and_the_other_units_keep_their_price() {
    let db = TestDatabase::new().await;
    let cup = db.variant(500, 10).await;
    let (id, owner, bought) = delivered_order(&db, &[(cup, 3)]).await;
    let opened = request(&db, wish(id, owner, &[(&bought[0], 2)])).await.unwrap();
    let usd = |amount_minor| Money::new(amount_minor, Currency::USD);
    let pay = |amount| MoveReturn { amount: Some(amount), ..towards(opened.id, ReturnStatus::Refunded) };
    let early = MoveReturn { amount: Some(usd(1)), ..towards(opened.id, ReturnStatus::Approved) };
    let early = moved(&db, early).await;
    assert!(matches!(early, Err(MoveReturnError::NotRefunding)), "{early:?}");
    received(&db, opened.id).await;
    for wrong in [0, -1, 1001] {
        let refused = moved(&db, pay(usd(wrong))).await;
        let Err(MoveReturnError::AmountOutOfRange { worth, .. }) = refused else {
            panic!("{wrong}: {refused:?}")
        };
        assert_eq!(worth, usd(1000));
    }
    let euros = moved(&db, pay(Money::new(10, "EUR".parse().unwrap()))).await;
    assert!(matches!(euros, Err(MoveReturnError::CurrencyMismatch { .. })), "{euros:?}");

    let refunded_less = moved(&db, pay(usd(700))).await.unwrap();
    assert_eq!((refunded_less.refund_minor, refunded_less.deducted_minor), (700, 300));
    // The same again, also with another amount, pays nothing again.
    assert_eq!(moved(&db, pay(usd(1000))).await.unwrap().refund_minor, 700);
    run_refunds(&db, &ShopSettings::default()).await;
    let events = orders::events(&mut *db.conn().await, id).await.unwrap();
    let told = events.iter().find(|event| event.kind.as_str() == "return_refunded").unwrap();
    assert_eq!((&told.data["refund_minor"], &told.data["deducted_minor"]), (&700.into(), &300.into()));

    // The third cup costs what it cost.
    let last = request(&db, wish(id, owner, &[(&bought[0], 1)])).await.unwrap();
    received(&db, last.id).await;
    let last = moved(&db, towards(last.id, ReturnStatus::Refunded)).await.unwrap();
    assert_eq!((last.refund_minor, last.deducted_minor), (500, 0));
    run_refunds(&db, &ShopSettings::default()).await;
    assert_eq!(order(&db, id).await.refunded_minor, 1200);
    db.finish().await;
}

#[tokio::test]
async fn staff_open_a_return_and_waive_the_window_with_a_reason() {
    let db = TestDatabase::new().await;
    let cup = db.variant(500, 10).await;
    let (id, owner, bought) = delivered_order(&db, &[(cup, 3)]).await;
    let later = "UPDATE commerce.shipments SET delivered_at = delivered_at - interval '31 days'";
    db.conn().await.batch_execute(later).await.unwrap();
    let by_staff = |quantity: i64, waive_window: bool, reason: Option<&str>| StaffReturn {
        order_id: id,
        lines: wish(id, owner, &[(&bought[0], quantity)]).lines,
        note: Some("The lid is loose.".to_owned()),
        waive_window,
        reason: reason.map(str::to_owned),
        author: author(),
    };
    let open = async |wish: StaffReturn| {
        open_staff_return(&mut *db.conn().await, &ShopSettings::default(), wish).await
    };
    let late = open(by_staff(1, false, None)).await;
    assert!(matches!(late, Err(StaffReturnError::Request(RequestReturnError::TooLate { .. }))), "{late:?}");
    for reason in [None, Some(" ")] {
        let refused = open(by_staff(1, true, reason)).await;
        assert!(matches!(refused, Err(StaffReturnError::NoReason)), "{refused:?}");
    }
    let refused = open(by_staff(1, false, Some("kindness"))).await;
    assert!(matches!(refused, Err(StaffReturnError::NotWaived)), "{refused:?}");
    let too_many = open(by_staff(4, true, Some("kindness"))).await;
    assert!(
        matches!(too_many, Err(StaffReturnError::Request(RequestReturnError::TooManyUnits { left: 3, .. }))),
        "{too_many:?}"
    );
    // Many at once open one, as no unit comes back twice.
    let wishes = (0..4).map(|_| open(by_staff(2, true, Some("kindness"))));
    let opened: Vec<Return> = join_all(wishes).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(opened.len(), 1);
    assert_eq!(
        (opened[0].status, opened[0].note.as_deref()),
        (ReturnStatus::Requested, Some("The lid is loose."))
    );
    let mut conn = db.conn().await;
    let events = orders::events(&mut conn, id).await.unwrap();
    let told = events.iter().find(|event| event.kind.as_str() == "return_requested").unwrap();
    assert_eq!(told.data["window_waived"], "kindness");
    let entries = audit_log::list(&mut conn, &AuditFilter::default(), Limit::default(), None).await.unwrap();
    let entry = entries.data.iter().find(|entry| entry.action == "admin_open_return").unwrap();
    let after = entry.after.clone().unwrap();
    assert_eq!((&after["window_waived"], &after["lines"][0]["quantity"]), (&true.into(), &2.into()));
    assert!(!after.to_string().contains("kindness"), "the reason stays in the order");
    drop(conn);
    received(&db, opened[0].id).await;
    moved(&db, towards(opened[0].id, ReturnStatus::Refunded)).await.unwrap();
    run_refunds(&db, &ShopSettings::default()).await;
    assert_eq!((db.stock(cup).await, order(&db, id).await.refunded_minor), ((9, 0), 1000));
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_returns_of_the_same_units_at_once_are_one() {
    let db = TestDatabase::new().await;
    let cup = db.variant(500, 10).await;
    let (id, owner, bought) = delivered_order(&db, &[(cup, 3)]).await;
    let wishes = (0..6).map(|_| request(&db, wish(id, owner, &[(&bought[0], 2)])));
    let opened: Vec<Return> = join_all(wishes).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(opened.len(), 1);
    // All who receive it and refund it at once do so once.
    moved(&db, towards(opened[0].id, ReturnStatus::Approved)).await.unwrap();
    for status in [ReturnStatus::Received, ReturnStatus::Refunded] {
        let all = join_all((0..6).map(|_| moved(&db, towards(opened[0].id, status)))).await;
        assert!(all.iter().all(|moved| moved.as_ref().is_ok_and(|moved| moved.status == status)), "{all:?}");
    }
    assert_eq!(
        (db.stock(cup).await, refunded(&db, id).await),
        ((9, 0), vec![(1000, RefundReason::GoodsReturned)])
    );
    run_refunds(&db, &ShopSettings::default()).await;
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_that_races_a_refund_of_its_units_pays_them_back_once() {
    for round in 0..4 {
        let db = TestDatabase::new().await;
        let cup = db.variant(500, 10).await;
        let (id, owner, bought) = delivered_order(&db, &[(cup, 2)]).await;
        let opened = request(&db, wish(id, owner, &[(&bought[0], 2)])).await.unwrap();
        received(&db, opened.id).await;
        let units = RefundedLine { order_line_id: bought[0].id, quantity: 2 };
        let amount = if round % 2 == 0 {
            RefundAmount::Lines(vec![units])
        } else {
            RefundAmount::Amount(Money::new(800, Currency::USD))
        };
        let by_staff =
            StaffRefund { of: RefundOf::Order(id), amount, restock: false, note: None, author: author() };
        let by_staff = async { refund_by_staff(&mut *db.conn().await, by_staff).await };
        let (returned, by_staff) =
            tokio::join!(moved(&db, towards(opened.id, ReturnStatus::Refunded)), by_staff);
        let returned = returned.unwrap();
        let total: i64 = refunded(&db, id).await.iter().map(|(amount_minor, _)| amount_minor).sum();
        assert_eq!(total, 1000, "{returned:?} {by_staff:?}");
        // Whoever came second got what was left.
        assert!([1000, 200, 0].contains(&returned.refund_minor), "{returned:?}");
        assert_eq!(by_staff.is_ok(), returned.refund_minor < 1000, "{by_staff:?}");
        run_refunds(&db, &ShopSettings::default()).await;
        assert_eq!(order(&db, id).await.payment_status, PaymentStatus::Refunded);
        db.finish().await;
    }
}

#[tokio::test]
async fn units_that_came_with_a_refund_do_not_come_with_a_return_too() {
    let db = TestDatabase::new().await;
    let cup = db.variant(500, 10).await;
    let (id, owner, bought) = delivered_order(&db, &[(cup, 2)]).await;
    let opened = request(&db, wish(id, owner, &[(&bought[0], 2)])).await.unwrap();
    moved(&db, towards(opened.id, ReturnStatus::Approved)).await.unwrap();
    let restock = |quantity| StaffRefund {
        of: RefundOf::Order(id),
        amount: RefundAmount::Lines(vec![RefundedLine { order_line_id: bought[0].id, quantity }]),
        restock: true,
        note: None,
        author: author(),
    };
    refund_by_staff(&mut *db.conn().await, restock(1)).await.unwrap();
    let refused = moved(&db, towards(opened.id, ReturnStatus::Received)).await;
    assert!(matches!(refused, Err(MoveReturnError::NotArrived { arrived: 1, .. })), "{refused:?}");
    let one = ReceivedLine { order_line_id: bought[0].id, quantity: Some(1), restock: true };
    moved(&db, MoveReturn { lines: vec![one], ..towards(opened.id, ReturnStatus::Received) }).await.unwrap();
    let refused = refund_by_staff(&mut *db.conn().await, restock(1)).await;
    assert!(matches!(refused, Err(StaffRefundError::NotShipped { shipped: 0, .. })), "{refused:?}");
    moved(&db, towards(opened.id, ReturnStatus::Refunded)).await.unwrap();
    assert_eq!((db.stock(cup).await, refunded(&db, id).await.len()), ((10, 0), 2));
    run_refunds(&db, &ShopSettings::default()).await;
    let found = find_return(&mut *db.conn().await, opened.id, Some(owner.into())).await.unwrap().unwrap();
    assert_eq!((found.status, found.refund_minor), (ReturnStatus::Refunded, 500));
    let kept = return_lines(&mut *db.conn().await, &[opened.id]).await.unwrap();
    assert_eq!((kept[0].quantity, kept[0].received_quantity, kept[0].restocked), (2, Some(1), Some(true)));
    db.finish().await;
}
