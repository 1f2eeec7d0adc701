//! Categories, imports and inventory over HTTP.

use commerce_api::program::catalogue_commands::DEMO_CATALOGUE;
use commerce_core::accounts::Role;
use commerce_core::catalog::import::{Faults, ProductReader};
use commerce_core::flows::{ImportError, ImportOptions, import_products};
use commerce_core::money::Currency;
use commerce_core::request::Origin;
use diesel_async::AsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Got, TestShop, ask, get, post};

const APPAREL: &str = include_str!("../../../commerce-core/tests/data/shopify-apparel.csv");

async fn admin(shop: &TestShop) -> String {
    shop.login(Role::Admin).await.1
}

async fn import_csv(shop: &TestShop, token: &str, query: &str, csv: &str) -> Got {
    let path = format!("/v1/admin/products/import{query}");
    shop.send(ask(Method::POST, &path).body("text/csv", csv).bearer(token)).await
}

fn counts(got: &Got) -> [u64; 4] {
    let report = got.json();
    ["created", "updated", "unchanged", "skipped"]
        .map(|name| report[name].as_u64().unwrap_or_else(|| panic!("{}", got.text)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopify_export_goes_in_and_is_sold_from() {
    let shop = TestShop::new().await;
    let token = admin(&shop).await;
    assert_eq!(counts(&import_csv(&shop, &token, "?dry_run=true", APPAREL).await), [20, 0, 0, 0]);
    assert_eq!(shop.send(get("/v1/products")).await.json()["data"], json!([]));
    assert_eq!(counts(&import_csv(&shop, &token, "", APPAREL).await), [20, 0, 0, 0]);
    assert_eq!(counts(&import_csv(&shop, &token, "?stock=set&layout=shopify", APPAREL).await), [0, 0, 20, 0]);

    let women = shop.send(get("/v1/products?category=women&limit=100")).await.json();
    assert_eq!(women["data"].as_array().unwrap().len(), 14);
    let top = shop.send(get("/v1/products/classic-varsity-top")).await.json();
    assert_eq!(top["variants"].as_array().unwrap().len(), 3);
    let body = json!({ "variant_id": top["variants"][0]["id"], "quantity": 1 });
    let cart = shop.send(post("/v1/cart/items", &body)).await;
    assert_eq!(cart.json()["subtotal"]["amount"], 6000, "{}", cart.text);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_lines_are_named_and_nothing_or_the_rest_is_imported() {
    let shop = TestShop::new().await;
    let token = admin(&shop).await;
    let csv = "slug,title,price\na,A,1\nb,B,1.234\n";
    let refused = import_csv(&shop, &token, "", csv).await;
    refused.problem(422, "validation_failed");
    let error = &refused.json()["errors"][0];
    assert_eq!((&error["line"], &error["column"]), (&json!(3), &json!("price")), "{}", refused.text);
    assert_eq!(shop.send(get("/v1/products")).await.json()["data"], json!([]));
    let skipped = import_csv(&shop, &token, "?on_error=skip", csv).await;
    assert_eq!((counts(&skipped), &skipped.json()["errors"][0]["line"]), ([1, 0, 0, 1], &json!(3)));

    let many = "slug,title,price\n".to_owned() + &"c,C,x\n".repeat(Faults::LISTED_MAX + 5);
    let report = import_csv(&shop, &token, "?on_error=skip", &many).await.json();
    assert_eq!(report["errors"].as_array().unwrap().len(), Faults::LISTED_MAX);
    assert_eq!(report["errors_total"], json!(Faults::LISTED_MAX + 5));

    for csv in ["", "nonsense", "\u{0}", "Handle\n"] {
        import_csv(&shop, &token, "?on_error=skip", csv).await.problem(422, "validation_failed");
    }
    assert_eq!(counts(&import_csv(&shop, &token, "", "slug,title,price\n").await), [0, 0, 0, 0]);
    let json = ask(Method::POST, "/v1/admin/products/import").json(&json!({})).bearer(&token);
    shop.send(json).await.problem(415, "unsupported_media_type");
    let unknown = import_csv(&shop, &token, "?on_error=maybe", csv).await;
    assert_eq!(unknown.problem(400, "invalid_parameter"), ["on_error"]);

    // A key belongs to the file and to what is to be done with it.
    let keyed = |query: &str| {
        let path = format!("/v1/admin/products/import{query}");
        ask(Method::POST, &path)
            .body("text/csv", "slug,title,price\nk,K,1\n")
            .bearer(&token)
            .header("Idempotency-Key", "import-1")
    };
    assert_eq!(counts(&shop.send(keyed("?dry_run=true")).await), [1, 0, 0, 0]);
    shop.send(keyed("")).await.problem(422, "idempotency_key_reused");
    shop.database.finish().await;
}

/// A dry run is answered with the report, whatever is in the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_tells_what_is_hidden_warned_of_and_not_read() {
    let shop = TestShop::new().await;
    let token = admin(&shop).await;
    let csv = "Handle,Title,Published,Variant SKU,Variant Inventory Qty,Variant Price,Status,Metafield\n\
        part,Part,FALSE,S-1,-3,1.00,active,x\nmug,Mug,TRUE,S-1,2,1.00,active,\nbad,Bad,TRUE,,1,one,active,\n";
    let dry = import_csv(&shop, &token, "?dry_run=true", csv).await;
    assert_eq!(counts(&dry), [2, 0, 0, 1], "{}", dry.text);
    let report = dry.json();
    assert_eq!(
        (&report["layout"], &report["hidden"], &report["errors_total"]),
        (&json!("shopify"), &json!(1), &json!(1))
    );
    assert_eq!(report["hidden_examples"][0]["message"], "\"Part\" is hidden: Published is FALSE");
    let kinds: Vec<_> =
        report["warnings"].as_array().unwrap().iter().map(|warning| &warning["kind"]).collect();
    assert_eq!(kinds, ["negative_stock", "repeated_sku"]);
    let example = &report["warnings"][1]["examples"][0];
    assert_eq!((&example["line"], &example["column"]), (&json!(3), &json!("Variant SKU")));
    assert_eq!(report["ignored_columns"], json!([{ "column": "Metafield", "cells": 1, "example": "x" }]));
    import_csv(&shop, &token, "", csv).await.problem(422, "validation_failed");
    let strict = import_csv(&shop, &token, "?dry_run=true&repeated_sku=refuse", csv).await;
    assert_eq!(strict.json()["errors_total"], 2, "{}", strict.text);

    assert_eq!(counts(&import_csv(&shop, &token, "?on_error=skip", csv).await), [2, 0, 0, 1]);
    shop.send(get("/v1/products/part")).await.problem(404, "not_found");
    assert_eq!(shop.send(get("/v1/products/mug")).await.status, 200);
    let woocommerce = "Name,Type,Regular price\nKettle,simple,7\n";
    let read = import_csv(&shop, &token, "?layout=woocommerce", woocommerce).await;
    assert_eq!((counts(&read), &read.json()["layout"]), ([1, 0, 0, 0], &json!("woocommerce")));
    shop.database.finish().await;
}

/// With the mark Excel reads the file as UTF-8. Formulas stay texts.
#[tokio::test(flavor = "multi_thread")]
async fn exports_open_in_a_spreadsheet() {
    let shop = TestShop::new().await;
    let token = admin(&shop).await;
    let csv =
        "slug,title,price\ngrater,Käsereibe,1.00\nformula,\"=HYPERLINK(\"\"http://x.example\"\")\",1.00\n";
    import_csv(&shop, &token, "", csv).await;
    for path in ["/v1/admin/products/export", "/v1/admin/orders/export"] {
        let plain = shop.send(get(path).bearer(&token)).await.text;
        let marked = shop.send(get(&format!("{path}?bom=true")).bearer(&token)).await.text;
        assert_eq!(marked, format!("\u{feff}{plain}"));
    }
    let file = shop.send(get("/v1/admin/products/export?bom=true").bearer(&token)).await.text;
    assert!(file.contains("Käsereibe") && file.contains(",\"'=HYPERLINK("), "{file}");
    assert_eq!(counts(&import_csv(&shop, &token, "", &file).await), [0, 0, 2, 0]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn categories_are_kept_by_staff() {
    let shop = TestShop::new().await;
    let token = admin(&shop).await;
    let made = shop
        .send(post("/v1/categories", &json!({ "title": "For Cooks", "position": 2 })).bearer(&token))
        .await;
    assert_eq!((made.status.as_u16(), &made.json()["slug"]), (201, &json!("for-cooks")), "{}", made.text);
    let path = "/v1/categories/for-cooks";
    let tag = shop.send(get(path)).await.header("etag").unwrap().to_owned();
    let patch = |body: Value| ask(Method::PATCH, path).json(&body).bearer(&token);
    let changed = shop.send(patch(json!({ "title": "Cooks" })).header("If-Match", &tag)).await;
    assert_eq!(
        (changed.status.as_u16(), &changed.json()["title"]),
        (200, &json!("Cooks")),
        "{}",
        changed.text
    );
    shop.send(patch(json!({ "title": "Late" })).header("If-Match", &tag))
        .await
        .problem(412, "version_mismatch");
    assert_eq!(shop.send(patch(json!({ "title": "" }))).await.problem(422, "validation_failed"), ["/title"]);
    shop.send(post("/v1/categories", &json!({ "title": "x", "slug": "for-cooks" })).bearer(&token))
        .await
        .problem(409, "slug_taken");
    let listed = shop.send(get("/v1/categories")).await.json();
    assert_eq!(listed["data"][0]["title"], "Cooks");

    let product = json!({ "title": "Pan", "category_ids": [made.json()["id"]] });
    shop.send(post("/v1/products", &product).bearer(&token)).await;
    let refused = shop.send(ask(Method::DELETE, path).bearer(&token)).await;
    refused.problem(409, "category_in_use");
    assert_eq!(refused.json()["products"], 1);
    let gone = shop.send(ask(Method::DELETE, &format!("{path}?detach_products=true")).bearer(&token)).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    assert_eq!(shop.send(get("/v1/products/pan")).await.json()["category_ids"], json!([]));
    shop.send(get(path)).await.problem(404, "not_found");
    shop.send(ask(Method::DELETE, path).bearer(&token)).await.problem(404, "not_found");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_adjusted_with_a_line_in_the_ledger() {
    let shop = TestShop::new().await;
    let token = admin(&shop).await;
    let body = json!({ "title": "Cup", "price": { "amount": 500, "currency": "USD" }, "stock": 3 });
    let cup = shop.send(post("/v1/products", &body).bearer(&token)).await.json();
    let variant = cup["variants"][0]["id"].as_str().unwrap();
    let path = format!("/v1/admin/inventory/{variant}/adjustments");
    let adjust = |body: Value| post(&path, &body).bearer(&token);

    let level =
        shop.send(adjust(json!({ "delta": 4, "reason": "delivery" })).header("Idempotency-Key", "a")).await;
    assert_eq!((level.status.as_u16(), &level.json()["on_hand"]), (201, &json!(7)), "{}", level.text);
    let again =
        shop.send(adjust(json!({ "delta": 4, "reason": "delivery" })).header("Idempotency-Key", "a")).await;
    assert_eq!(again.json()["on_hand"], 7);
    shop.send(adjust(json!({ "delta": -8 }))).await.problem(409, "stock_reserved");
    for wrong in [json!({}), json!({ "delta": 1.5 }), json!({ "delta": 2_000_000_000_000i64 })] {
        assert_eq!(shop.send(adjust(wrong)).await.problem(422, "validation_failed"), ["/delta"]);
    }
    let unknown = format!("/v1/admin/inventory/{}/adjustments", uuid::Uuid::now_v7());
    shop.send(post(&unknown, &json!({ "delta": 1 })).bearer(&token)).await.problem(404, "not_found");

    let unknown = format!("/v1/admin/inventory/{}/movements", uuid::Uuid::now_v7());
    shop.send(get(&unknown).bearer(&token)).await.problem(404, "not_found");
    let movements =
        shop.send(get(&format!("/v1/admin/inventory/{variant}/movements?limit=1")).bearer(&token)).await;
    let movement = &movements.json()["data"][0];
    assert_eq!(
        (&movement["kind"], &movement["on_hand_delta"], &movement["reason"]),
        (&json!("adjust"), &json!(4), &json!("delivery"))
    );
    assert!(movement["actor"].as_str().unwrap().starts_with("user:"));
    let levels = shop.send(get("/v1/admin/inventory?available_max=7").bearer(&token)).await.json();
    assert_eq!(levels["data"][0]["product_title"], "Cup");
    assert_eq!(
        shop.send(get("/v1/admin/inventory?available_max=6").bearer(&token)).await.json()["data"],
        json!([])
    );
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn categories_are_a_tree_and_old_slugs_lead_to_new_ones() {
    let shop = TestShop::new().await;
    let token = admin(&shop).await;
    let make = async |body: Value| {
        let made = shop.send(post("/v1/categories", &body).bearer(&token)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["id"].clone()
    };
    let home = make(json!({ "title": "Home" })).await;
    let kitchen = make(json!({ "title": "Kitchen", "parent_id": home })).await;
    let cups = make(json!({ "title": "Cups", "parent_id": kitchen })).await;
    let product =
        json!({ "title": "Mug", "category_ids": [cups], "price": { "amount": 900, "currency": "USD" } });
    shop.send(post("/v1/products", &product).bearer(&token)).await;

    let page = shop.send(get("/v1/categories/kitchen?descendants=true")).await.json();
    let titles: Vec<_> = page["breadcrumbs"].as_array().unwrap().iter().map(|step| &step["title"]).collect();
    assert_eq!(titles, ["Home", "Kitchen"]);
    assert_eq!(
        (&page["descendants"]["products"], &page["descendants"]["products_below"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(page["descendants"]["data"][0]["slug"], "cups");
    let tree = shop.send(get("/v1/category-tree")).await.json();
    let levels: Vec<_> = tree["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["slug"].clone(), node["level"].clone()))
        .collect();
    assert_eq!(levels, [("home".into(), 0.into()), ("kitchen".into(), 1.into()), ("cups".into(), 2.into())]);
    let listed = async |path: &str| shop.send(get(path)).await.json()["data"].as_array().unwrap().len();
    assert_eq!(listed("/v1/products?category=home").await, 0);
    assert_eq!(listed("/v1/products?category=home&descendants=true").await, 1);
    assert_eq!(listed("/v1/categories?parent=none").await, 1);
    assert_eq!(listed("/v1/categories?parent=home").await, 1);

    let patch = |path: &str, body: Value| ask(Method::PATCH, path).json(&body).bearer(&token);
    let circle = shop.send(patch("/v1/categories/home", json!({ "parent_id": cups }))).await;
    assert_eq!(circle.problem(422, "validation_failed"), ["/parent_id"]);
    let refused = shop.send(ask(Method::DELETE, "/v1/categories/kitchen").bearer(&token)).await;
    refused.problem(409, "category_in_use");
    assert_eq!(refused.json()["children"][0]["slug"], "cups");
    let order =
        ask(Method::PUT, "/v1/category-order").json(&json!({ "parent_id": home, "category_ids": [kitchen] }));
    assert_eq!(shop.send(order.bearer(&token)).await.json()["data"][0]["position"], 0);
    let lifted = ask(Method::DELETE, "/v1/categories/kitchen?lift_children=true").bearer(&token);
    assert_eq!(shop.send(lifted).await.status, 204);
    assert_eq!(shop.send(get("/v1/categories/cups")).await.json()["parent_id"], home);
    shop.send(patch("/v1/categories/cups", json!({ "parent_id": null }))).await;
    assert_eq!(shop.send(get("/v1/categories/cups")).await.json()["parent_id"], Value::Null);

    for (path, slug) in [("/v1/categories/cups", "beakers"), ("/v1/products/mug", "beaker")] {
        let changed = shop.send(patch(path, json!({ "slug": slug }))).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        let moved = shop.send(get(path)).await;
        moved.problem(301, "moved");
        let (base, _) = path.rsplit_once('/').unwrap();
        assert_eq!(moved.header("location"), Some(format!("{base}/{slug}").as_str()));
        assert_eq!(shop.send(get(moved.header("location").unwrap())).await.status, 200);
    }
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matrix_of_variants_and_the_whole_catalogue_as_a_file() {
    let shop = TestShop::new().await;
    let token = admin(&shop).await;
    shop.send(post("/v1/products", &json!({ "title": "Shirt" })).bearer(&token)).await;
    let matrix = json!({
        "options": [{ "name": "Size", "values": ["S", "M"] }, { "name": "Color", "values": ["Red", "Blue"] }],
        "price": { "amount": 1500, "currency": "USD" }
    });
    let path = "/v1/products/shirt/variant-matrix";
    for _ in 0..2 {
        let made = shop.send(post(path, &matrix).bearer(&token)).await;
        assert_eq!(
            (made.status.as_u16(), made.json()["variants"].as_array().unwrap().len()),
            (200, 4),
            "{}",
            made.text
        );
    }
    let wrong = json!({ "options": [{ "name": "Size", "values": ["S", "S"] }], "price": { "amount": 1, "currency": "USD" } });
    assert_eq!(
        shop.send(post(path, &wrong).bearer(&token)).await.problem(422, "validation_failed"),
        ["/options/0/values/1"]
    );

    let export = async |query: &str| {
        let path = format!("/v1/admin/products/export{query}");
        let file = shop.send(get(&path).bearer(&token)).await;
        assert_eq!(file.header("content-type"), Some("text/csv; charset=utf-8"), "{}", file.text);
        file.text
    };
    import_csv(&shop, &token, "", DEMO_CATALOGUE).await;
    let native = export("").await;
    assert!(native.contains("Size=M; Color=Blue"), "{native}");
    assert_eq!(counts(&import_csv(&shop, &token, "?stock=set", &native).await), [0, 0, 64, 0]);
    assert!(export("?layout=shopify").await.starts_with("Handle,Title,"));
    shop.database.finish().await;
}

/// The demo catalogue is whole in any currency, and every picture it links is served.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_catalogue_is_sound() {
    let shop = TestShop::new().await;
    for currency in [Currency::USD, Currency::JPY] {
        let mut reader = ProductReader::new(DEMO_CATALOGUE.as_bytes(), None, currency).ok().unwrap();
        let products: Vec<_> = std::iter::from_fn(|| reader.next_product()).collect();
        assert_eq!(reader.faults.listed, []);
        assert!(products.len() >= 60);
        assert!(products.iter().all(|product| !product.images.is_empty()));
    }
    let token = admin(&shop).await;
    assert_eq!(counts(&import_csv(&shop, &token, "", DEMO_CATALOGUE).await), [63, 0, 0, 0]);
    assert_eq!(counts(&import_csv(&shop, &token, "?stock=set", DEMO_CATALOGUE).await), [0, 0, 63, 0]);
    assert_eq!(shop.send(get("/v1/categories")).await.json()["data"].as_array().unwrap().len(), 8);
    let page = shop.send(get("/v1/products?limit=100")).await.json();
    for product in page["data"].as_array().unwrap() {
        let image = &product["images"][0];
        assert!(
            !image["alt"].as_str().unwrap().is_empty()
                && !product["description"].as_str().unwrap().is_empty()
        );
        let picture = shop.send(get(image["url"].as_str().unwrap())).await;
        assert_eq!(
            (picture.status.as_u16(), picture.header("content-type")),
            (200, Some("image/svg+xml")),
            "{image}"
        );
    }
    shop.send(get("/demo-images/none-ffffff.svg")).await.problem(404, "not_found");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_that_addresses_use_is_refused_or_made_another() {
    let shop = TestShop::new().await;
    let token = admin(&shop).await;
    let price = json!({ "amount": 100, "currency": "USD" });
    let made =
        shop.send(post("/v1/products", &json!({ "title": "Search", "price": price })).bearer(&token)).await;
    assert_eq!((made.status.as_u16(), &made.json()["slug"]), (201, &json!("search-2")), "{}", made.text);
    assert_eq!(shop.send(get("/v1/products/search-2")).await.json()["title"], "Search");
    for slug in ["search", "import", "export", "01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b1e"] {
        let body = json!({ "title": "Thing", "slug": slug, "price": price });
        let refused = shop.send(post("/v1/products", &body).bearer(&token)).await;
        assert_eq!(refused.problem(422, "validation_failed"), ["/slug"], "{slug}");
    }
    let made = shop.send(post("/v1/categories", &json!({ "title": "None" })).bearer(&token)).await;
    assert_eq!((made.status.as_u16(), &made.json()["slug"]), (201, &json!("none-2")), "{}", made.text);
    let refused =
        shop.send(post("/v1/categories", &json!({ "title": "X", "slug": "none" })).bearer(&token)).await;
    assert_eq!(refused.problem(422, "validation_failed"), ["/slug"]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_upon_a_running_import_is_told_so() {
    let shop = TestShop::new().await;
    let token = admin(&shop).await;
    let csv = "slug,title,price\nmug,Mug,1.00\n";
    import_csv(&shop, &token, "", csv).await;
    let running = async || shop.send(get("/v1/admin/products/import").bearer(&token)).await.json();
    assert_eq!(running().await, json!({ "running": false }));
    let conn = &mut shop.database.conn().await;
    conn.transaction::<_, ImportError, _>(async |conn| {
        let (file, told) = (csv.replace("1.00", "2.00"), &mut |_| {});
        let (options, origin) = (ImportOptions::default(), Origin::system());
        import_products(conn, file.as_bytes(), options, Currency::USD, &origin, told).await?;

        let now = running().await;
        assert_eq!((&now["running"], &now["products"]), (&json!(true), &json!(1)));
        assert!(now["started_at"].is_string(), "{now}");
        let second = import_csv(&shop, &token, "", csv).await;
        assert!(second.header("retry-after").is_some());
        second.problem(409, "import_running");
        let body = json!({ "title": "Cup" });
        let patched = shop.send(ask(Method::PATCH, "/v1/products/mug").json(&body).bearer(&token)).await;
        assert!(patched.text.contains("such as an import"), "{}", patched.text);
        assert_eq!(patched.header("retry-after"), Some("5"));
        patched.problem(503, "unavailable");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(running().await, json!({ "running": false }));
    assert_eq!(counts(&import_csv(&shop, &token, "", csv).await), [0, 1, 0, 0]);
    shop.database.finish().await;
}
