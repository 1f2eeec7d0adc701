//! Stock under concurrency: nothing is oversold, nobody waits in a circle, holds count for their shopper only.

use std::time::Duration;

use commerce_core::cart::{self, CartError, Item};
use commerce_core::db::in_transaction;
use commerce_core::flows::{PlaceOrderError, place_order};
use commerce_core::inventory::{self, AdjustStock, CountStock, MAIN_LOCATION, Shortage};
use commerce_core::request::Origin;
use commerce_core::settings::{ReservationMode, ShopSettings};
use commerce_core::testing::{TestDatabase, guest_origin, order_wish};

fn holding() -> ShopSettings {
    ShopSettings { reservation_mode: ReservationMode::Cart, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_shoppers_share_fifty_units() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1250, 50).await;
    let mut shoppers = Vec::new();
    for _ in 0..200 {
        shoppers.push(db.shopper(&shop, &[(variant, 1)]).await);
    }
    let checkouts: Vec<_> = shoppers
        .into_iter()
        .map(|owner| {
            let (pool, shop) = (db.pool().clone(), shop.clone());
            tokio::spawn(async move {
                in_transaction(&pool, "place_order", async |conn| {
                    place_order(conn, &shop, order_wish(owner)).await
                })
                .await
            })
        })
        .collect();
    let (mut placed, mut refused) = (0, 0);
    for checkout in checkouts {
        match checkout.await.unwrap() {
            Ok(_) => placed += 1,
            Err(commerce_core::db::TransactionError::RolledBack(PlaceOrderError::OutOfStock(shortages))) => {
                assert_eq!(shortages, [Shortage { variant_id: variant, requested: 1, available: 0 }]);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((placed, refused), (50, 150));
    assert_eq!(db.stock(variant).await, (50, 50));
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_shoppers_share_fifty_held_units() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1250, 50).await;
    let attempts: Vec<_> = (0..200)
        .map(|_| {
            let pool = db.pool().clone();
            tokio::spawn(async move {
                let (shop, owner) = (holding(), commerce_core::testing::guest());
                let item = Item { variant_id: variant, quantity: 1 };
                let mut conn = pool.get().await.unwrap();
                match cart::add_item(&mut conn, &shop, owner, item, &guest_origin()).await {
                    Err(CartError::OutOfStock(_)) => return false,
                    other => other.unwrap(),
                }
                place_order(&mut conn, &shop, order_wish(owner)).await.unwrap();
                true
            })
        })
        .collect();
    let mut placed = 0;
    for attempt in attempts {
        placed += i32::from(attempt.await.unwrap());
    }
    assert_eq!(placed, 50);
    assert_eq!(db.stock(variant).await, (50, 50));
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_in_opposite_order_do_not_deadlock() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let (a, b) = (db.variant(100, 1000).await, db.variant(200, 1000).await);
    let mut shoppers = Vec::new();
    for turn in 0..60 {
        let wanted = if turn % 2 == 0 { [(a, 1), (b, 1)] } else { [(b, 1), (a, 1)] };
        shoppers.push(db.shopper(&shop, &wanted).await);
    }
    let checkouts: Vec<_> = shoppers
        .into_iter()
        .map(|owner| {
            let (pool, shop) = (db.pool().clone(), shop.clone());
            // Without the retries of in_transaction: a deadlock would show.
            tokio::spawn(async move {
                place_order(&mut pool.get().await.unwrap(), &shop, order_wish(owner)).await
            })
        })
        .collect();
    for checkout in checkouts {
        checkout.await.unwrap().unwrap();
    }
    assert_eq!((db.stock(a).await, db.stock(b).await), ((1000, 60), (1000, 60)));
    db.finish().await;
}

#[tokio::test]
async fn every_short_line_is_named_and_the_cart_stays() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let (plenty, scarce) = (db.variant(100, 10).await, db.variant(100, 3).await);
    let owner = db.shopper(&shop, &[(plenty, 10), (scarce, 3)]).await;
    db.order(&shop, &[(scarce, 2)]).await;
    let mut conn = db.conn().await;
    let refused = place_order(&mut conn, &shop, order_wish(owner)).await;
    let Err(PlaceOrderError::OutOfStock(shortages)) = refused else { panic!("{refused:?}") };
    assert_eq!(shortages, [Shortage { variant_id: scarce, requested: 3, available: 1 }]);
    let cart = cart::view(&mut conn, &shop, owner).await.unwrap();
    let lines: Vec<_> = cart
        .lines
        .iter()
        .map(|line| (line.variant_id, line.quantity, line.available.units().unwrap()))
        .collect();
    assert_eq!(lines, [(plenty, 10, 10), (scarce, 3, 1)]);
    drop(conn);
    db.finish().await;
}

#[tokio::test]
async fn a_held_unit_is_its_shoppers_until_the_hold_lapses() {
    let db = TestDatabase::new().await;
    let shop = holding();
    let variant = db.variant(100, 1).await;
    let first = db.shopper(&shop, &[(variant, 1)]).await;
    let second = commerce_core::testing::guest();
    let item = Item { variant_id: variant, quantity: 1 };
    let mut conn = db.conn().await;
    let refused = cart::add_item(&mut conn, &shop, second, item, &guest_origin()).await;
    assert!(matches!(refused, Err(CartError::OutOfStock(_))), "{refused:?}");

    // Nobody swept yet: the second shopper takes the lapsed hold's unit all the same.
    db.shift_clock(shop.cart_hold_ttl + Duration::from_secs(1)).await;
    cart::add_item(&mut conn, &shop, second, item, &guest_origin()).await.unwrap();
    let refused = place_order(&mut conn, &shop, order_wish(first)).await;
    assert!(matches!(refused, Err(PlaceOrderError::OutOfStock(_))), "{refused:?}");
    place_order(&mut conn, &shop, order_wish(second)).await.unwrap();
    drop(conn);
    assert_eq!(db.stock(variant).await, (1, 1));
    db.finish().await;
}

#[tokio::test]
async fn the_sweep_gives_lapsed_holds_back_and_leaves_live_ones() {
    let db = TestDatabase::new().await;
    let shop = holding();
    let variant = db.variant(100, 5).await;
    db.shopper(&shop, &[(variant, 2)]).await;
    db.shift_clock(shop.cart_hold_ttl + Duration::from_secs(1)).await;
    let live = db.shopper(&shop, &[(variant, 1)]).await;
    let mut conn = db.conn().await;
    assert_eq!(inventory::release_lapsed_holds(&mut conn, 100).await.unwrap(), 1);
    assert_eq!(inventory::release_lapsed_holds(&mut conn, 100).await.unwrap(), 0);
    assert_eq!(db.stock(variant).await, (5, 1));
    cart::clear(&mut conn, &shop, live, &guest_origin()).await.unwrap();
    assert_eq!(db.stock(variant).await, (5, 0));
    drop(conn);
    db.finish().await;
}

#[tokio::test]
async fn stock_cannot_be_counted_below_what_is_reserved() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant_id = db.variant(100, 5).await;
    db.order(&shop, &[(variant_id, 3)]).await;
    let adjustment = |delta| AdjustStock { variant_id, location_id: MAIN_LOCATION, delta, reason: None };
    let mut conn = db.conn().await;
    let refused = inventory::adjust(&mut conn, &[adjustment(-3)], &Origin::system()).await.unwrap_err();
    assert!(
        matches!(refused, inventory::AdjustError::BelowReserved { on_hand: 2, reserved: 3, .. }),
        "{refused}"
    );
    let count = CountStock { variant_id, location_id: MAIN_LOCATION, on_hand: 3, reason: None };
    inventory::set_on_hand(&mut conn, &[count], &Origin::system()).await.unwrap();
    drop(conn);
    assert_eq!(db.stock(variant_id).await, (3, 3));
    db.finish().await;
}

