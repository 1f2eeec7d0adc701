//! What is deleted when its time is over. Expiry and mails have their own tests.

use std::time::Duration;

use commerce_core::accounts::{self, UNVERIFIED_ACCOUNTS_KEPT};
use commerce_core::cart::{self, GUEST_CARTS_KEPT};
use commerce_core::flows::expire_orders;
use commerce_core::jobs::{self, DEAD_JOBS_KEPT};
use commerce_core::payments::Providers;
use commerce_core::settings::{ReservationMode, ShopSettings};
use commerce_core::testing::TestDatabase;
use commerce_core::{idempotency, inventory, rate_limit};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn count(db: &TestDatabase, rows: &str) -> usize {
    let query = diesel::sql_query(format!("SELECT 1 FROM commerce.{rows}"));
    query.execute(&mut db.conn().await).await.unwrap()
}

#[tokio::test]
async fn a_backlog_of_any_size_is_deleted_batch_by_batch() {
    let db = TestDatabase::new().await;
    let mut conn = db.conn().await;
    conn.batch_execute(
        "INSERT INTO commerce.users (id, email, email_verified_at, password_hash, display_name)
         VALUES ('00000000-0000-7000-8000-0000000000a1', 'anna@example.com', commerce.clock(), 'x', 'Anna');
         INSERT INTO commerce.sessions (id, user_id, expires_at)
         SELECT gen_random_uuid(), '00000000-0000-7000-8000-0000000000a1', commerce.clock() - interval '8 days'
         FROM generate_series(1, 7);
         INSERT INTO commerce.sessions (id, user_id, expires_at)
         VALUES ('00000000-0000-7000-8000-0000000000b1', '00000000-0000-7000-8000-0000000000a1',
                 commerce.clock() + interval '8 days');
         INSERT INTO commerce.refresh_tokens (token_hash, session_id, used_at)
         SELECT sha256(n::text::bytea), '00000000-0000-7000-8000-0000000000b1', commerce.clock() - n * interval '29 days'
         FROM generate_series(1, 7) AS n;
         INSERT INTO commerce.one_time_codes (id, user_id, purpose, expires_at)
         SELECT gen_random_uuid(), '00000000-0000-7000-8000-0000000000a1', 'verify_email',
                commerce.clock() - (n - 0.5) * interval '1 hour'
         FROM generate_series(20, 30) AS n;
         INSERT INTO commerce.idempotency_keys (scope, fingerprint, response, expires_at)
         SELECT sha256(n::text::bytea), sha256('b'), '{}', commerce.clock() + (n - 7.5) * interval '1 minute'
         FROM generate_series(1, 10) AS n;
         INSERT INTO commerce.rate_limits (key, free_at, allowed)
         SELECT n::text, commerce.clock() + (n - 7.5) * interval '1 minute', true FROM generate_series(1, 10) AS n;",
    )
    .await
    .unwrap();
    assert_eq!(idempotency::prune(&mut conn, 2).await.unwrap(), 7);
    assert_eq!(count(&db, "idempotency_keys").await, 3);
    assert_eq!(rate_limit::prune(&mut conn, 3).await.unwrap(), 7);
    assert_eq!(count(&db, "rate_limits").await, 3);
    assert_eq!(accounts::one_time_code::prune_codes(&mut conn, 2).await.unwrap(), 6);
    assert_eq!(count(&db, "one_time_codes").await, 5);
    assert_eq!(accounts::prune_sessions(&mut conn, 2).await.unwrap(), 7 + 6);
    assert_eq!(count(&db, "sessions").await, 1);
    assert_eq!(count(&db, "refresh_tokens").await, 1);
    drop(conn);
    db.finish().await;
}

