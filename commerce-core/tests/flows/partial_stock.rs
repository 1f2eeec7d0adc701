//! Parts of an order's stock: shipped, given back and returned by quantity.

use commerce_core::audit;
use commerce_core::ids::{LocationId, OrderId, VariantId};
use commerce_core::inventory::{
    self, Demand, EndReservationError, MAIN_LOCATION, NotReserved, NotShipped, ReturnError, ReturnedUnits,
};
use commerce_core::orders;
use commerce_core::request::Origin;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};

const FAR: LocationId = LocationId(uuid::Uuid::from_u128(2));

/// A paid order (over nothing) of 12 units, of which 5 are reserved in the main location and 7 far away.
async fn split_order(db: &TestDatabase) -> (VariantId, OrderId) {
    let far = format!(
        "INSERT INTO commerce.stock_locations (id, code, name, priority) VALUES ('{}', 'far', 'Far', 2)
         ON CONFLICT DO NOTHING",
        FAR.0
    );
    db.conn().await.batch_execute(&far).await.unwrap();
    let variant = db.variant(0, 5).await;
    db.restock_at(variant, FAR, 20).await;
    let (_, placed) = db.order(&ShopSettings::default(), &[(variant, 12)]).await;
    (variant, placed.order.id)
}

/// The orders say how much of them was shipped.
const FOLLOW: &str = "UPDATE commerce.orders o
    SET fulfillment_status = CASE WHEN shipped = 0 THEN 'unfulfilled' WHEN shipped < wanted THEN 'partial' ELSE 'fulfilled' END,
        status = CASE WHEN shipped = 0 THEN 'paid' WHEN shipped < wanted THEN 'processing' ELSE 'shipped' END
    FROM (SELECT order_id, sum(quantity - cancelled_quantity) AS wanted, sum(shipped_quantity) AS shipped
          FROM commerce.order_lines GROUP BY 1) l
    WHERE l.order_id = o.id";

/// Ships so many units under the order's lock, and counts them at its line.
async fn ship(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    units: Demand,
) -> Result<(), EndReservationError> {
    conn.transaction(async |conn| {
        orders::lock(conn, order_id).await?;
        let mut stock = inventory::lock(conn, [units.variant_id]).await?;
        inventory::consume(conn, &mut stock, order_id, &[units], &Origin::system()).await?;
        // Each in a parcel of its own.
        let parcel = uuid::Uuid::now_v7();
        let count = format!(
            "UPDATE commerce.order_lines SET shipped_quantity = shipped_quantity + {units} WHERE order_id = '{order_id}';
             INSERT INTO commerce.shipments (id, order_id, status, tracking_number, shipped_at)
             VALUES ('{parcel}', '{order_id}', 'shipped', '{parcel}', commerce.clock());
             INSERT INTO commerce.shipment_lines (shipment_id, order_line_id, quantity)
             SELECT '{parcel}', id, {units} FROM commerce.order_lines WHERE order_id = '{order_id}';
             {FOLLOW}",
            units = units.quantity
        );
        Ok(conn.batch_execute(&count).await?)
    })
    .await
}

/// Gives back so many units under the order's lock, and takes them off its line.
async fn give_back(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    units: Demand,
) -> Result<(), EndReservationError> {
    conn.transaction(async |conn| {
        orders::lock(conn, order_id).await?;
        let mut stock = inventory::lock(conn, [units.variant_id]).await?;
        inventory::release(conn, &mut stock, order_id, &[units], "not wanted", &Origin::system()).await?;
        let count = format!(
            "UPDATE commerce.order_lines SET cancelled_quantity = cancelled_quantity + {} WHERE order_id = '{order_id}';
             {FOLLOW}",
            units.quantity
        );
        Ok(conn.batch_execute(&count).await?)
    })
    .await
}

async fn take_back(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    units: ReturnedUnits,
) -> Result<(), ReturnError> {
    conn.transaction(async |conn| {
        orders::lock(conn, order_id).await?;
        let mut stock = inventory::lock(conn, [units.variant_id]).await?;
        inventory::return_units(conn, &mut stock, order_id, &[units], "too small", &Origin::system()).await
    })
    .await
}