/// In a few statements, so that their locks are held shortly; several of them may be of one level.
#[tokio::test]
async fn many_counts_are_written_at_once() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use diesel::connection::InstrumentationEvent;
    use diesel_async::AsyncConnection as _;

    const VARIANTS: usize = 60;
    let db = TestDatabase::new().await;
    let mut variants = Vec::new();
    for _ in 0..VARIANTS {
        variants.push(db.variant(100, 5).await);
    }
    db.order(&ShopSettings::default(), &[(variants[0], 3)]).await;
    let conn = &mut db.conn().await;
    let statements = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&statements);
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { .. } = event {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let by = |delta: i64| {
        let of = move |variant_id: &commerce_core::ids::VariantId| AdjustStock {
            variant_id: *variant_id,
            location_id: MAIN_LOCATION,
            delta,
            reason: Some("delivery".to_owned()),
        };
        variants.iter().map(of).collect::<Vec<_>>()
    };
    let twice = [by(4), by(-2)].concat();
    inventory::adjust(conn, &twice, &Origin::system()).await.unwrap();
    let statements = statements.load(Ordering::Relaxed);
    assert!((4..20).contains(&statements), "{statements} statements for {} changes", twice.len());
    let page = inventory::list_movements(conn, variants[7], &Default::default(), Default::default(), None)
        .await
        .unwrap();
    let deltas: Vec<_> = page.data.iter().map(|movement| movement.on_hand_delta).collect();
    assert_eq!(deltas, [-2, 4, 5]);
    assert!(page.data.iter().take(2).all(|movement| movement.reason.as_deref() == Some("delivery")));

    // One that cannot be changes none of them, and one that is not there is named.
    let refused = inventory::adjust(conn, &by(-5), &Origin::system()).await.unwrap_err();
    assert!(matches!(refused, inventory::AdjustError::BelowReserved { reserved: 3, .. }), "{refused}");
    let nowhere = commerce_core::ids::VariantId::new();
    let unknown = AdjustStock { variant_id: nowhere, location_id: MAIN_LOCATION, delta: 1, reason: None };
    let refused =
        inventory::adjust(conn, &[by(1), vec![unknown]].concat(), &Origin::system()).await.unwrap_err();
    assert!(matches!(refused, inventory::AdjustError::UnknownLevel(id) if id == nowhere), "{refused}");
    assert_eq!((db.stock(variants[0]).await, db.stock(variants[59]).await), ((7, 3), (7, 0)));
    db.finish().await;
}
