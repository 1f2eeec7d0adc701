//! Parcels by line and quantity: packed, sent, on their way, lost, back, sent again.

use chrono::{SubsecRound as _, TimeDelta, Utc};
use commerce_core::audit_log::Author;
use commerce_core::flows::{
    AddCheckpoint, AdvanceOrderError, CancelOrderError, CancelledBy, CreateShipment, CreateShipmentError,
    Dispatch, MoveShipment, MoveShipmentError, PackedLine, Sighting, add_checkpoint, cancel_order,
    check_shipment, create_shipment, deliver_order, move_shipment, ship_order,
};
use commerce_core::ids::{OrderId, VariantId};
use commerce_core::notifications::Template;
use commerce_core::orders::{self, FulfillmentStatus, Order, OrderLine, OrderStatus};
use commerce_core::request::Origin;
use commerce_core::schema::emails;
use commerce_core::settings::ShopSettings;
use commerce_core::shipments::{
    self, FindShipmentError, ParcelUnits, Shipment, ShipmentAddress, ShipmentStatus, parcel_units,
};
use commerce_core::testing::{TestDatabase, guest_origin};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::payments::{begin, order, settle, success, timeline};

pub fn author() -> Author {
    Author { origin: Origin::system(), role: Some("fulfilment") }
}

/// A paid order with these units, and its lines.
pub async fn paid_order(db: &TestDatabase, wanted: &[(VariantId, i64)]) -> (OrderId, Vec<OrderLine>) {
    let shop = ShopSettings::default();
    let (owner, placed) = db.order(&shop, wanted).await;
    let payment = begin(db, placed.order.id, owner, None).await;
    settle(db, &shop, payment.id, success(&payment)).await;
    (placed.order.id, placed.lines)
}

/// These units of an order's lines, or all that is left.
pub fn parcel(order_id: OrderId, lines: &[(&OrderLine, i64)]) -> CreateShipment {
    let packed = |&(line, quantity): &(&OrderLine, i64)| PackedLine { order_line_id: line.id, quantity };
    CreateShipment {
        order_id,
        lines: (!lines.is_empty()).then(|| lines.iter().map(packed).collect()),
        carrier: None,
        tracking_number: None,
        replaces: None,
        shipped: false,
        author: author(),
    }
}

pub async fn create(db: &TestDatabase, wish: CreateShipment) -> Result<Shipment, CreateShipmentError> {
    create_shipment(&mut *db.conn().await, wish).await
}

pub fn to(shipment: &Shipment, to: ShipmentStatus) -> MoveShipment {
    MoveShipment {
        address: ShipmentAddress { number: shipment.id.to_string(), carrier: None },
        to,
        sighting: Sighting::default(),
        restock: true,
        expected_version: None,
        author: author(),
    }
}

pub async fn step(db: &TestDatabase, wish: MoveShipment) -> Result<Shipment, MoveShipmentError> {
    move_shipment(&mut *db.conn().await, wish).await
}

async fn units(db: &TestDatabase, id: OrderId, line: &OrderLine) -> ParcelUnits {
    let units = parcel_units(&mut *db.conn().await, id).await.unwrap();
    units.get(&line.id).copied().unwrap_or_default()
}

fn statuses(order: &Order) -> (OrderStatus, FulfillmentStatus) {
    (order.status, order.fulfillment_status)
}

