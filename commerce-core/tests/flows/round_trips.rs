//! How often a checkout waits for the database: what else costs time there, processors can be bought for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use commerce_core::db;
use commerce_core::flows::{PlaceOrderError, place_order, place_order_and_answer};
use commerce_core::idempotency::{IdempotentRequest, StoredAnswer};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, order_wish};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Stands between a program and its database, and counts how often the program speaks after the database did.
struct Wire {
    round_trips: Arc<AtomicUsize>,
    url: String,
}

impl Wire {
    /// For one connection.
    async fn to(url: &str) -> Self {
        let mut through = url::Url::parse(url).unwrap();
        let server = format!("{}:{}", through.host_str().unwrap(), through.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        through.set_host(Some("127.0.0.1")).unwrap();
        through.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let round_trips = Arc::new(AtomicUsize::new(0));
        let count = round_trips.clone();
        tokio::spawn(async move {
            let (program, _) = listener.accept().await.unwrap();
            let database = TcpStream::connect(server).await.unwrap();
            program.set_nodelay(true).unwrap();
            database.set_nodelay(true).unwrap();
            let (mut from_program, mut to_program) = program.into_split();
            let (mut from_database, mut to_database) = database.into_split();
            let answered = Arc::new(AtomicBool::new(true));
            let answers = answered.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = from_database.read(&mut bytes).await {
                    answers.store(true, Ordering::SeqCst);
                    to_program.write_all(&bytes[..length]).await.unwrap();
                }
            });
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = from_program.read(&mut bytes).await {
                if answered.swap(false, Ordering::SeqCst) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                to_database.write_all(&bytes[..length]).await.unwrap();
            }
        });
        Self { round_trips, url: through.to_string() }
    }

    fn take(&self) -> usize {
        self.round_trips.swap(0, Ordering::SeqCst)
    }
}

/// As commerce-api places an order, but for the lookup of the key.
async fn place_and_answer(
    db: &TestDatabase,
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    variants: &[(commerce_core::ids::VariantId, i64)],
    key: &str,
) {
    let owner = db.shopper(shop, variants).await;
    let request = IdempotentRequest::new("guest", "POST", "/v1/orders/checkout", key, b"");
    let answer = StoredAnswer { status: 201, headers: Vec::new(), body: String::new() };
    conn.transaction(async |conn| {
        place_order_and_answer(conn, shop, order_wish(owner), &request, |_| answer).await?;
        Ok::<_, PlaceOrderError>(())
    })
    .await
    .unwrap();
}

// One thread, so that what is sent together leaves together.
#[tokio::test]
async fn a_checkout_takes_six_round_trips_however_much_is_in_the_cart() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let mut variants = Vec::new();
    for _ in 0..5 {
        variants.push((db.variant(100, 100).await, 1));
    }
    let wire = Wire::to(db.url()).await;
    let mut conn = db::connect(&wire.url).await.unwrap();
    // Each statement is prepared once.
    place_and_answer(&db, &mut conn, &shop, &variants, "first").await;
    // BEGIN, the cart's lock, its items, the order with the stock's lock, the reservation, COMMIT.
    for (key, variants) in [("one item", &variants[..1]), ("five items", &variants[..])] {
        wire.take();
        place_and_answer(&db, &mut conn, &shop, variants, key).await;
        assert_eq!(wire.take(), 6, "{key}, with the answer");
        let owner = db.shopper(&shop, variants).await;
        place_order(&mut conn, &shop, order_wish(owner)).await.unwrap();
        assert_eq!(wire.take(), 6, "{key}");
    }
    drop(conn);
    db.finish().await;
}
