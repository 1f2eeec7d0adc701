//! Carts: what a login merges, what the limits count, and what happens to holds.

use std::time::Duration;

use commerce_core::cart::{self, CartError, ITEMS_MAX, Item, Owner, QUANTITY_MAX};
use commerce_core::flows::{PlaceOrderError, place_order, place_order_and_answer};
use commerce_core::idempotency::{IdempotentRequest, StoredAnswer};
use commerce_core::ids::{UserId, VariantId};
use commerce_core::inventory;
use commerce_core::schema::{cart_items, stock_reservations, users};
use commerce_core::settings::{ReservationMode, ShopSettings};
use commerce_core::testing::{TestDatabase, guest_origin, order_wish};
use diesel::prelude::*;
use diesel_async::{AnsiTransactionManager, RunQueryDsl, TransactionManager as _};

fn holding() -> ShopSettings {
    ShopSettings { reservation_mode: ReservationMode::Cart, ..Default::default() }
}

pub async fn user(db: &TestDatabase) -> UserId {
    let id = UserId::new();
    diesel::insert_into(users::table)
        .values((
            users::id.eq(id),
            users::email.eq(format!("{}@example.com", id.0.simple())),
            users::password_hash.eq("$argon2id$none"),
            users::display_name.eq("Ada"),
        ))
        .execute(&mut db.conn().await)
        .await
        .unwrap();
    id
}

async fn put(db: &TestDatabase, shop: &ShopSettings, owner: Owner, wanted: &[(VariantId, i64)]) {
    let items: Vec<Item> =
        wanted.iter().map(|&(variant_id, quantity)| Item { variant_id, quantity }).collect();
    cart::replace(&mut *db.conn().await, shop, owner, &items, &guest_origin()).await.unwrap();
}

async fn merge(db: &TestDatabase, shop: &ShopSettings, guest: Owner, user_id: UserId) {
    let Owner::Guest(token) = guest else { panic!("not a guest") };
    cart::merge(&mut *db.conn().await, shop, token, user_id, &guest_origin()).await.unwrap();
}

async fn quantities(db: &TestDatabase, shop: &ShopSettings, owner: Owner) -> Vec<(VariantId, i64)> {
    let cart = cart::view(&mut *db.conn().await, shop, owner).await.unwrap();
    let mut found: Vec<_> = cart.lines.iter().map(|line| (line.variant_id, line.quantity)).collect();
    found.sort_unstable();
    found
}

/// Units of a variant that carts hold.
pub async fn held(db: &TestDatabase, variant_id: VariantId) -> i64 {
    let quantities: Vec<i64> = stock_reservations::table
        .filter(stock_reservations::variant_id.eq(variant_id))
        .filter(stock_reservations::status.eq("held"))
        .filter(stock_reservations::cart_id.is_not_null())
        .select(stock_reservations::quantity)
        .load(&mut db.conn().await)
        .await
        .unwrap();
    quantities.iter().sum()
}

#[tokio::test]
async fn merging_adds_quantities_up_to_the_most_of_a_variant() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let (both, only) = (db.variant(100, 2000).await, db.variant(100, 5).await);
    let user_id = user(&db).await;
    put(&db, &shop, Owner::User(user_id), &[(both, 600)]).await;
    let guest = db.shopper(&shop, &[(both, 600), (only, 2)]).await;
    merge(&db, &shop, guest, user_id).await;
    let mut expected = vec![(both, QUANTITY_MAX), (only, 2)];
    expected.sort_unstable();
    assert_eq!(quantities(&db, &shop, Owner::User(user_id)).await, expected);
    assert_eq!(quantities(&db, &shop, guest).await, []);
    db.finish().await;
}

#[tokio::test]
async fn a_variant_in_both_carts_takes_one_place_of_the_limit() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let mut variants = Vec::new();
    for _ in 0..=ITEMS_MAX {
        variants.push((db.variant(100, 10).await, 1));
    }
    let user_id = user(&db).await;
    // 98 of the user's; the guest has two of those and three others, of which two fit.
    put(&db, &shop, Owner::User(user_id), &variants[..ITEMS_MAX - 2]).await;
    let guest = db.shopper(&shop, &variants[ITEMS_MAX - 4..]).await;
    merge(&db, &shop, guest, user_id).await;
    let merged = quantities(&db, &shop, Owner::User(user_id)).await;
    assert_eq!(merged.len(), ITEMS_MAX);
    for (position, (variant_id, _)) in variants.iter().enumerate() {
        let expected = match position {
            position if position == ITEMS_MAX => None,
            position if (ITEMS_MAX - 4..ITEMS_MAX - 2).contains(&position) => Some(2),
            _ => Some(1),
        };
        let found = merged.iter().find(|(id, _)| id == variant_id).map(|(_, quantity)| *quantity);
        assert_eq!(found, expected, "position {position}");
    }
    db.finish().await;
}