/// Any sequence of partial shipments, releases and returns does what the counts of a model say, and keeps the invariants after
/// each step.
#[tokio::test]
async fn any_sequence_of_parts_keeps_the_sums() {
    let db = TestDatabase::new().await;
    let mut conn = db.conn().await;
    let mut state = 42_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((state >> 33) % below).unwrap()
    };
    for _ in 0..6 {
        let (variant_id, order) = split_order(&db).await;
        let (mut on_hand, mut reserved, mut shipped, mut back) = (25, 12, 0, 0);
        for _ in 0..20 {
            let quantity = random(7);
            let units = Demand { variant_id, quantity };
            match random(3) {
                0 => match ship(&mut conn, order, units).await {
                    Ok(()) => {
                        (on_hand, reserved) = (on_hand - quantity, reserved - quantity);
                        shipped += quantity;
                        assert!(quantity > 0 && reserved >= 0);
                    }
                    Err(EndReservationError::NotReserved(short)) => {
                        assert_eq!(short, [NotReserved { variant_id, requested: quantity, reserved }]);
                        assert!(quantity > reserved);
                    }
                    Err(EndReservationError::NoUnits(_)) => assert_eq!(quantity, 0),
                    Err(other) => panic!("{other}"),
                },
                // A line has a unit at least.
                1 if quantity < reserved + shipped => match give_back(&mut conn, order, units).await {
                    Ok(()) => {
                        reserved -= quantity;
                        assert!(quantity > 0 && reserved >= 0);
                    }
                    Err(EndReservationError::NotReserved(_)) => assert!(quantity > reserved),
                    Err(EndReservationError::NoUnits(_)) => assert_eq!(quantity, 0),
                    Err(other) => panic!("{other}"),
                },
                1 => {}
                _ => {
                    let location_id = if random(2) == 0 { MAIN_LOCATION } else { FAR };
                    let restock = random(3) > 0;
                    let units = ReturnedUnits { variant_id, location_id, quantity, restock };
                    match take_back(&mut conn, order, units).await {
                        Ok(()) => {
                            back += quantity;
                            on_hand += if restock { quantity } else { 0 };
                            assert!(quantity > 0 && back <= shipped);
                        }
                        Err(ReturnError::NotShipped(short)) => {
                            let with_shopper = shipped - back;
                            assert_eq!(
                                short,
                                [NotShipped { variant_id, returned: quantity, shipped: with_shopper }]
                            );
                            assert!(quantity > with_shopper);
                        }
                        Err(ReturnError::NoUnits(_)) => assert_eq!(quantity, 0),
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            assert_eq!(db.stock(variant_id).await, (on_hand, reserved));
            assert_eq!(audit::verify(&mut conn).await.unwrap(), []);
        }
    }
    drop(conn);
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_shipments_of_the_same_units_at_once_ship_them_once() {
    let db = TestDatabase::new().await;
    for _ in 0..10 {
        let (variant_id, order) = split_order(&db).await;
        let shipments: Vec<_> = (0..2)
            .map(|_| {
                let pool = db.pool().clone();
                tokio::spawn(async move {
                    let units = Demand { variant_id, quantity: 8 };
                    ship(&mut pool.get().await.unwrap(), order, units).await
                })
            })
            .collect();
        let (mut shipped, mut refused) = (0, 0);
        for shipment in shipments {
            match shipment.await.unwrap() {
                Ok(()) => shipped += 1,
                Err(EndReservationError::NotReserved(short)) => {
                    assert_eq!(short, [NotReserved { variant_id, requested: 8, reserved: 4 }]);
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!((shipped, refused), (1, 1));
        assert_eq!(db.stock(variant_id).await, (17, 4));
    }
    db.finish().await;
}

/// The number is written once in Rust and once in SQL.
#[tokio::test]
async fn the_database_checks_the_same_maximum() {
    let db = TestDatabase::new().await;
    let variant_id = db.variant(100, 1).await;
    let set = |units: i64| {
        format!("UPDATE commerce.stock_levels SET on_hand = {units} WHERE variant_id = '{variant_id}';")
    };
    let conn = &mut db.conn().await;
    let most = format!("BEGIN; {} ROLLBACK", set(inventory::ON_HAND_MAX));
    conn.batch_execute(&most).await.unwrap();
    let refused = conn.batch_execute(&set(inventory::ON_HAND_MAX + 1)).await.unwrap_err();
    assert!(refused.to_string().contains("stock_levels_on_hand_max_check"), "{refused}");
    db.finish().await;
}