#[tokio::test]
async fn units_of_lines_leave_in_parcels_and_the_order_follows() {
    let db = TestDatabase::new().await;
    let (cup, pot) = (db.variant(500, 10).await, db.variant(2000, 10).await);
    let (id, lines) = paid_order(&db, &[(cup, 3), (pot, 2)]).await;
    let (cups, pots) = (&lines[0], &lines[1]);

    let first = create(&db, parcel(id, &[(cups, 2)])).await.unwrap();
    assert_eq!(first.status, ShipmentStatus::Pending);
    assert_eq!(statuses(&order(&db, id).await), (OrderStatus::Processing, FulfillmentStatus::Unfulfilled));
    assert_eq!((db.stock(cup).await, units(&db, id, cups).await.packed), ((10, 3), 2));
    for (line, quantity, left) in [(cups, 2, 1), (pots, 3, 2), (pots, 0, 2), (pots, -1, 2)] {
        let refused = create(&db, parcel(id, &[(line, quantity)])).await;
        let expected = |error: &CreateShipmentError| matches!(error, CreateShipmentError::TooManyUnits { left: are, .. } if *are == left);
        assert!(refused.as_ref().is_err_and(expected), "{refused:?}");
    }

    step(&db, to(&first, ShipmentStatus::Shipped)).await.unwrap();
    assert_eq!(statuses(&order(&db, id).await), (OrderStatus::Processing, FulfillmentStatus::Partial));
    assert_eq!((db.stock(cup).await, db.stock(pot).await), ((8, 1), (10, 2)));
    // The same request again changes nothing.
    step(&db, to(&first, ShipmentStatus::Shipped)).await.unwrap();
    assert_eq!(db.stock(cup).await, (8, 1));

    let rest = create(&db, CreateShipment { shipped: true, ..parcel(id, &[]) }).await.unwrap();
    assert_eq!((rest.status, rest.shipped_at.is_some()), (ShipmentStatus::Shipped, true));
    let packed = shipments::lines(&mut *db.conn().await, &[rest.id]).await.unwrap();
    assert_eq!(packed.iter().map(|line| line.quantity).sum::<i64>(), 3);
    assert_eq!(statuses(&order(&db, id).await), (OrderStatus::Shipped, FulfillmentStatus::Fulfilled));
    assert_eq!((db.stock(cup).await, db.stock(pot).await), ((7, 0), (8, 0)));
    let more = create(&db, parcel(id, &[])).await;
    assert!(matches!(more, Err(CreateShipmentError::OrderState(OrderStatus::Shipped))), "{more:?}");

    step(&db, to(&rest, ShipmentStatus::Delivered)).await.unwrap();
    assert_eq!(statuses(&order(&db, id).await), (OrderStatus::Shipped, FulfillmentStatus::Fulfilled));
    for status in [ShipmentStatus::OutForDelivery, ShipmentStatus::FailedAttempt, ShipmentStatus::Delivered] {
        step(&db, to(&first, status)).await.unwrap();
    }
    assert_eq!(statuses(&order(&db, id).await), (OrderStatus::Delivered, FulfillmentStatus::Delivered));
    assert_eq!(units(&db, id, cups).await, ParcelUnits { delivered: 3, ..Default::default() });
    let late = step(&db, to(&first, ShipmentStatus::Lost)).await;
    assert!(matches!(late, Err(MoveShipmentError::Transition(_))), "{late:?}");
    let moved = "shipment_moved";
    assert!(timeline(&db, id).await.ends_with(&[
        "paid",
        "shipment_created",
        "processing",
        "shipped",
        "shipped",
        "delivered",
        moved,
        moved,
        "delivered",
    ]));

    let mails: Vec<Template> = emails::table
        .select(emails::template)
        .order(emails::created_at)
        .load::<String>(&mut db.conn().await)
        .await
        .unwrap()
        .iter()
        .filter_map(|template| template.parse().ok())
        .collect();
    let count = |wanted: Template| mails.iter().filter(|template| **template == wanted).count();
    assert_eq!((count(Template::OrderShipped), count(Template::OrderDelivered)), (2, 2), "{mails:?}");
    db.finish().await;
}

#[tokio::test]
async fn a_parcel_that_is_not_sent_gives_its_units_back() {
    let db = TestDatabase::new().await;
    let variant = db.variant(500, 5).await;
    let (id, lines) = paid_order(&db, &[(variant, 3)]).await;
    let packed = create(&db, parcel(id, &[])).await.unwrap();
    let nothing = create(&db, parcel(id, &[])).await;
    assert!(matches!(nothing, Err(CreateShipmentError::NothingLeft)), "{nothing:?}");
    step(&db, to(&packed, ShipmentStatus::Cancelled)).await.unwrap();
    assert_eq!(db.stock(variant).await, (5, 3), "the units stay the order's");
    let again = create(&db, CreateShipment { shipped: true, ..parcel(id, &[(&lines[0], 3)]) }).await.unwrap();
    let late = step(&db, to(&again, ShipmentStatus::Cancelled)).await;
    assert!(matches!(late, Err(MoveShipmentError::Transition(_))), "{late:?}");
    assert_eq!(db.stock(variant).await, (2, 0));

    // With its order a parcel is cancelled, too.
    let (id, _) = paid_order(&db, &[(variant, 1)]).await;
    let packed = create(&db, parcel(id, &[])).await.unwrap();
    cancel_order(&mut *db.conn().await, id, CancelledBy::Admin, &guest_origin()).await.unwrap();
    let refused = step(&db, to(&packed, ShipmentStatus::Shipped)).await;
    assert!(matches!(refused, Err(MoveShipmentError::Transition(_))), "{refused:?}");
    assert_eq!(db.stock(variant).await, (2, 0));
    db.finish().await;
}

