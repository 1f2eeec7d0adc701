//! The places where stock is kept, and units that go from one to another.

use std::sync::Arc;
use std::time::Duration;

use commerce_core::flows;
use commerce_core::ids::{LocationId, OrderId, VariantId};
use commerce_core::inventory::{
    self, AdjustError, AdjustStock, Available, Demand, LocationPatch, MAIN_LOCATION, MovementFilter,
    MovementKind, NewLocation, ReturnError, ReturnedUnits, TransferError, TransferStock, WriteLocationError,
};
use commerce_core::page::Limit;
use commerce_core::request::Origin;
use commerce_core::schema::{product_search, stock_movements};
use commerce_core::settings::{ReservationMode, ShopSettings};
use commerce_core::testing::{TestDatabase, order_wish};
use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use crate::low_stock::{run_jobs, services};

pub async fn location(db: &TestDatabase, code: &str, priority: Option<i32>) -> LocationId {
    let new = NewLocation { code: code.to_owned(), name: code.to_owned(), priority, active: true };
    inventory::create_location(&mut *db.conn().await, &new).await.unwrap().id
}

async fn switch(db: &TestDatabase, id: LocationId, active: bool) {
    let patch = LocationPatch { active: Some(active), ..Default::default() };
    inventory::update_location(&mut *db.conn().await, id, None, &patch).await.unwrap();
}

pub async fn level(db: &TestDatabase, variant: VariantId, at: LocationId) -> (i64, i64) {
    let level = inventory::find_level(&mut *db.conn().await, variant, at).await.unwrap();
    level.map_or((0, 0), |level| (level.on_hand, level.reserved))
}

pub fn moving(from: LocationId, to: LocationId, lines: &[(VariantId, i64)]) -> TransferStock {
    let lines = lines.iter().map(|&(variant_id, quantity)| Demand { variant_id, quantity }).collect();
    TransferStock { from, to, lines, reason: Some("for the market".to_owned()) }
}

pub async fn transfer(db: &TestDatabase, wish: &TransferStock) -> Result<(), TransferError> {
    inventory::transfer(&mut *db.conn().await, wish, &Origin::system()).await
}

#[tokio::test]
async fn a_transfer_moves_what_is_free_and_writes_two_entries() {
    let db = TestDatabase::new().await;
    let far = location(&db, "far", None).await;
    let variant = db.variant(1250, 10).await;
    db.order(&ShopSettings::default(), &[(variant, 4)]).await;

    let short = transfer(&db, &moving(MAIN_LOCATION, far, &[(variant, 7)])).await.unwrap_err();
    assert!(matches!(&short, TransferError::TooFew(short) if short[0].available == 6), "{short}");
    assert_eq!((level(&db, variant, MAIN_LOCATION).await, level(&db, variant, far).await), ((10, 4), (0, 0)));

    // Lines of the same variant count together.
    transfer(&db, &moving(MAIN_LOCATION, far, &[(variant, 5), (variant, 1)])).await.unwrap();
    assert_eq!((level(&db, variant, MAIN_LOCATION).await, level(&db, variant, far).await), ((4, 4), (6, 0)));
    let entries: Vec<(LocationId, i64, Option<String>)> = stock_movements::table
        .filter(stock_movements::kind.eq(MovementKind::Transfer))
        .order(stock_movements::on_hand_delta)
        .select((stock_movements::location_id, stock_movements::on_hand_delta, stock_movements::reason))
        .load(&mut db.conn().await)
        .await
        .unwrap();
    let reason = Some("for the market".to_owned());
    assert_eq!(entries, [(MAIN_LOCATION, -6, reason.clone()), (far, 6, reason)]);

    for (wish, refused) in [
        (moving(far, far, &[(variant, 1)]), "SameLocation"),
        (moving(far, LocationId::new(), &[(variant, 1)]), "UnknownLocation"),
        (moving(far, MAIN_LOCATION, &[(VariantId::new(), 1)]), "UnknownVariant"),
        (moving(far, MAIN_LOCATION, &[(variant, 0)]), "Nothing"),
        (moving(far, MAIN_LOCATION, &[]), "Nothing"),
    ] {
        let error = format!("{:?}", transfer(&db, &wish).await.unwrap_err());
        assert!(error.starts_with(refused), "{error}");
    }
    db.finish().await;
}