#[tokio::test]
async fn merged_holds_are_kept_as_far_as_there_is_enough() {
    let db = TestDatabase::new().await;
    let shop = holding();
    let (scarce, plenty) = (db.variant(100, 5).await, db.variant(100, 50).await);
    let user_id = user(&db).await;
    put(&db, &shop, Owner::User(user_id), &[(scarce, 2), (plenty, 1)]).await;
    let guest = db.shopper(&shop, &[(scarce, 3), (plenty, 1)]).await;
    // All five are held. The guest's hold lapses, and another shopper takes one of its units.
    diesel::update(stock_reservations::table)
        .filter(stock_reservations::quantity.eq(3))
        .set(
            stock_reservations::expires_at
                .eq(commerce_core::db::time_before(Duration::from_secs(1)).nullable()),
        )
        .execute(&mut db.conn().await)
        .await
        .unwrap();
    let other = db.shopper(&shop, &[(scarce, 1)]).await;

    merge(&db, &shop, guest, user_id).await;
    let mut expected = vec![(scarce, 5), (plenty, 2)];
    expected.sort_unstable();
    assert_eq!(quantities(&db, &shop, Owner::User(user_id)).await, expected);
    // The other shopper's one unit is untouched, the user holds the rest, and all of what there is enough of.
    assert_eq!(held(&db, scarce).await, 5);
    assert_eq!(held(&db, plenty).await, 2);
    assert_eq!(db.stock(scarce).await, (5, 5));
    let mut conn = db.conn().await;
    place_order(&mut conn, &shop, order_wish(other)).await.unwrap();
    drop(conn);
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_logins_at_once_merge_a_guests_cart_once() {
    let db = TestDatabase::new().await;
    for shop in [ShopSettings::default(), holding()] {
        let variant = db.variant(100, 100).await;
        let user_id = user(&db).await;
        let guest = db.shopper(&shop, &[(variant, 3)]).await;
        let Owner::Guest(token) = guest else { panic!("not a guest") };
        let logins: Vec<_> = (0..8)
            .map(|_| {
                let (pool, shop) = (db.pool().clone(), shop.clone());
                tokio::spawn(async move {
                    let mut conn = pool.get().await.unwrap();
                    cart::merge(&mut conn, &shop, token, user_id, &guest_origin()).await
                })
            })
            .collect();
        for login in logins {
            login.await.unwrap().unwrap();
        }
        assert_eq!(quantities(&db, &shop, Owner::User(user_id)).await, [(variant, 3)]);
    }
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_guests_cart_goes_to_one_of_two_users() {
    let db = TestDatabase::new().await;
    let shop = holding();
    let variant = db.variant(100, 100).await;
    let users = [user(&db).await, user(&db).await];
    let (token, guest) = {
        let guest = db.shopper(&shop, &[(variant, 3)]).await;
        let Owner::Guest(token) = guest else { panic!("not a guest") };
        (token, guest)
    };
    let logins = users.map(|user_id| {
        let (pool, shop) = (db.pool().clone(), shop.clone());
        tokio::spawn(async move {
            let mut conn = pool.get().await.unwrap();
            cart::merge(&mut conn, &shop, token, user_id, &guest_origin()).await.unwrap();
        })
    });
    for login in logins {
        login.await.unwrap();
    }
    let mut found = Vec::new();
    for user_id in users {
        found.extend(quantities(&db, &shop, Owner::User(user_id)).await);
    }
    assert_eq!(found, [(variant, 3)]);
    assert_eq!(quantities(&db, &shop, guest).await, []);
    assert_eq!(held(&db, variant).await, 3);
    db.finish().await;
}

#[tokio::test]
async fn a_replacement_that_cannot_be_held_leaves_the_cart_and_its_holds() {
    let db = TestDatabase::new().await;
    let shop = holding();
    let (kept, scarce) = (db.variant(100, 10).await, db.variant(100, 2).await);
    let owner = db.shopper(&shop, &[(kept, 4)]).await;
    let wanted = [Item { variant_id: scarce, quantity: 3 }];
    let refused = cart::replace(&mut *db.conn().await, &shop, owner, &wanted, &guest_origin()).await;
    assert!(matches!(refused, Err(CartError::OutOfStock(_))), "{refused:?}");
    assert_eq!(quantities(&db, &shop, owner).await, [(kept, 4)]);
    assert_eq!((held(&db, kept).await, held(&db, scarce).await), (4, 0));
    db.finish().await;
}

/// Waits until so many connections to this database wait for a lock.
async fn until_waiting(db: &TestDatabase, count: usize) {
    for _ in 0..500 {
        let waiting =
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        if diesel::sql_query(waiting).execute(&mut db.conn().await).await.unwrap() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there are not {count} that wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replacement_drops_and_takes_is_locked_in_the_order_of_a_checkout() {
    let db = TestDatabase::new().await;
    let shop = holding();
    let mut variants = [db.variant(100, 10).await, db.variant(100, 10).await];
    variants.sort_unstable();
    let [first, second] = variants;
    let buyer = db.shopper(&shop, &[(first, 1), (second, 1)]).await;
    let changer = db.shopper(&shop, &[(second, 1)]).await;

    // Somebody has the second variant for a moment, so that the other two meet in between.
    let mut holder = db.conn().await;
    AnsiTransactionManager::begin_transaction(&mut *holder).await.unwrap();
    let _held = inventory::lock(&holder, [second]).await.unwrap();
    let (pool, same_shop) = (db.pool().clone(), shop.clone());
    let replacement = tokio::spawn(async move {
        let items = [Item { variant_id: first, quantity: 2 }];
        let mut conn = pool.get().await.unwrap();
        cart::replace(&mut conn, &same_shop, changer, &items, &guest_origin()).await
    });
    until_waiting(&db, 1).await;
    let (pool, same_shop) = (db.pool().clone(), shop.clone());
    let checkout = tokio::spawn(async move {
        let mut conn = pool.get().await.unwrap();
        place_order(&mut conn, &same_shop, order_wish(buyer)).await
    });
    until_waiting(&db, 2).await;
    AnsiTransactionManager::commit_transaction(&mut *holder).await.unwrap();
    drop(holder);

    // Neither repeats anything: a deadlock would be the error of one of them.
    replacement.await.unwrap().unwrap();
    checkout.await.unwrap().unwrap();
    assert_eq!(quantities(&db, &shop, changer).await, [(first, 2)]);
    assert_eq!((held(&db, first).await, held(&db, second).await), (2, 0));
    assert_eq!((db.stock(first).await, db.stock(second).await), ((10, 3), (10, 1)));
    db.finish().await;
}

#[tokio::test]
async fn without_a_transaction_nothing_is_ordered_along_with_other_writes() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(100, 1).await;
    let owner = db.shopper(&shop, &[(variant, 1)]).await;
    let conn = &mut *db.conn().await;
    let request = IdempotentRequest::new("guest", "POST", "/v1/orders/checkout", "key", b"");
    let answer = StoredAnswer { status: 201, headers: Vec::new(), body: String::new() };
    let refused = place_order_and_answer(conn, &shop, order_wish(owner), &request, |_| answer).await;
    assert!(
        matches!(refused, Err(PlaceOrderError::Database(diesel::result::Error::NotInTransaction))),
        "{refused:?}"
    );
    assert_eq!(db.stock(variant).await, (1, 0));
    db.finish().await;
}

#[tokio::test]
async fn an_item_that_is_no_longer_for_sale_has_no_units_to_order() {
    use diesel_async::SimpleAsyncConnection;
    let db = TestDatabase::new().await;
    for mode in [ReservationMode::Checkout, ReservationMode::Cart] {
        let shop = ShopSettings { reservation_mode: mode, ..Default::default() };
        let (kept, archived, inactive) =
            (db.variant(100, 5).await, db.variant(100, 5).await, db.variant(100, 5).await);
        let owner = db.shopper(&shop, &[(kept, 1), (archived, 1), (inactive, 1)]).await;
        let mut conn = db.conn().await;
        let withdraw = format!(
            "UPDATE commerce.products SET status = 'archived'
             WHERE id = (SELECT product_id FROM commerce.variants WHERE id = '{archived}');
             UPDATE commerce.variants SET active = false WHERE id = '{inactive}'"
        );
        conn.batch_execute(&withdraw).await.unwrap();
        let cart = cart::view(&mut conn, &shop, owner).await.unwrap();
        let available: Vec<_> =
            cart.lines.iter().map(|line| (line.variant_id, line.available.units().unwrap())).collect();
        assert_eq!(available, [(kept, 5), (archived, 0), (inactive, 0)]);
    }
    db.finish().await;
}

/// The limit is written once, and the database's own check agrees with it.
#[tokio::test]
async fn the_database_takes_as_many_units_as_a_cart_does() {
    let db = TestDatabase::new().await;
    let variant = db.variant(100, 5000).await;
    db.shopper(&ShopSettings::default(), &[(variant, QUANTITY_MAX)]).await;
    let write = async |quantity: i64| {
        let all = diesel::update(cart_items::table).set(cart_items::quantity.eq(quantity));
        all.execute(&mut db.conn().await).await
    };
    assert!(write(QUANTITY_MAX + 1).await.is_err());
    assert!(write(0).await.is_err());
    assert_eq!(write(1).await, Ok(1));
    db.finish().await;
}
