//! A paid order leaves the house.

use commerce_core::accounts::{Permission, Role};
use commerce_core::audit_log::{self, AuditFilter, Author};
use commerce_core::flows::{
    AdvanceOrderError, CancelChoices, CancelOrderError, Dispatch, MoveOrder, MoveOrderError, OrderStep,
    cancel_order, deliver_order, move_order, note_order, process_order, ship_order,
};
use commerce_core::ids::OrderId;
use commerce_core::orders::{CancelledBy, FulfillmentStatus, OrderStatus};
use commerce_core::schema::shipments;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, guest_origin};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::payments::{begin, order, settle, success, timeline};

async fn paid_order(db: &TestDatabase, quantity: i64) -> (commerce_core::ids::VariantId, OrderId) {
    let shop = ShopSettings::default();
    let variant = db.variant(1000, quantity).await;
    let (owner, placed) = db.order(&shop, &[(variant, quantity)]).await;
    let payment = begin(db, placed.order.id, owner, None).await;
    settle(db, &shop, payment.id, success(&payment)).await;
    (variant, placed.order.id)
}

#[tokio::test]
async fn shipping_takes_the_units_out_of_stock_and_delivery_ends_the_journey() {
    let db = TestDatabase::new().await;
    let (variant, id) = paid_order(&db, 3).await;
    let mut conn = db.conn().await;
    let early = deliver_order(&mut conn, id, &guest_origin()).await;
    assert!(matches!(early, Err(AdvanceOrderError::Transition(_))), "{early:?}");
    process_order(&mut conn, id, &guest_origin()).await.unwrap();
    let dispatch = Dispatch { carrier: Some("DHL".into()), tracking_number: Some("T-1".into()) };
    let shipped = ship_order(&mut conn, id, &dispatch, &guest_origin()).await.unwrap();
    assert_eq!(
        (shipped.status, shipped.fulfillment_status),
        (OrderStatus::Shipped, FulfillmentStatus::Fulfilled)
    );
    assert_eq!(db.stock(variant).await, (0, 0));
    let again = ship_order(&mut conn, id, &dispatch, &guest_origin()).await;
    assert!(matches!(again, Err(AdvanceOrderError::Transition(_))), "{again:?}");
    let delivered = deliver_order(&mut conn, id, &guest_origin()).await.unwrap();
    assert_eq!(delivered.fulfillment_status, FulfillmentStatus::Delivered);
    drop(conn);
    assert!(timeline(&db, id).await.ends_with(&["paid", "processing", "shipped", "delivered"]));
    db.finish().await;
}

#[tokio::test]
async fn a_number_is_kept_in_one_form_and_a_parcel_without_one_gets_the_shops_own() {
    let db = TestDatabase::new().await;
    let mut numbers = Vec::new();
    for number in ["TR 12", "\u{202e}  TR\t13\u{9b} \n", " \t"] {
        let (_, id) = paid_order(&db, 1).await;
        let dispatch = Dispatch { carrier: Some(" DHL ".into()), tracking_number: Some(number.into()) };
        ship_order(&mut *db.conn().await, id, &dispatch, &guest_origin()).await.unwrap();
        let stored: (Option<String>, String) = shipments::table
            .filter(shipments::order_id.eq(id))
            .select((shipments::carrier, shipments::tracking_number))
            .first(&mut db.conn().await)
            .await
            .unwrap();
        numbers.push(stored);
    }
    let own = numbers.pop().unwrap();
    let dhl = |number: &str| (Some("DHL".to_owned()), number.to_owned());
    assert_eq!(numbers, [dhl("TR 12"), dhl("TR 13")]);
    assert!(own.1.starts_with('S') && own.1.len() == 17, "{own:?}");
    db.finish().await;
}

#[tokio::test]
async fn staff_take_the_steps_that_their_role_allows_and_each_is_in_the_audit_log() {
    let db = TestDatabase::new().await;
    let (variant, id) = paid_order(&db, 2).await;
    let mut conn = db.conn().await;
    let author = |role: Role| Author { origin: guest_origin(), role: Some(role.as_str()) };
    let wish = |step: OrderStep, role: Role| MoveOrder {
        order_id: id,
        step,
        reason: None,
        expected_version: None,
        author: author(role),
        role,
    };
    let ship = || OrderStep::Ship(Dispatch::default());
    for (step, role, missing) in [
        (ship(), Role::Support, Permission::ShipmentsWrite),
        (OrderStep::Deliver, Role::Support, Permission::ShipmentsWrite),
        (OrderStep::Cancel(CancelChoices::default()), Role::Support, Permission::PaymentsRefund),
        (OrderStep::Cancel(CancelChoices::default()), Role::Fulfilment, Permission::PaymentsRefund),
    ] {
        let refused = move_order(&mut conn, wish(step, role)).await;
        assert!(
            matches!(refused, Err(MoveOrderError::MayNot(of, which)) if of == role && which == missing),
            "{refused:?}"
        );
    }
    let read = order(&db, id).await;
    let stale = MoveOrder { expected_version: Some(read.version - 1), ..wish(ship(), Role::Fulfilment) };
    let refused = move_order(&mut conn, stale).await;
    assert!(matches!(refused, Err(MoveOrderError::VersionMismatch)), "{refused:?}");

    let fresh = MoveOrder { expected_version: Some(read.version), ..wish(ship(), Role::Fulfilment) };
    assert_eq!(move_order(&mut conn, fresh).await.unwrap().status, OrderStatus::Shipped);
    assert_eq!(db.stock(variant).await, (0, 0));
    let late = move_order(&mut conn, wish(OrderStep::Cancel(CancelChoices::default()), Role::Admin)).await;
    assert!(matches!(late, Err(MoveOrderError::Cancel(CancelOrderError::TooLate(_)))), "{late:?}");
    let noted = note_order(&mut conn, id, "Ring twice.", &author(Role::Support)).await.unwrap();
    assert_eq!(noted.data["text"], "Ring twice.");

    let entries =
        audit_log::list(&mut conn, &AuditFilter::default(), Default::default(), None).await.unwrap();
    let actions: Vec<&str> = entries.data.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["admin_note_order", "admin_move_order"]);
    assert_eq!(entries.data[0].after.as_ref().unwrap()["event_id"], noted.id.to_string());
    drop(conn);
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_racing_ship_lets_exactly_one_win() {
    let db = TestDatabase::new().await;
    for _ in 0..10 {
        let (variant, id) = paid_order(&db, 2).await;
        let (pool, other_pool) = (db.pool().clone(), db.pool().clone());
        let ship = tokio::spawn(async move {
            ship_order(&mut pool.get().await.unwrap(), id, &Dispatch::default(), &guest_origin())
                .await
                .map(|_| ())
        });
        let cancel = tokio::spawn(async move {
            cancel_order(&mut other_pool.get().await.unwrap(), id, CancelledBy::Admin, &guest_origin())
                .await
                .map(|_| ())
        });
        match (ship.await.unwrap(), cancel.await.unwrap()) {
            (Ok(()), Err(CancelOrderError::TooLate(_))) => assert_eq!(db.stock(variant).await, (0, 0)),
            (Err(AdvanceOrderError::Transition(_)), Ok(())) => assert_eq!(db.stock(variant).await, (2, 0)),
            other => panic!("{other:?}, order {:?}", order(&db, id).await),
        }
    }
    db.finish().await;
}