#[tokio::test]
async fn a_transfer_takes_the_units_of_a_lapsed_hold() {
    let db = TestDatabase::new().await;
    let far = location(&db, "far", None).await;
    let variant = db.variant(1250, 5).await;
    let shop = ShopSettings { reservation_mode: ReservationMode::Cart, ..Default::default() };
    db.shopper(&shop, &[(variant, 5)]).await;
    assert!(transfer(&db, &moving(MAIN_LOCATION, far, &[(variant, 1)])).await.is_err());
    db.shift_clock(shop.cart_hold_ttl + Duration::from_secs(1)).await;
    transfer(&db, &moving(MAIN_LOCATION, far, &[(variant, 5)])).await.unwrap();
    assert_eq!((level(&db, variant, MAIN_LOCATION).await, level(&db, variant, far).await), ((0, 0), (5, 0)));
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_both_ways_and_orders_at_once_lose_no_unit_and_do_not_wait_for_each_other() {
    let db = Arc::new(TestDatabase::new().await);
    let far = location(&db, "far", None).await;
    let (first, second) = (db.variant(1250, 100).await, db.variant(1250, 100).await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..24 {
        let db = Arc::clone(&db);
        tasks.spawn(async move {
            let (from, to) = if number % 2 == 0 { (MAIN_LOCATION, far) } else { (far, MAIN_LOCATION) };
            let lines = if number % 3 == 0 { [(first, 9), (second, 9)] } else { [(second, 9), (first, 9)] };
            match number % 4 {
                3 => drop(db.order(&ShopSettings::default(), &[(first, 2), (second, 1)]).await),
                _ => match transfer(&db, &moving(from, to, &lines)).await {
                    Ok(()) | Err(TransferError::TooFew(_)) => {}
                    Err(other) => panic!("{other}"),
                },
            }
        });
    }
    tasks.join_all().await;
    assert_eq!((db.stock(first).await, db.stock(second).await), ((100, 12), (100, 6)));
    Arc::into_inner(db).unwrap().finish().await;
}

/// Two transfers of the same units: one moves them, the other is told.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_units_leave_once() {
    let db = TestDatabase::new().await;
    let far = location(&db, "far", None).await;
    let variant = db.variant(1250, 10).await;
    let wish = moving(MAIN_LOCATION, far, &[(variant, 6)]);
    let (one, other) = tokio::join!(transfer(&db, &wish), transfer(&db, &wish));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
    assert_eq!((level(&db, variant, MAIN_LOCATION).await, level(&db, variant, far).await), ((4, 0), (6, 0)));
    db.finish().await;
}

/// The order has left in one parcel.
fn left_whole(id: OrderId) -> String {
    format!(
        "UPDATE commerce.order_lines SET shipped_quantity = quantity WHERE order_id = '{id}';
         UPDATE commerce.orders SET status = 'shipped', fulfillment_status = 'fulfilled' WHERE id = '{id}';
         INSERT INTO commerce.shipments (id, order_id, status, tracking_number, shipped_at)
         VALUES ('{id}', '{id}', 'shipped', 'T-1', commerce.clock());
         INSERT INTO commerce.shipment_lines (shipment_id, order_line_id, quantity)
         SELECT '{id}', id, quantity FROM commerce.order_lines WHERE order_id = '{id}'"
    )
}

#[tokio::test]
async fn an_inactive_location_sells_nothing_and_still_ships_what_is_reserved() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let far = location(&db, "far", Some(0)).await;
    let variant = db.variant(0, 3).await;
    db.restock_at(variant, far, 5).await;
    // A lower priority supplies first.
    let (_, placed) = db.order(&shop, &[(variant, 2)]).await;
    assert_eq!((level(&db, variant, far).await, level(&db, variant, MAIN_LOCATION).await), ((5, 2), (3, 0)));

    switch(&db, far, false).await;
    let conn = &mut db.conn().await;
    let available = inventory::available_by_variant(conn, &[variant]).await.unwrap();
    assert_eq!(available[&variant], Available::Units(3));
    let mut stock = inventory::lock(conn, [variant]).await.unwrap();
    assert_eq!(stock.available(variant), 3);
    let owner = db.shopper(&shop, &[(variant, 3)]).await;
    db.order(&shop, &[(variant, 1)]).await;
    let refused = flows::place_order(conn, &shop, order_wish(owner)).await.unwrap_err();
    assert!(refused.to_string().contains("stock"), "{refused}");
    // What was reserved there before is shipped from there.
    stock = inventory::lock(conn, [variant]).await.unwrap();
    let units = [Demand { variant_id: variant, quantity: 2 }];
    inventory::consume(conn, &mut stock, placed.order.id, &units, &Origin::system()).await.unwrap();
    conn.batch_execute(&left_whole(placed.order.id)).await.unwrap();
    assert_eq!(level(&db, variant, far).await, (3, 0));
    switch(&db, far, true).await;
    let available = inventory::available_by_variant(conn, &[variant]).await.unwrap();
    assert_eq!(available[&variant], Available::Units(5));
    db.finish().await;
}

#[tokio::test]
async fn search_learns_by_jobs_that_a_location_was_switched_off() {
    let db = TestDatabase::new().await;
    let far = location(&db, "far", None).await;
    let variant = db.variant(1250, 0).await;
    db.restock_at(variant, far, 5).await;
    let in_stock = async || -> bool {
        product_search::table.select(product_search::in_stock).first(&mut db.conn().await).await.unwrap()
    };
    assert!(in_stock().await);
    for (active, expected) in [(false, false), (true, true)] {
        switch(&db, far, active).await;
        let services = services(&db, None);
        run_jobs(&db, &services).await;
        assert_eq!(in_stock().await, expected);
    }
    db.finish().await;
}

