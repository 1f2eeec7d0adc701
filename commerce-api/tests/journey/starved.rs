//! When there are no database connections left.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::bookkeeping;
use crate::client::{ask, get};
use crate::held::{self, Hold};
use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn without_connections_the_api_says_so_in_time_and_recovers() {
    const CONNECTIONS: usize = 3;
    // So long at the most waits a request for a connection, or a statement for a lock.
    const DEADLINE: Duration = Duration::from_secs(10);
    // Two more read the catalogue, and nothing else.
    let all = (CONNECTIONS + 2).to_string();
    let shop = Shop::open_with(|settings| settings.with("COMMERCE_DATABASE_CONNECTIONS", all)).await;
    let client = &shop.client;
    let variant = shop.database.variant(1000, 100).await;
    let mut checkouts = Vec::new();
    for _ in 0..CONNECTIONS {
        checkouts.push(held::checkout(client, variant).await);
    }
    let empty = client.send(ask(Method::PUT, "/v1/cart").json(&json!({ "items": [] }))).await.expect(200);
    let hold = Hold::on(&shop.database, "commerce.stock_levels").await;
    let mut requests = JoinSet::new();
    for checkout in &checkouts {
        let (client, checkout) = (client.clone(), checkout.clone());
        requests.spawn(async move {
            let started = Instant::now();
            (client.send(checkout).await, started.elapsed())
        });
    }
    hold.awaited_by(&shop.database, CONNECTIONS).await;

    // Who needs a connection is told to come again; who needs none is served.
    let started = Instant::now();
    let cart = get("/v1/cart").cart(empty["token"].as_str().unwrap());
    let (refused, ready, alive) =
        tokio::join!(client.send(cart.clone()), client.send(get("/readyz")), client.send(get("/healthz")));
    println!("503 for want of a connection after {} ms", started.elapsed().as_millis());
    assert!(started.elapsed() < DEADLINE);
    assert_eq!((refused.problem(503).as_str(), ready.status, alive.status), ("unavailable", 503, 200));
    assert!(refused.header("retry-after").is_some());

    // Those who wait for the lock do not wait for ever either.
    for (answer, waited) in requests.join_all().await {
        println!("503 for want of a lock after {} ms", waited.as_millis());
        assert_eq!(answer.problem(503), "unavailable");
        assert!(answer.header("retry-after").is_some() && waited < 2 * DEADLINE, "{waited:?}");
    }
    let open = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND xact_start IS NOT NULL";
    let open = bookkeeping::count(shop.database.url(), open).await;
    assert_eq!(open, 1, "only the test's own transaction may be open");

    hold.release().await;
    assert_eq!(client.send(cart).await.status, 200);
    assert_eq!(client.send(get("/readyz")).await.status, 200);
    for checkout in checkouts {
        client.send(checkout).await.expect(201);
    }
    shop.close().await;
}