#[tokio::test]
async fn a_lost_parcel_is_sent_again_from_the_stock() {
    let db = TestDatabase::new().await;
    let variant = db.variant(500, 4).await;
    let (id, lines) = paid_order(&db, &[(variant, 2)]).await;
    let lost = create(&db, CreateShipment { shipped: true, ..parcel(id, &[]) }).await.unwrap();
    let again = |quantity| CreateShipment { replaces: Some(lost.id), ..parcel(id, &[(&lines[0], quantity)]) };
    let early = create(&db, again(1)).await;
    assert!(matches!(early, Err(CreateShipmentError::NotUndeliverable(_))), "{early:?}");
    step(&db, to(&lost, ShipmentStatus::Lost)).await.unwrap();
    assert_eq!(statuses(&order(&db, id).await), (OrderStatus::Shipped, FulfillmentStatus::Fulfilled));
    assert_eq!(db.stock(variant).await, (2, 0));

    let first = create(&db, again(1)).await.unwrap();
    assert_eq!(db.stock(variant).await, (2, 1), "the unit is taken for it when it is packed");
    let too_many = create(&db, again(2)).await;
    assert!(matches!(too_many, Err(CreateShipmentError::TooManyUnits { left: 1, .. })), "{too_many:?}");
    // A parcel that turns up does not bring its units twice.
    let found = step(&db, to(&lost, ShipmentStatus::Delivered)).await;
    assert!(matches!(found, Err(MoveShipmentError::Replaced)), "{found:?}");
    step(&db, to(&first, ShipmentStatus::Cancelled)).await.unwrap();
    assert_eq!(db.stock(variant).await, (2, 0), "and given back when it is not sent");

    let second = create(&db, CreateShipment { shipped: true, ..again(1) }).await.unwrap();
    paid_order(&db, &[(variant, 1)]).await;
    let short = create(&db, again(1)).await;
    assert!(matches!(short, Err(CreateShipmentError::OutOfStock(_))), "{short:?}");
    assert_eq!(units(&db, id, &lines[0]).await, ParcelUnits { under_way: 1, lost: 1, ..Default::default() });
    step(&db, to(&second, ShipmentStatus::Delivered)).await.unwrap();
    assert_eq!(statuses(&order(&db, id).await), (OrderStatus::Shipped, FulfillmentStatus::Fulfilled));
    // The last unit is refunded. Staff close the order, which still says that not all has arrived.
    let closed = deliver_order(&mut *db.conn().await, id, &guest_origin()).await.unwrap();
    assert_eq!(statuses(&closed), (OrderStatus::Delivered, FulfillmentStatus::Fulfilled));
    db.restock(variant, 1).await;
    let last = create(&db, CreateShipment { shipped: true, ..again(1) }).await.unwrap();
    step(&db, to(&last, ShipmentStatus::Delivered)).await.unwrap();
    assert_eq!(statuses(&order(&db, id).await), (OrderStatus::Delivered, FulfillmentStatus::Delivered));
    db.finish().await;
}

#[tokio::test]
async fn a_parcel_that_comes_back_is_restocked_or_written_off() {
    let db = TestDatabase::new().await;
    let variant = db.variant(500, 4).await;
    for (restock, on_hand) in [(true, 4), (false, 2)] {
        let (id, lines) = paid_order(&db, &[(variant, 2)]).await;
        let sent = create(&db, CreateShipment { shipped: true, ..parcel(id, &[]) }).await.unwrap();
        let back = MoveShipment { restock, ..to(&sent, ShipmentStatus::Returned) };
        step(&db, back).await.unwrap();
        assert_eq!(db.stock(variant).await, (on_hand, 0));
        assert_eq!(statuses(&order(&db, id).await), (OrderStatus::Shipped, FulfillmentStatus::Returned));
        assert_eq!(units(&db, id, &lines[0]).await, ParcelUnits { came_back: 2, ..Default::default() });
        if restock {
            let replaces = Some(sent.id);
            let wish = CreateShipment { replaces, shipped: true, ..parcel(id, &[]) };
            let again = create(&db, wish).await.unwrap();
            assert_eq!(statuses(&order(&db, id).await), (OrderStatus::Shipped, FulfillmentStatus::Fulfilled));
            step(&db, to(&again, ShipmentStatus::Returned)).await.unwrap();
            assert_eq!(db.stock(variant).await, (4, 0));
        }
    }
    db.finish().await;
}

