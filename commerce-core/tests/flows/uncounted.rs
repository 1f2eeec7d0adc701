//! Variants that are sold without being counted, alone and beside counted ones, and variants that are switched while carts and
//! orders are open.

use std::sync::Arc;
use std::time::Duration;

use commerce_core::audit;
use commerce_core::cart::{self, Item, Owner, TokenHash};
use commerce_core::catalog::{self, VariantPatch};
use commerce_core::flows::{
    CancelledBy, Dispatch, PlaceOrderError, cancel_order, expire_orders, place_order, ship_order,
};
use commerce_core::ids::{OrderId, ProductId, UserId, VariantId};
use commerce_core::inventory::{
    self, AdjustStock, Available, Demand, MAIN_LOCATION, NotReserved, ReturnedUnits, Shortage,
};
use commerce_core::money::Currency;
use commerce_core::orders::{self, FulfillmentStatus, OrderStatus};
use commerce_core::payments::{MockProvider, PaymentProvider, Providers};
use commerce_core::request::Origin;
use commerce_core::settings::{ReservationMode, ShopSettings};
use commerce_core::testing::{TestDatabase, guest, guest_origin, order_wish};
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};

use crate::late_money::run_refunds;
use crate::payments::{begin, order, settle, success, timeline};

fn shop(reservation_mode: ReservationMode) -> ShopSettings {
    ShopSettings { reservation_mode, ..ShopSettings::default() }
}

const MODES: [ReservationMode; 2] = [ReservationMode::Checkout, ReservationMode::Cart];

/// A variant of which no unit was ever received, and that is not counted.
async fn uncounted(db: &TestDatabase, price_minor: i64) -> VariantId {
    let variant = db.variant(price_minor, 0).await;
    count(db, variant, false).await;
    variant
}

/// Staff switch the counting on or off.
async fn count(db: &TestDatabase, variant_id: VariantId, track_inventory: bool) {
    let conn = &mut db.conn().await;
    let product_id = format!("(SELECT product_id FROM commerce.variants WHERE id = '{variant_id}')");
    let product_id: uuid::Uuid =
        diesel::select(diesel::dsl::sql::<SqlUuid>(&product_id)).get_result(conn).await.unwrap();
    let patch = VariantPatch { track_inventory: Some(track_inventory), ..VariantPatch::default() };
    catalog::update_variant(conn, ProductId(product_id), variant_id, None, patch, Currency::USD)
        .await
        .unwrap();
}

/// The ledger entries and the reservations that there ever were of a variant.
async fn traces(db: &TestDatabase, variant_id: VariantId) -> i64 {
    let traces = format!(
        "((SELECT count(*) FROM commerce.stock_movements WHERE variant_id = '{variant_id}' AND kind <> 'adjust')
          + (SELECT count(*) FROM commerce.stock_reservations WHERE variant_id = '{variant_id}'))"
    );
    diesel::select(diesel::dsl::sql::<BigInt>(&traces)).get_result(&mut db.conn().await).await.unwrap()
}

async fn pay(db: &TestDatabase, shop: &ShopSettings, owner: Owner, id: OrderId) {
    let payment = begin(db, id, owner, None).await;
    settle(db, shop, payment.id, success(&payment)).await;
}

async fn cancel(db: &TestDatabase, id: OrderId) {
    cancel_order(&mut *db.conn().await, id, CancelledBy::Admin, &guest_origin()).await.unwrap();
}

async fn ship(db: &TestDatabase, id: OrderId) {
    ship_order(&mut *db.conn().await, id, &Dispatch::default(), &guest_origin()).await.unwrap();
}

/// Ends a test step: the books are right, not just at the end.
async fn verify(db: &TestDatabase) {
    assert_eq!(audit::verify(&mut *db.conn().await).await.unwrap(), []);
}

