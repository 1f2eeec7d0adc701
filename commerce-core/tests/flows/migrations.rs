//! Every migration goes down and up again in a shop that has been in business.

use std::fs;
use std::path::{Path, PathBuf};

use commerce_core::cart::Owner;
use commerce_core::flows::{CancelledBy, Dispatch, cancel_order, ship_order};
use commerce_core::ids::UserId;
use commerce_core::settings::{ReservationMode, ShopSettings};
use commerce_core::testing::{TestDatabase, guest_origin};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};

use crate::payments::{begin, settle, success};

/// Orders that wait, are paid, shipped and cancelled, with payments, refunds and reservations; carts that hold stock;
/// orders without a cart.
async fn fill(db: &TestDatabase) {
    let shop = ShopSettings::default();
    let variant = db.variant(1250, 100).await;
    db.order(&shop, &[(variant, 1)]).await;
    let mut paid = Vec::new();
    for quantity in 1..=3 {
        let (owner, placed) = db.order(&shop, &[(variant, quantity)]).await;
        let payment = begin(db, placed.order.id, owner, None).await;
        settle(db, &shop, payment.id, success(&payment)).await;
        paid.push(placed.order.id);
    }
    let mut conn = db.conn().await;
    ship_order(&mut conn, paid[0], &Dispatch::default(), &guest_origin()).await.unwrap();
    cancel_order(&mut conn, paid[1], CancelledBy::Admin, &guest_origin()).await.unwrap();
    let user_id = UserId::new();
    let user = format!(
        "INSERT INTO commerce.users (id, email, password_hash, display_name)
         VALUES ('{user_id}', 'ada@example.com', '$argon2id$none', 'Ada')"
    );
    conn.batch_execute(&user).await.unwrap();
    drop(conn);
    for owner in [None, Some(Owner::User(user_id))] {
        db.staff_order(&shop, owner, &[(variant, 1)]).await;
    }
    let holding = ShopSettings { reservation_mode: ReservationMode::Cart, ..shop };
    db.shopper(&holding, &[(variant, 4)]).await;
    db.shopper(&ShopSettings::default(), &[(variant, 5)]).await;
}

/// What no migration may lose.
async fn records(db: &TestDatabase) -> String {
    #[derive(diesel::QueryableByName)]
    struct Records {
        #[diesel(sql_type = diesel::sql_types::Text)]
        records: String,
    }
    let sql = "SELECT concat_ws(', ',
        (SELECT count(*) || ' orders of ' || sum(total_minor) || ' paid ' || sum(paid_minor) || ' ' || count(paid_at)
         FROM commerce.orders),
        (SELECT count(*) || ' lines of ' || sum(line_total_minor) FROM commerce.order_lines),
        (SELECT count(*) || ' payments of ' || sum(amount_minor) FROM commerce.payments),
        (SELECT count(*) || ' refunds of ' || sum(amount_minor) FROM commerce.refunds),
        (SELECT count(*) || ' parcels' FROM commerce.shipments),
        (SELECT count(*) || ' events' FROM commerce.order_events),
        (SELECT count(*) || ' reservations of ' || sum(quantity) FROM commerce.stock_reservations),
        (SELECT count(*) || ' movements of ' || sum(reserved_delta) FROM commerce.stock_movements),
        (SELECT count(*) || ' items of ' || sum(quantity) FROM commerce.cart_items)) AS records";
    let records: Records = diesel::sql_query(sql).get_result(&mut db.conn().await).await.unwrap();
    records.records
}

fn migrations() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|folder| folder.join("up.sql").is_file());
    found.sort();
    found
}

async fn run(db: &TestDatabase, migration: &Path, direction: &str) {
    let file = migration.join(direction);
    let sql = fs::read_to_string(&file).unwrap();
    let done = db.conn().await.batch_execute(&sql).await;
    done.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

#[tokio::test]
async fn every_migration_goes_down_and_up_with_orders_in_the_shop() {
    let db = TestDatabase::new().await;
    fill(&db).await;
    let before = records(&db).await;
    // The first one makes the tables themselves, and takes them away.
    let migrations = migrations();
    let later = &migrations[1..];
    for migration in later.iter().rev() {
        for direction in ["down.sql", "up.sql", "down.sql"] {
            run(&db, migration, direction).await;
        }
        assert_eq!(records(&db).await, before, "after {}", migration.display());
    }
    for migration in later {
        run(&db, migration, "up.sql").await;
    }
    assert_eq!(records(&db).await, before);
    db.finish().await;
}