#[tokio::test]
async fn a_carrier_has_one_parcel_with_a_number() {
    let db = TestDatabase::new().await;
    let variant = db.variant(500, 9).await;
    let by = |id, carrier: Option<&str>, number: &str| CreateShipment {
        carrier: carrier.map(str::to_owned),
        tracking_number: Some(number.to_owned()),
        ..parcel(id, &[])
    };
    let mut made = Vec::new();
    for (carrier, number, taken) in [
        (Some("DHL"), "T 1", false),
        (Some(" dhl "), " T\u{202e}  1 ", true),
        (Some("UPS"), "T 1", false),
        (None, "T 1", false),
        (None, "T 1", true),
        (Some("DHL"), "t 1", false),
    ] {
        let (id, _) = paid_order(&db, &[(variant, 1)]).await;
        let wish = by(id, carrier, number);
        let checked = check_shipment(&mut *db.conn().await, &wish).await;
        let result = create(&db, wish).await;
        let is_taken =
            |error: &CreateShipmentError| matches!(error, CreateShipmentError::TrackingNumberTaken(_));
        assert_eq!(checked.as_ref().is_err_and(is_taken), taken, "{carrier:?} {number}: {checked:?}");
        assert_eq!(result.as_ref().is_err_and(is_taken), taken, "{carrier:?} {number}: {result:?}");
        made.extend(result.ok());
    }
    let mut conn = db.conn().await;
    let mut find = async |number: &str, carrier: Option<&str>| {
        let address = ShipmentAddress { number: number.to_owned(), carrier: carrier.map(str::to_owned) };
        shipments::find(&mut conn, &address, None).await.map(|shipment| shipment.id)
    };
    let several = find("T 1", None).await;
    assert!(matches!(&several, Err(FindShipmentError::Ambiguous(found)) if found.len() == 3), "{several:?}");
    assert_eq!(find("T 1", Some("ups")).await.unwrap(), made[1].id);
    assert_eq!(find("T 1", Some("")).await.unwrap(), made[2].id);
    assert_eq!(find("t 1", None).await.unwrap(), made[3].id);
    assert_eq!(find(&made[0].id.to_string(), None).await.unwrap(), made[0].id);
    let none = find("T 1", Some("GLS")).await;
    assert!(matches!(none, Err(FindShipmentError::NotFound)), "{none:?}");
    drop(conn);
    // Without a number they get different ones.
    let mut numbers = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let (id, _) = paid_order(&db, &[(variant, 1)]).await;
        numbers.insert(create(&db, parcel(id, &[])).await.unwrap().tracking_number);
    }
    assert!(numbers.len() == 2 && numbers.iter().all(|number| number.len() == 17), "{numbers:?}");
    db.finish().await;
}