#[tokio::test]
async fn an_uncounted_variant_is_sold_without_a_trace_in_the_stock_and_a_counted_one_beside_it_as_ever() {
    for mode in MODES {
        let db = TestDatabase::new().await;
        let shop = shop(mode);
        let (service, thing) = (uncounted(&db, 500).await, db.variant(1000, 5).await);
        // More than any shop has, and again and again.
        for _ in 0..2 {
            let (owner, alone) = db.order(&shop, &[(service, 999)]).await;
            pay(&db, &shop, owner, alone.order.id).await;
            ship(&db, alone.order.id).await;
        }
        let (owner, mixed) = db.order(&shop, &[(service, 3), (thing, 2)]).await;
        let tracked: Vec<bool> = mixed.lines.iter().map(|line| line.track_inventory).collect();
        assert_eq!((tracked, mixed.order.total_minor), (vec![false, true], 3500));
        assert_eq!(db.stock(thing).await, (5, 2));
        verify(&db).await;
        pay(&db, &shop, owner, mixed.order.id).await;
        ship(&db, mixed.order.id).await;
        let shipped = order(&db, mixed.order.id).await;
        assert_eq!(shipped.fulfillment_status, FulfillmentStatus::Fulfilled);
        let lines = orders::lines(&mut *db.conn().await, &[mixed.order.id]).await.unwrap();
        assert_eq!(lines.iter().map(|line| line.shipped_quantity).collect::<Vec<_>>(), [3, 2]);
        assert_eq!((db.stock(thing).await, traces(&db, service).await), ((3, 0), 0));
        db.finish().await;
    }
}

#[tokio::test]
async fn a_counted_variant_that_is_short_is_refused_beside_an_uncounted_one() {
    for mode in MODES {
        let db = TestDatabase::new().await;
        let shop = shop(mode);
        let (service, thing) = (uncounted(&db, 500).await, db.variant(1000, 1).await);
        let owner = db.shopper(&ShopSettings::default(), &[(service, 3), (thing, 1)]).await;
        db.order(&shop, &[(thing, 1)]).await;
        let refused = place_order(&mut *db.conn().await, &shop, order_wish(owner)).await;
        let Err(PlaceOrderError::OutOfStock(short)) = refused else { panic!("{refused:?}") };
        assert_eq!(short, [Shortage { variant_id: thing, requested: 1, available: 0 }]);
        let cart = cart::view(&mut *db.conn().await, &shop, owner).await.unwrap();
        let available: Vec<Available> = cart.lines.iter().map(|line| line.available).collect();
        assert_eq!(available, [Available::Uncounted, Available::Units(0)]);
        let quote = cart::quote(&mut *db.conn().await, &shop, owner).await.unwrap();
        assert_eq!((quote.items[0].available, quote.items[0].problem), (Available::Uncounted, None));
        db.finish().await;
    }
}

#[tokio::test]
async fn a_cancelled_order_of_an_uncounted_variant_gives_its_money_back_and_no_stock() {
    for mode in MODES {
        let db = TestDatabase::new().await;
        let shop = shop(mode);
        let (service, thing) = (uncounted(&db, 500).await, db.variant(1000, 5).await);
        let (_, unpaid) = db.order(&shop, &[(service, 1), (thing, 1)]).await;
        cancel(&db, unpaid.order.id).await;
        let (owner, paid) = db.order(&shop, &[(service, 1), (thing, 1)]).await;
        pay(&db, &shop, owner, paid.order.id).await;
        cancel(&db, paid.order.id).await;
        assert_eq!(run_refunds(&db).await, 1);
        assert_eq!(order(&db, paid.order.id).await.refunded_minor, 1500);
        assert_eq!((db.stock(thing).await, traces(&db, service).await), ((5, 0), 0));
        db.finish().await;
    }
}

