//! What a shopper may keep from others without paying: so many orders, so many units, so much time.

use std::time::Duration;

use commerce_core::cart::{self, CartError, HoldLimit, Item, Owner};
use commerce_core::flows::{
    CancelledBy, PlaceOrderError, cancel_order, expire_unattempted_orders, place_order,
};
use commerce_core::ids::VariantId;
use commerce_core::settings::{ReservationMode, ShopSettings};
use commerce_core::testing::{TestDatabase, guest_origin, order_wish};

use crate::carts::{held, user};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn put(
    db: &TestDatabase,
    shop: &ShopSettings,
    owner: Owner,
    variant_id: VariantId,
    quantity: i64,
) -> Result<(), CartError> {
    cart::replace(&mut *db.conn().await, shop, owner, &[Item { variant_id, quantity }], &guest_origin()).await
}

#[tokio::test]
async fn a_shopper_has_so_many_unpaid_orders_and_another_after_one_was_cancelled() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings { open_orders_max: 2, held_units_max: 10, ..Default::default() };
    let variant = db.variant(1000, 100).await;
    let (owner, first) = db.order(&shop, &[(variant, 6)]).await;
    put(&db, &shop, owner, variant, 5).await.unwrap();
    let refused = place_order(&mut *db.conn().await, &shop, order_wish(owner)).await;
    assert!(matches!(refused, Err(PlaceOrderError::HoldLimit(HoldLimit::Units(10)))), "{refused:?}");
    put(&db, &shop, owner, variant, 4).await.unwrap();
    place_order(&mut *db.conn().await, &shop, order_wish(owner)).await.unwrap();
    put(&db, &shop, owner, variant, 1).await.unwrap();
    let refused = place_order(&mut *db.conn().await, &shop, order_wish(owner)).await;
    assert!(matches!(refused, Err(PlaceOrderError::HoldLimit(HoldLimit::Orders(2)))), "{refused:?}");
    let by = CancelledBy::Customer(owner.into());
    cancel_order(&mut *db.conn().await, first.order.id, by, &guest_origin()).await.unwrap();
    place_order(&mut *db.conn().await, &shop, order_wish(owner)).await.unwrap();
    assert_eq!(db.stock(variant).await, (100, 5));
    db.finish().await;
}

#[tokio::test]
async fn a_cart_holds_no_more_than_may_be_held_together_with_unpaid_orders() {
    let db = TestDatabase::new().await;
    let shop =
        ShopSettings { reservation_mode: ReservationMode::Cart, held_units_max: 10, ..Default::default() };
    let variant = db.variant(1000, 100).await;
    let (owner, _) = db.order(&shop, &[(variant, 4)]).await;
    let refused = put(&db, &shop, owner, variant, 7).await;
    assert!(matches!(refused, Err(CartError::HoldLimit(HoldLimit::Units(10)))), "{refused:?}");
    put(&db, &shop, owner, variant, 6).await.unwrap();
    let other = db.variant(1000, 100).await;
    let more = Item { variant_id: other, quantity: 1 };
    let refused = cart::add_item(&mut *db.conn().await, &shop, owner, more, &guest_origin()).await;
    assert!(matches!(refused, Err(CartError::HoldLimit(HoldLimit::Units(10)))), "{refused:?}");
    assert_eq!((held(&db, variant).await, held(&db, other).await), (6, 0));
    db.finish().await;
}

#[tokio::test]
async fn renewed_holds_end_and_the_cart_can_still_be_ordered() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings {
        reservation_mode: ReservationMode::Cart,
        cart_hold_ttl: Duration::from_secs(900),
        cart_hold_max: Duration::from_secs(1200),
        ..Default::default()
    };
    let variant = db.variant(1000, 5).await;
    let user_id = user(&db).await;
    let owner = Owner::User(user_id);
    put(&db, &shop, owner, variant, 5).await.unwrap();
    db.shift_clock(Duration::from_secs(800)).await;
    put(&db, &shop, owner, variant, 5).await.unwrap();
    // The renewed hold ends 400 seconds later, not 900.
    db.shift_clock(Duration::from_secs(1201)).await;
    let other = db.shopper(&shop, &[(variant, 4)]).await;
    assert_eq!(held(&db, variant).await, 4, "the other shopper has them");
    put(&db, &shop, owner, variant, 1).await.unwrap();
    assert_eq!(held(&db, variant).await, 4, "the cart holds nothing any more");
    assert!(matches!(put(&db, &shop, owner, variant, 2).await, Err(CartError::OutOfStock(_))));
    place_order(&mut *db.conn().await, &shop, order_wish(owner)).await.unwrap();
    // The next cart of the same user goes on where this one ended. A day later the time begins anew.
    cart::clear(&mut *db.conn().await, &shop, other, &guest_origin()).await.unwrap();
    put(&db, &shop, owner, variant, 1).await.unwrap();
    assert_eq!(held(&db, variant).await, 0);
    db.shift_clock(DAY + Duration::from_secs(1300)).await;
    put(&db, &shop, owner, variant, 1).await.unwrap();
    assert_eq!(held(&db, variant).await, 1);
    expire_unattempted_orders(db.pool(), 100).await.unwrap();
    db.finish().await;
}