#[tokio::test]
async fn checkpoints_come_in_any_order_and_each_once() {
    let db = TestDatabase::new().await;
    let variant = db.variant(500, 4).await;
    let (id, _) = paid_order(&db, &[(variant, 2)]).await;
    let pending = create(&db, parcel(id, &[])).await.unwrap();
    // Postgres keeps microseconds.
    let began = Utc::now().trunc_subsecs(6);
    let at = |minutes: i64| Some(began + TimeDelta::minutes(minutes));
    let checkpoint = |status, minutes: i64, event: Option<&str>| AddCheckpoint {
        address: ShipmentAddress { number: pending.tracking_number.clone(), carrier: None },
        status,
        sighting: Sighting {
            location: Some(" Leipzig ".to_owned()),
            message: None,
            occurred_at: at(minutes),
            event_id: event.map(str::to_owned),
        },
        author: author(),
    };
    let add = async |wish: AddCheckpoint| add_checkpoint(&mut *db.conn().await, wish).await;
    let status = async || {
        let address = ShipmentAddress { number: pending.id.to_string(), carrier: None };
        shipments::find(&mut *db.conn().await, &address, None).await.unwrap().status
    };
    let early = add(checkpoint(ShipmentStatus::InTransit, 1, None)).await;
    assert!(matches!(early, Err(MoveShipmentError::NotShipped(_))), "{early:?}");
    let sighting = Sighting { occurred_at: at(0), ..Default::default() };
    step(&db, MoveShipment { sighting, ..to(&pending, ShipmentStatus::Shipped) }).await.unwrap();

    add(checkpoint(ShipmentStatus::OutForDelivery, 30, Some("e-3"))).await.unwrap();
    assert_eq!(status().await, ShipmentStatus::OutForDelivery);
    // It is told late, and does not bring the parcel back.
    let late = add(checkpoint(ShipmentStatus::InTransit, 10, None)).await.unwrap();
    assert_eq!((late.location.as_deref(), status().await), (Some("Leipzig"), ShipmentStatus::OutForDelivery));
    for same in [
        checkpoint(ShipmentStatus::InTransit, 10, None),
        checkpoint(ShipmentStatus::OutForDelivery, 40, Some("e-3")),
    ] {
        add(same).await.unwrap();
    }
    add(checkpoint(ShipmentStatus::FailedAttempt, 35, Some("e-4"))).await.unwrap();
    assert_eq!(status().await, ShipmentStatus::FailedAttempt);
    // Staff decide about these.
    for word in [ShipmentStatus::Lost, ShipmentStatus::Returned] {
        add(checkpoint(word, 36, None)).await.unwrap();
        assert_eq!(status().await, ShipmentStatus::FailedAttempt);
    }
    add(checkpoint(ShipmentStatus::Delivered, 33, Some("e-5"))).await.unwrap();
    assert_eq!(status().await, ShipmentStatus::Delivered);
    assert_eq!(order(&db, id).await.status, OrderStatus::Delivered);
    add(checkpoint(ShipmentStatus::InTransit, 50, None)).await.unwrap();
    assert_eq!(status().await, ShipmentStatus::Delivered);
    let future = add(checkpoint(ShipmentStatus::InTransit, 3 * 24 * 60, None)).await;
    assert!(matches!(future, Err(MoveShipmentError::InFuture)), "{future:?}");

    let shown = shipments::checkpoints(&mut *db.conn().await, &[pending.id]).await.unwrap();
    let minutes: Vec<i64> =
        shown.iter().map(|checkpoint| (checkpoint.occurred_at - began).num_minutes()).collect();
    assert_eq!(minutes, [0, 10, 30, 33, 35, 36, 36, 50]);
    assert_eq!(shown[0].status, ShipmentStatus::Shipped);
    db.finish().await;
}

#[tokio::test]
async fn shipping_and_delivering_an_order_does_all_that_is_left() {
    let db = TestDatabase::new().await;
    let variant = db.variant(500, 9).await;
    let (id, lines) = paid_order(&db, &[(variant, 5)]).await;
    create(&db, CreateShipment { shipped: true, ..parcel(id, &[(&lines[0], 1)]) }).await.unwrap();
    create(&db, parcel(id, &[(&lines[0], 2)])).await.unwrap();
    let dispatch = Dispatch { carrier: Some("DHL".into()), tracking_number: Some("T-9".into()) };
    let mut conn = db.conn().await;
    let shipped = ship_order(&mut conn, id, &dispatch, &guest_origin()).await.unwrap();
    assert_eq!(statuses(&shipped), (OrderStatus::Shipped, FulfillmentStatus::Fulfilled));
    assert_eq!(db.stock(variant).await, (4, 0));
    let parcels = shipments::list_for_order(&mut conn, id).await.unwrap();
    let shown: Vec<_> = parcels.iter().map(|parcel| (parcel.status, parcel.carrier.as_deref())).collect();
    assert_eq!(
        shown,
        [
            (ShipmentStatus::Shipped, None),
            (ShipmentStatus::Shipped, None),
            (ShipmentStatus::Shipped, Some("DHL"))
        ]
    );
    let delivered = deliver_order(&mut conn, id, &guest_origin()).await.unwrap();
    assert_eq!(statuses(&delivered), (OrderStatus::Delivered, FulfillmentStatus::Delivered));

    let (id, _) = paid_order(&db, &[(variant, 1)]).await;
    create(&db, parcel(id, &[])).await.unwrap();
    let taken = ship_order(&mut conn, id, &dispatch, &guest_origin()).await;
    assert!(matches!(taken, Err(AdvanceOrderError::AllPacked)), "{taken:?}");
    ship_order(&mut conn, id, &Dispatch::default(), &guest_origin()).await.unwrap();
    let (id, _) = paid_order(&db, &[(variant, 1)]).await;
    let taken = ship_order(&mut conn, id, &dispatch, &guest_origin()).await;
    assert!(matches!(taken, Err(AdvanceOrderError::TrackingNumberTaken(_))), "{taken:?}");
    drop(conn);
    db.finish().await;
}

