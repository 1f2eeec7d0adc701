//! Many readers of the catalogue at once.

use std::time::{Duration, Instant};

use commerce_api::http::readers::Readers;
use commerce_core::db::{PoolSettings, pool};
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::json;
use tokio::time::sleep;

use crate::shop::{TestShop, ask, get};

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_leave_purchases_their_connections() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 10).await;
    let settings = PoolSettings { connections_max: 1, ..PoolSettings::default() };
    let readers = pool(shop.database.url(), &settings).unwrap();
    let process = shop.reading_over(Readers { always: readers.clone(), spare: readers.clone() });
    // Somebody's expensive question.
    let busy = readers.get().await.unwrap();

    let waiting = join_all((0..17).map(|_| process.send(get("/v1/products"))));
    let others = async {
        while readers.status().waiting < 17 {
            sleep(Duration::from_millis(5)).await;
        }
        let asked = Instant::now();
        for path in ["/v1/products", "/v1/products/mug", "/v1/products/search?q=mug", "/v1/category-tree"] {
            let refused = process.send(get(path)).await;
            refused.problem(503, "unavailable");
            assert_eq!(refused.header("retry-after"), Some("1"), "{path}");
        }
        // They are refused soon, but not so fast that asking again and again keeps the server busy.
        let took = asked.elapsed() / 4;
        assert!((Duration::from_millis(900)..Duration::from_secs(2)).contains(&took), "{took:?}");
        let cart = json!({ "items": [{ "variant_id": variant.0, "quantity": 1 }] });
        assert_eq!(process.send(ask(Method::PUT, "/v1/cart").json(&cart)).await.status, 200);
        drop(busy);
    };
    let (waited, ()) = tokio::join!(waiting, others);
    assert!(waited.iter().all(|got| got.status == 200), "who was let in is served");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_readers_are_served_while_nobody_buys() {
    let shop = TestShop::new().await;
    let one = PoolSettings { connections_max: 1, ..PoolSettings::default() };
    let [always, spare] = [(), ()].map(|()| pool(shop.database.url(), &one).unwrap());
    let process = shop.reading_over(Readers { always: always.clone(), spare: spare.clone() });
    let busy = always.get().await.unwrap();

    assert_eq!(process.send(get("/v1/products")).await.status, 200, "the spare connection serves it");
    let purchase = shop.database.pool().get().await.unwrap();
    let waiting = process.send(get("/v1/products"));
    let others = async {
        while always.status().waiting < 1 {
            sleep(Duration::from_millis(5)).await;
        }
        drop(purchase);
        assert_eq!(process.send(get("/v1/products")).await.status, 200, "nobody buys any more");
        drop(busy);
    };
    let (waited, ()) = tokio::join!(waiting, others);
    assert_eq!(waited.status, 200);
    assert_eq!(spare.status().size, 1);
    shop.database.finish().await;
}