#[tokio::test]
async fn a_cart_that_its_guest_left_is_deleted_when_it_holds_nothing() {
    let db = TestDatabase::new().await;
    let checkout = ShopSettings::default();
    let holding = ShopSettings { reservation_mode: ReservationMode::Cart, ..Default::default() };
    let variant = db.variant(1000, 9).await;
    for _ in 0..2 {
        db.shopper(&checkout, &[(variant, 1)]).await;
    }
    let holder = db.shopper(&holding, &[(variant, 1)]).await;
    db.order(&checkout, &[(variant, 1)]).await;
    db.shift_clock(checkout.order_ttl).await;
    expire_orders(db.pool(), &checkout, &Providers::default(), 100).await.unwrap();

    let prune = async || cart::prune_guest_carts(&mut *db.conn().await, 1).await.unwrap();
    db.shift_clock(GUEST_CARTS_KEPT - DAY).await;
    assert_eq!(prune().await, 0);
    db.shopper(&checkout, &[(variant, 1)]).await;
    db.shift_clock(GUEST_CARTS_KEPT + DAY).await;
    assert_eq!(prune().await, 2, "not the one that still holds stock");
    inventory::release_lapsed_holds(&mut *db.conn().await, 100).await.unwrap();
    assert_eq!(prune().await, 1);
    assert!(cart::view(&mut *db.conn().await, &holding, holder).await.unwrap().lines.is_empty());
    assert_eq!((count(&db, "carts").await, count(&db, "carts WHERE status = 'ordered'").await), (2, 1));
    assert_eq!(
        count(&db, "cart_items i JOIN commerce.carts c ON c.id = i.cart_id WHERE status = 'open'").await,
        1
    );
    assert_eq!(db.stock(variant).await, (9, 0));
    db.finish().await;
}

#[tokio::test]
async fn an_account_that_was_never_verified_is_deleted() {
    let db = TestDatabase::new().await;
    let accounts = "INSERT INTO commerce.users (id, email, password_hash, display_name, role, email_verified_at, disabled_at, deleted_at)
         SELECT gen_random_uuid(), name || '@example.com', 'x', name, role, verified, disabled, deleted
         FROM (VALUES ('one', 'customer', NULL::timestamptz, NULL::timestamptz, NULL::timestamptz),
                      ('other', 'customer', NULL, NULL, NULL),
                      ('verified', 'customer', commerce.clock(), NULL, NULL),
                      ('staff', 'support', NULL, NULL, NULL),
                      ('disabled', 'customer', NULL, commerce.clock(), NULL),
                      ('deleted', 'customer', NULL, commerce.clock(), commerce.clock()))
             AS account (name, role, verified, disabled, deleted);
         INSERT INTO commerce.one_time_codes (id, user_id, purpose, expires_at)
         SELECT gen_random_uuid(), id, 'verify_email', commerce.clock() FROM commerce.users WHERE email LIKE 'o%';";
    db.conn().await.batch_execute(accounts).await.unwrap();
    let prune = async || accounts::prune_unverified(&mut *db.conn().await, 1).await.unwrap();
    db.shift_clock(UNVERIFIED_ACCOUNTS_KEPT - DAY).await;
    assert_eq!(prune().await, 0);
    db.shift_clock(UNVERIFIED_ACCOUNTS_KEPT + DAY).await;
    assert_eq!(prune().await, 2);
    assert_eq!(count(&db, "users").await, 4);
    assert_eq!(count(&db, "users WHERE email LIKE 'o%'").await, 0);
    db.finish().await;
}

#[tokio::test]
async fn a_job_that_died_long_ago_is_deleted() {
    let db = TestDatabase::new().await;
    let jobs = "INSERT INTO commerce.jobs (id, kind, payload, state, attempts_max)
         SELECT gen_random_uuid(), 'count', '{}', state, 1 FROM unnest(ARRAY['dead', 'dead', 'ready']) AS state;";
    db.conn().await.batch_execute(jobs).await.unwrap();
    let prune = async || jobs::prune_dead(&mut *db.conn().await, 1).await.unwrap();
    db.shift_clock(DEAD_JOBS_KEPT - DAY).await;
    assert_eq!(prune().await, 0);
    db.shift_clock(DEAD_JOBS_KEPT + DAY).await;
    assert_eq!(prune().await, 2);
    assert_eq!(count(&db, "jobs WHERE state = 'ready'").await, 1);
    db.finish().await;
}