#[tokio::test]
async fn nothing_is_sent_of_an_order_that_is_not_paid() {
    let db = TestDatabase::new().await;
    let variant = db.variant(500, 9).await;
    let (_, placed) = db.order(&ShopSettings::default(), &[(variant, 2)]).await;
    for shipped in [false, true] {
        let refused = create(&db, CreateShipment { shipped, ..parcel(placed.order.id, &[]) }).await;
        assert!(matches!(refused, Err(CreateShipmentError::OrderState(_))), "{refused:?}");
    }
    let nowhere = create(&db, parcel(OrderId::new(), &[])).await;
    assert!(matches!(nowhere, Err(CreateShipmentError::OrderNotFound)), "{nowhere:?}");
    let (id, _) = paid_order(&db, &[(variant, 1)]).await;
    let strange = create(&db, parcel(id, &[(&placed.lines[0], 1)])).await;
    assert!(matches!(strange, Err(CreateShipmentError::UnknownLine(_))), "{strange:?}");
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_parcels_with_the_same_units_at_once_pack_them_once() {
    let db = TestDatabase::new().await;
    for round in 0..10 {
        let variant = db.variant(500, 8).await;
        let (id, lines) = paid_order(&db, &[(variant, 8)]).await;
        let parcels: Vec<_> = (0..2)
            .map(|_| {
                let pool = db.pool().clone();
                let wish = CreateShipment { shipped: round % 2 == 0, ..parcel(id, &[(&lines[0], 5)]) };
                tokio::spawn(async move { create_shipment(&mut pool.get().await.unwrap(), wish).await })
            })
            .collect();
        let (mut packed, mut refused) = (0, 0);
        for parcel in parcels {
            match parcel.await.unwrap() {
                Ok(_) => packed += 1,
                Err(CreateShipmentError::TooManyUnits { left: 3, .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!((packed, refused), (1, 1));
        assert_eq!(db.stock(variant).await, if round % 2 == 0 { (3, 3) } else { (8, 8) });
    }
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_number_at_once_is_given_once() {
    let db = TestDatabase::new().await;
    let variant = db.variant(500, 50).await;
    let mut requests = Vec::new();
    for _ in 0..10 {
        let (id, _) = paid_order(&db, &[(variant, 1)]).await;
        let number = Some("T-1".to_owned());
        let wish = CreateShipment { tracking_number: number, shipped: true, ..parcel(id, &[]) };
        let pool = db.pool().clone();
        requests.push(tokio::spawn(async move {
            create_shipment(&mut pool.get().await.unwrap(), wish).await.is_ok()
        }));
    }
    let mut given = 0;
    for request in requests {
        given += usize::from(request.await.unwrap());
    }
    assert_eq!(given, 1);
    assert_eq!(db.stock(variant).await, (49, 9));
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_racing_the_cancellation_of_its_order_lets_one_win() {
    let db = TestDatabase::new().await;
    for _ in 0..10 {
        let variant = db.variant(500, 2).await;
        let (id, _) = paid_order(&db, &[(variant, 2)]).await;
        let packed = create(&db, parcel(id, &[])).await.unwrap();
        let (pool, other_pool) = (db.pool().clone(), db.pool().clone());
        let ship = tokio::spawn(async move {
            move_shipment(&mut pool.get().await.unwrap(), to(&packed, ShipmentStatus::Shipped)).await
        });
        let cancel = tokio::spawn(async move {
            cancel_order(&mut other_pool.get().await.unwrap(), id, CancelledBy::Admin, &guest_origin()).await
        });
        match (ship.await.unwrap(), cancel.await.unwrap()) {
            (Ok(_), Err(CancelOrderError::TooLate(_))) => assert_eq!(db.stock(variant).await, (0, 0)),
            (Err(MoveShipmentError::Transition(_)), Ok(_)) => assert_eq!(db.stock(variant).await, (2, 0)),
            other => panic!("{other:?}"),
        }
    }
    db.finish().await;
}

/// What an order's lines say.
pub async fn lines(db: &TestDatabase, id: OrderId) -> Vec<OrderLine> {
    orders::lines(&mut *db.conn().await, &[id]).await.unwrap()
}
