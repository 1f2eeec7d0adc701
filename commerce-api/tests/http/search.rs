//! Searching over HTTP.

use commerce_core::accounts::Role;
use serde_json::{Value, json};

use crate::shop::{TestShop, get, post};

#[tokio::test(flavor = "multi_thread")]
async fn shoppers_search_with_filters_facets_pages_and_marks() {
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::CatalogueManager).await;
    for (title, price, glaze) in [("Stoneware Mug", 1800, "Ink: matt"), ("Stoneware Bowl", 2600, "Moss")] {
        let price = json!({ "amount": price, "currency": "USD" });
        let body = json!({ "title": title, "variants": [
            { "options": { "Glaze": glaze }, "price": price, "stock": 3 }] });
        let made = shop.send(post("/v1/products", &body).bearer(&token)).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let search = async |query: &str| -> Value {
        let got = shop.send(get(&format!("/v1/products/search?{query}"))).await;
        assert_eq!(got.status, 200, "{query}: {}", got.text);
        got.json()
    };
    let titles = |result: &Value| -> Vec<String> {
        let data = result["data"].as_array().unwrap().iter();
        data.map(|product| product["title"].as_str().unwrap().to_owned()).collect()
    };

    let result = search("q=stonewear%20mu").await;
    assert_eq!((titles(&result), &result["total"]), (vec!["Stoneware Mug".to_owned()], &json!(1)));
    assert_eq!(result["data"][0]["highlights"]["title"], "<mark>Stoneware</mark> <mark>Mug</mark>");
    // A product is what it is everywhere else, and its highlights.
    let mut product = result["data"][0].clone();
    product.as_object_mut().unwrap().remove("highlights");
    assert_eq!(product, shop.send(get("/v1/products/stoneware-mug")).await.json());

    let result = search("q=stoneware&option=Glaze:Ink:%20matt").await;
    assert_eq!(titles(&result), ["Stoneware Mug"]);
    let glazes = json!([{ "value": "Ink: matt", "count": 1 }, { "value": "Moss", "count": 1 }]);
    assert_eq!(result["facets"]["options.Glaze"], glazes);
    assert_eq!(
        titles(&search("sort=-price&option=Glaze:Moss&option=Glaze:Ink:%20matt").await),
        ["Stoneware Bowl", "Stoneware Mug"]
    );

    let second = search("sort=price&limit=1&page=2").await;
    assert_eq!(titles(&second), ["Stoneware Bowl"]);
    assert_eq!(
        (&second["page"], &second["limit"], &second["pages"], &second["total"]),
        (&json!(2), &json!(1), &json!(2), &json!(2))
    );

    assert_eq!(second["total_is_exact"], true);
    let refused = shop.send(get("/v1/products/search?option=Glaze")).await;
    assert_eq!(refused.problem(400, "invalid_parameter"), ["option"]);
    shop.database.finish().await;
}

mod meilisearch_tests {
    use std::time::Duration;

    use commerce_core::search::keep_index;
    use commerce_core::testing::MeilisearchServer;
    use serde_json::Value;

    use crate::processes::{commerce_api, serve};
    use crate::shop::TestShop;
    use crate::webdriver::http_client;

    /// Whoever looks after the shop is told which engine answers, and why.
    #[tokio::test(flavor = "multi_thread")]
    async fn readiness_tells_who_searches() {
        let shop = TestShop::new().await;
        shop.database.variant(1250, 3).await;
        let mut server = MeilisearchServer::start().await;
        let told_at = [free_address(), free_address()];
        let mut command = commerce_api(shop.database.url());
        command.env("COMMERCE_METRICS_ADDR", &told_at[0]);
        let (_without, _) = serve(command).await;
        let mut command = commerce_api(shop.database.url());
        command.env("MEILISEARCH_URL", server.url()).env("COMMERCE_METRICS_ADDR", &told_at[1]);
        let (_with, with) = serve(command).await;
        let ready = async |told_at: &str| -> (String, String) {
            let got = http_client().get(format!("http://{told_at}/readyz")).send().await.unwrap();
            assert_eq!(got.status(), 200, "search is no reason to take a shop out of service");
            let told: Value = got.json().await.unwrap();
            (told["status"].as_str().unwrap().to_owned(), told["search"].as_str().unwrap().to_owned())
        };
        let searches = async |url: &str| {
            let got = http_client().get(format!("{url}/v1/products/search")).send().await.unwrap();
            assert_eq!(got.json::<Value>().await.unwrap()["total"], 1);
        };
        assert_eq!(
            ready(&told_at[0]).await,
            ("ready".to_owned(), "ok".to_owned()),
            "Postgres is all it was told of"
        );

        let (status, told) = ready(&told_at[1]).await;
        assert_eq!(status, "degraded");
        assert!(told.starts_with("Postgres searches: ") && told.contains("no index yet"), "{told}");
        searches(&with).await;
        keep_index(shop.database.pool(), &server.client()).await.unwrap();
        assert_eq!(ready(&told_at[1]).await, ("ready".to_owned(), "ok".to_owned()));
        server.kill();
        let (status, told) = ready(&told_at[1]).await;
        assert_eq!(status, "degraded");
        assert!(told.starts_with("Postgres searches: the search engine does not answer"), "{told}");
        searches(&with).await;
        let before = counted(&told_at[1]).await;
        assert!(before.fallbacks > 0, "{before:?}");

        // It is back: once it was left alone for a while, it searches again.
        server.start_again().await;
        while counted(&told_at[1]).await.by_meilisearch == before.by_meilisearch {
            searches(&with).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let after = counted(&told_at[1]).await;
        searches(&with).await;
        let last = Counted { by_meilisearch: after.by_meilisearch + 1, ..after };
        assert_eq!(counted(&told_at[1]).await, last, "nothing falls back any more");
        shop.database.discard().await;
    }

    /// An address that nobody listens at.
    fn free_address() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    /// What the server at this address says that it has counted.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Counted {
        fallbacks: u32,
        by_meilisearch: u32,
    }

    async fn counted(told_at: &str) -> Counted {
        let text = http_client()
            .get(format!("http://{told_at}/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(0, |count| count.trim().parse().unwrap())
        };
        Counted {
            fallbacks: of("commerce_search_fallbacks_total"),
            by_meilisearch: of("commerce_searches_total{engine=\"meilisearch\"}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_names_no_more_options_than_a_product_has() {
    let shop = TestShop::new().await;
    let search = |options: &str| get(&format!("/v1/products/search?q=mug{options}"));
    let three = search("&option=A:1&option=B:1&option=C:1&option=C:2");
    assert_eq!(shop.send(three).await.status, 200);
    let four = shop.send(search("&option=A:1&option=B:1&option=C:1&option=D:1")).await;
    assert_eq!(four.problem(400, "invalid_parameter"), ["option"]);
    shop.database.finish().await;
}