#[tokio::test]
async fn a_location_with_units_is_not_deleted_and_one_without_takes_no_more() {
    let db = TestDatabase::new().await;
    let far = location(&db, "far", None).await;
    let variant = db.variant(1250, 1).await;
    db.restock_at(variant, far, 5).await;
    let delete = async |id, version| inventory::delete_location(&mut *db.conn().await, id, version).await;
    assert!(matches!(delete(far, None).await, Err(WriteLocationError::InUse { on_hand: 5, reserved: 0 })));
    assert!(matches!(delete(MAIN_LOCATION, None).await, Err(WriteLocationError::Main)));
    assert!(matches!(delete(far, Some(7)).await, Err(WriteLocationError::VersionMismatch { current: 1 })));
    transfer(&db, &moving(far, MAIN_LOCATION, &[(variant, 5)])).await.unwrap();
    delete(far, Some(1)).await.unwrap();
    assert!(matches!(delete(far, None).await, Err(WriteLocationError::Unknown)));

    let received = AdjustStock { variant_id: variant, location_id: far, delta: 1, reason: None };
    let adjusted = inventory::adjust(&mut *db.conn().await, &[received], &Origin::system()).await;
    assert!(matches!(adjusted, Err(AdjustError::UnknownLevel(_))));
    let moved = transfer(&db, &moving(MAIN_LOCATION, far, &[(variant, 1)])).await;
    assert!(matches!(moved, Err(TransferError::UnknownLocation(_))));
    // The ledger stays, and the code is free again.
    let entries = inventory::list_movements(
        &mut *db.conn().await,
        variant,
        &MovementFilter { location_id: Some(far), ..Default::default() },
        Limit::default(),
        None,
    )
    .await
    .unwrap();
    assert_eq!(entries.data.len(), 2);
    location(&db, "far", None).await;
    let taken = NewLocation { code: "far".into(), name: "Far".into(), priority: None, active: true };
    let taken = inventory::create_location(&mut *db.conn().await, &taken).await;
    assert!(matches!(taken, Err(WriteLocationError::CodeTaken)));
    db.finish().await;
}

/// Whoever comes first: units arrive and the location stays, or it is deleted and they are refused.
#[tokio::test(flavor = "multi_thread")]
async fn no_unit_arrives_at_a_location_that_is_being_deleted() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1250, 100).await;
    let (mut deleted, mut kept) = (0, 0);
    for round in 0..20 {
        let place = location(&db, &format!("place-{round}"), None).await;
        // There is a level, so that no foreign key guards it.
        transfer(&db, &moving(MAIN_LOCATION, place, &[(variant, 1)])).await.unwrap();
        transfer(&db, &moving(place, MAIN_LOCATION, &[(variant, 1)])).await.unwrap();
        let delete = async { inventory::delete_location(&mut *db.conn().await, place, None).await };
        let wish = moving(MAIN_LOCATION, place, &[(variant, 1)]);
        let arrive = transfer(&db, &wish);
        let outcome = if round % 2 == 0 {
            tokio::join!(delete, arrive)
        } else {
            let (arrived, gone) = tokio::join!(arrive, delete);
            (gone, arrived)
        };
        match outcome {
            (Ok(()), Err(TransferError::UnknownLocation(_))) => deleted += 1,
            (Err(WriteLocationError::InUse { on_hand: 1, .. }), Ok(())) => kept += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(deleted + kept, 20);
    db.finish().await;
}

#[tokio::test]
async fn no_unit_comes_back_to_a_deleted_location() {
    let db = TestDatabase::new().await;
    let far = location(&db, "far", Some(0)).await;
    let variant = db.variant(0, 0).await;
    db.restock_at(variant, far, 2).await;
    let (_, placed) = db.order(&ShopSettings::default(), &[(variant, 2)]).await;
    let conn = &mut db.conn().await;
    let mut stock = inventory::lock(conn, [variant]).await.unwrap();
    let units = [Demand { variant_id: variant, quantity: 2 }];
    inventory::consume(conn, &mut stock, placed.order.id, &units, &Origin::system()).await.unwrap();
    conn.batch_execute(&left_whole(placed.order.id)).await.unwrap();
    inventory::delete_location(conn, far, None).await.unwrap();
    let at_far = ReturnedUnits { variant_id: variant, location_id: far, quantity: 1, restock: true };
    let mut stock = inventory::lock(conn, [variant]).await.unwrap();
    let refused =
        inventory::return_units(conn, &mut stock, placed.order.id, &[at_far], "too small", &Origin::system())
            .await;
    assert!(matches!(refused, Err(ReturnError::UnknownLevel(_))));
    db.finish().await;
}
