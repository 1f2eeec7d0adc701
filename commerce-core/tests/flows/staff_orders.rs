//! Orders that staff take down: no cart stands behind them, and perhaps nobody who could log in.

use commerce_core::flows::{
    BeginPaymentError, CancelledBy, Dispatch, begin_payment, cancel_order, process_order, ship_order,
};
use commerce_core::orders::{self, OrderSource, OrderStatus};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, guest, guest_origin};
use diesel_async::SimpleAsyncConnection as _;

use crate::payments::{begin, order, settle, success, wish};

#[tokio::test]
async fn an_order_without_a_cart_is_paid_and_shipped() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let owner = guest();
    let placed = db.staff_order(&shop, Some(owner), &[(variant, 2)]).await;
    assert_eq!((placed.source, placed.subtotal_minor, placed.total_minor), (OrderSource::Staff, 2000, 2000));
    assert_eq!(db.stock(variant).await, (5, 2));

    let payment = begin(&db, placed.id, owner, None).await;
    settle(&db, &shop, payment.id, success(&payment)).await;
    assert_eq!(order(&db, placed.id).await.status, OrderStatus::Paid);
    let mut conn = db.conn().await;
    process_order(&mut conn, placed.id, &guest_origin()).await.unwrap();
    let shipped = ship_order(&mut conn, placed.id, &Dispatch::default(), &guest_origin()).await.unwrap();
    drop(conn);
    assert_eq!(shipped.status, OrderStatus::Shipped);
    assert_eq!(db.stock(variant).await, (3, 0));
    db.finish().await;
}

#[tokio::test]
async fn an_order_without_a_cart_is_cancelled_and_its_money_goes_back() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let owner = guest();
    let placed = db.staff_order(&shop, Some(owner), &[(variant, 2)]).await;
    let payment = begin(&db, placed.id, owner, None).await;
    settle(&db, &shop, payment.id, success(&payment)).await;
    let cancelled =
        cancel_order(&mut *db.conn().await, placed.id, CancelledBy::Customer(owner.into()), &guest_origin())
            .await;
    assert_eq!(cancelled.unwrap().status, OrderStatus::Cancelled);
    assert_eq!(db.stock(variant).await, (5, 0));
    db.finish().await;
}

#[tokio::test]
async fn an_order_of_nobody_is_for_staff_alone() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let placed = db.staff_order(&shop, None, &[(variant, 1)]).await;
    let mut conn = db.conn().await;
    assert!(orders::find_owned(&mut conn, placed.id, guest()).await.unwrap().is_none());
    let payment = begin_payment(&mut conn, wish(placed.id, guest(), None)).await;
    assert!(matches!(payment, Err(BeginPaymentError::OrderNotFound)), "{payment:?}");
    let cancelled = cancel_order(&mut conn, placed.id, CancelledBy::Admin, &guest_origin()).await.unwrap();
    assert_eq!(cancelled.status, OrderStatus::Cancelled);
    drop(conn);
    db.finish().await;
}

/// What the database itself refuses, by the name of the rule.
#[tokio::test]
async fn an_order_is_somebodys_and_its_total_is_the_sum_of_its_parts() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    db.order(&shop, &[(variant, 1)]).await;
    for (change, rule) in [
        ("token_hash = NULL", "orders_owner_check"),
        ("cart_id = NULL", "orders_cart_check"),
        ("source = 'staff'", "orders_cart_check"),
        ("source = 'fax', cart_id = NULL", "orders_source_check"),
        ("tax_included_minor = 1", "orders_amounts_check"),
        ("tax_minor = 190", "orders_amounts_check"),
        ("tax_minor = 190, tax_included_minor = 191, total_minor = 999", "orders_amounts_check"),
        ("paid_minor = 1000", "orders_paid_at_check"),
        ("status = 'paid'", "orders_paid_status_check"),
    ] {
        let update = format!("UPDATE commerce.orders SET {change}");
        let refused = db.conn().await.batch_execute(&update).await.unwrap_err();
        let diesel::result::Error::DatabaseError(_, told) = &refused else { panic!("{change}: {refused}") };
        assert_eq!(told.constraint_name(), Some(rule), "{change}");
    }
    let included = "UPDATE commerce.orders SET tax_minor = 160, tax_included_minor = 160";
    db.conn().await.batch_execute(included).await.unwrap();
    db.finish().await;
}

/// Paid is something that happened. What is charged afterwards is due, and does not undo it.
#[tokio::test]
async fn a_total_that_is_raised_after_payment_leaves_the_order_paid_and_the_difference_due() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    settle(&db, &shop, payment.id, success(&payment)).await;
    let paid = order(&db, placed.order.id).await;
    assert_eq!(paid.due_minor(), 0);
    let raise = "UPDATE commerce.orders SET shipping_minor = 250, total_minor = total_minor + 250";
    db.conn().await.batch_execute(raise).await.unwrap();
    let raised = order(&db, placed.order.id).await;
    assert_eq!((raised.status, raised.paid_at, raised.due_minor()), (OrderStatus::Paid, paid.paid_at, 250));
    db.finish().await;
}