#[tokio::test]
async fn parts_of_an_order_skip_what_is_not_counted() {
    let db = TestDatabase::new().await;
    let (service, thing) = (uncounted(&db, 0).await, db.variant(0, 9).await);
    let (_, placed) = db.order(&ShopSettings::default(), &[(service, 4), (thing, 4)]).await;
    let (id, origin) = (placed.order.id, Origin::system());
    let both = |quantity| [service, thing].map(|variant_id| Demand { variant_id, quantity });
    let back = |quantity| {
        let location_id = MAIN_LOCATION;
        [service, thing].map(|variant_id| ReturnedUnits { variant_id, location_id, quantity, restock: true })
    };
    let conn = &mut db.conn().await;
    conn.transaction(async |conn| {
        let _order = orders::lock(conn, id).await?;
        let mut stock = inventory::lock(conn, [service, thing]).await?;
        let short = inventory::consume(conn, &mut stock, id, &both(5), &origin).await.unwrap_err();
        let inventory::EndReservationError::NotReserved(short) = short else { panic!("{short}") };
        assert_eq!(short, [NotReserved { variant_id: thing, requested: 5, reserved: 4 }]);
        inventory::consume(conn, &mut stock, id, &both(2), &origin).await.unwrap();
        inventory::release(conn, &mut stock, id, &both(1), "not wanted", &origin).await.unwrap();
        inventory::return_units(conn, &mut stock, id, &back(1), "too small", &origin).await.unwrap();
        conn.batch_execute(&format!(
            "UPDATE commerce.order_lines SET shipped_quantity = 2, cancelled_quantity = 1 WHERE order_id = '{id}';
             UPDATE commerce.orders SET status = 'processing', fulfillment_status = 'partial' WHERE id = '{id}';
             INSERT INTO commerce.shipments (id, order_id, status, tracking_number, shipped_at)
             VALUES ('{id}', '{id}', 'shipped', 'T-1', commerce.clock());
             INSERT INTO commerce.shipment_lines (shipment_id, order_line_id, quantity)
             SELECT '{id}', id, 2 FROM commerce.order_lines WHERE order_id = '{id}'"
        ))
        .await
    })
    .await
    .unwrap();
    assert_eq!((db.stock(thing).await, traces(&db, service).await), ((8, 1), 0));
    db.finish().await;
}

#[tokio::test]
async fn an_order_that_was_counted_keeps_its_units_when_the_counting_ends() {
    for mode in MODES {
        let db = TestDatabase::new().await;
        let shop = shop(mode);
        let variant = db.variant(1000, 5).await;
        let (owner, shipped) = db.order(&shop, &[(variant, 2)]).await;
        let (_, cancelled) = db.order(&shop, &[(variant, 1)]).await;
        count(&db, variant, false).await;
        verify(&db).await;
        let (_, after) = db.order(&shop, &[(variant, 50)]).await;
        assert_eq!(db.stock(variant).await, (5, 3));
        pay(&db, &shop, owner, shipped.order.id).await;
        ship(&db, shipped.order.id).await;
        cancel(&db, cancelled.order.id).await;
        assert_eq!(db.stock(variant).await, (3, 0));
        cancel(&db, after.order.id).await;
        // What left counted comes back counted.
        let units =
            ReturnedUnits { variant_id: variant, location_id: MAIN_LOCATION, quantity: 2, restock: true };
        let conn = &mut db.conn().await;
        let mut stock = inventory::lock(conn, [variant]).await.unwrap();
        inventory::return_units(conn, &mut stock, shipped.order.id, &[units], "too small", &Origin::system())
            .await
            .unwrap();
        assert_eq!(db.stock(variant).await, (5, 0));
        db.finish().await;
    }
}

#[tokio::test]
async fn an_order_that_was_not_counted_takes_no_units_when_the_counting_begins() {
    for mode in MODES {
        let db = TestDatabase::new().await;
        let shop = shop(mode);
        let variant = uncounted(&db, 1000).await;
        let (owner, shipped) = db.order(&shop, &[(variant, 2)]).await;
        let (_, cancelled) = db.order(&shop, &[(variant, 1)]).await;
        count(&db, variant, true).await;
        db.restock(variant, 4).await;
        verify(&db).await;
        db.order(&shop, &[(variant, 4)]).await;
        pay(&db, &shop, owner, shipped.order.id).await;
        ship(&db, shipped.order.id).await;
        cancel(&db, cancelled.order.id).await;
        assert_eq!(db.stock(variant).await, (4, 4));
        db.finish().await;
    }
}

#[tokio::test]
async fn a_late_payment_brings_an_order_back_by_what_is_counted_by_then() {
    let mock = Providers::new([Arc::new(MockProvider::new("http://localhost")) as Arc<dyn PaymentProvider>]);
    for (counted_before, on_hand_after, status) in
        [(true, 0, OrderStatus::Paid), (false, 2, OrderStatus::Paid), (false, 1, OrderStatus::Cancelled)]
    {
        let db = TestDatabase::new().await;
        let shop = ShopSettings::default();
        let variant = if counted_before { db.variant(1000, 2).await } else { uncounted(&db, 1000).await };
        let (owner, placed) = db.order(&shop, &[(variant, 2)]).await;
        let payment = begin(&db, placed.order.id, owner, None).await;
        db.shift_clock(shop.order_ttl).await;
        expire_orders(db.pool(), &shop, &mock, 100).await.unwrap();
        count(&db, variant, !counted_before).await;
        let counted = inventory::CountStock {
            variant_id: variant,
            location_id: MAIN_LOCATION,
            on_hand: on_hand_after,
            reason: None,
        };
        inventory::set_on_hand(&mut *db.conn().await, &[counted], &Origin::system()).await.unwrap();
        settle(&db, &shop, payment.id, success(&payment)).await;
        let events = timeline(&db, placed.order.id).await;
        assert_eq!(order(&db, placed.order.id).await.status, status, "{events:?}");
        let reserved = if !counted_before && status == OrderStatus::Paid { 2 } else { 0 };
        assert_eq!(db.stock(variant).await, (on_hand_after, reserved));
        if status == OrderStatus::Paid {
            ship(&db, placed.order.id).await;
        }
        db.finish().await;
    }
}

#[tokio::test]
async fn a_hold_of_what_is_no_longer_counted_lapses_and_a_cart_without_one_must_find_units() {
    let db = TestDatabase::new().await;
    let shop = shop(ReservationMode::Cart);
    let variant = db.variant(1000, 3).await;
    let holder = db.shopper(&shop, &[(variant, 2)]).await;
    count(&db, variant, false).await;
    let placed = place_order(&mut *db.conn().await, &shop, order_wish(holder)).await.unwrap();
    assert!(!placed.lines[0].track_inventory);
    assert_eq!(db.stock(variant).await, (3, 2));
    verify(&db).await;
    let waiting = db.shopper(&shop, &[(variant, 4)]).await;
    assert_eq!(db.stock(variant).await, (3, 2), "nothing more is held");

    count(&db, variant, true).await;
    let refused = place_order(&mut *db.conn().await, &shop, order_wish(waiting)).await;
    let Err(PlaceOrderError::OutOfStock(short)) = refused else { panic!("{refused:?}") };
    assert_eq!(short, [Shortage { variant_id: variant, requested: 4, available: 1 }]);
    db.shift_clock(shop.cart_hold_ttl + Duration::from_secs(1)).await;
    assert_eq!(inventory::release_lapsed_holds(&mut *db.conn().await, 100).await.unwrap(), 1);
    assert_eq!(db.stock(variant).await, (3, 0));
    cart::remove_item(&mut *db.conn().await, &shop, waiting, variant, &guest_origin()).await.unwrap();
    db.order(&shop, &[(variant, 3)]).await;
    db.finish().await;
}

#[tokio::test]
async fn a_login_merges_carts_and_holds_only_what_is_counted() {
    let db = TestDatabase::new().await;
    let shop = shop(ReservationMode::Cart);
    let (service, thing) = (uncounted(&db, 500).await, db.variant(1000, 5).await);
    let hash = TokenHash::generate().1;
    for variant_id in [service, thing] {
        let item = Item { variant_id, quantity: 2 };
        cart::add_item(&mut *db.conn().await, &shop, Owner::Guest(hash), item, &guest_origin())
            .await
            .unwrap();
    }
    let user_id = UserId::new();
    let user = format!(
        "INSERT INTO commerce.users (id, email, password_hash, display_name)
         VALUES ('{user_id}', 'ada@example.com', '$argon2id$none', 'Ada')"
    );
    db.conn().await.batch_execute(&user).await.unwrap();
    cart::merge(&mut *db.conn().await, &shop, hash, user_id, &guest_origin()).await.unwrap();
    assert_eq!((db.stock(thing).await, traces(&db, service).await), ((5, 2), 0));
    place_order(&mut *db.conn().await, &shop, order_wish(Owner::User(user_id))).await.unwrap();
    assert_eq!((db.stock(thing).await, traces(&db, service).await), ((5, 2), 0));
    db.finish().await;
}

#[tokio::test]
async fn the_stock_of_an_uncounted_variant_may_be_prepared_and_counts_once_it_is_counted() {
    let db = TestDatabase::new().await;
    let variant_id = uncounted(&db, 500).await;
    let received = AdjustStock { variant_id, location_id: MAIN_LOCATION, delta: 2, reason: None };
    inventory::adjust(&mut *db.conn().await, &[received], &Origin::system()).await.unwrap();
    let mut conn = db.conn().await;
    let available = |found: inventory::Availability| found[&variant_id];
    let found = inventory::available_by_variant(&mut conn, &[variant_id]).await.unwrap();
    assert_eq!(available(found), Available::Uncounted);
    // Staff who look for what runs out are not shown it.
    let low = inventory::list_levels(&mut conn, Some(5), Default::default(), None).await.unwrap();
    assert_eq!(low.data.len(), 0);
    let all = inventory::list_levels(&mut conn, None, Default::default(), None).await.unwrap();
    assert!(!all.data[0].track_inventory);
    count(&db, variant_id, true).await;
    let found = inventory::available_by_variant(&mut conn, &[variant_id]).await.unwrap();
    assert_eq!(available(found), Available::Units(2));
    let owner = guest();
    let item = Item { variant_id, quantity: 3 };
    let refused =
        cart::add_item(&mut conn, &ShopSettings::default(), owner, item, &guest_origin()).await.unwrap_err();
    assert!(matches!(refused, cart::CartError::OutOfStock(_)), "{refused}");
    drop(conn);
    db.finish().await;
}

/// Shoppers order while staff switch the counting on and off: every order is right by the books, and no unit is sold twice.
#[tokio::test(flavor = "multi_thread")]
async fn orders_and_switches_at_once_keep_the_books() {
    for mode in MODES {
        let db = Arc::new(TestDatabase::new().await);
        let shop = shop(mode);
        let variant = db.variant(1000, 30).await;
        let shoppers: Vec<_> = (0..40)
            .map(|_| {
                let (pool, shop) = (db.pool().clone(), shop.clone());
                tokio::spawn(async move {
                    let (owner, item) = (guest(), Item { variant_id: variant, quantity: 1 });
                    let mut conn = pool.get().await.unwrap();
                    match cart::add_item(&mut conn, &shop, owner, item, &guest_origin()).await {
                        Err(cart::CartError::OutOfStock(_)) => return false,
                        other => other.unwrap(),
                    }
                    match place_order(&mut conn, &shop, order_wish(owner)).await {
                        Ok(placed) => placed.lines[0].track_inventory,
                        Err(PlaceOrderError::OutOfStock(_)) => false,
                        Err(other) => panic!("{other}"),
                    }
                })
            })
            .collect();
        for turn in 0..10 {
            count(&db, variant, turn % 2 == 1).await;
        }
        let mut counted = 0;
        for shopper in shoppers {
            counted += i64::from(shopper.await.unwrap());
        }
        // Holds that were left behind lapse.
        db.shift_clock(shop.cart_hold_ttl + Duration::from_secs(1)).await;
        inventory::release_lapsed_holds(&mut *db.conn().await, 100).await.unwrap();
        assert_eq!(db.stock(variant).await, (30, counted));
        let db = Arc::into_inner(db).unwrap();
        db.finish().await;
    }
}
