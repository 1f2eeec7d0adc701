//! The catalogue over HTTP.

use commerce_core::accounts::Role;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Got, TestShop, ask, get, post};

fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

async fn staff(shop: &TestShop) -> String {
    shop.login(Role::CatalogueManager).await.1
}

async fn create(shop: &TestShop, token: &str, body: Value) -> Value {
    let made = shop.send(post("/v1/products", &body).bearer(token)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

fn titles(got: &Got) -> Vec<String> {
    let list = got.json();
    let data = list["data"].as_array().unwrap_or_else(|| panic!("{}", got.text));
    data.iter().map(|product| product["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_makes_a_product_and_shoppers_find_it() {
    let shop = TestShop::new().await;
    let token = staff(&shop).await;
    let body = json!({
        "title": "Stoneware Mug", "description": "<p>350 ml<script>x</script></p>", "price": usd(1800),
        "sku": "MUG", "stock": 4, "vendor": "Dunmore", "tags": ["kitchen", "gift"],
        "attributes": { "material": "stoneware", "tags": ["kitchen"] },
    });
    let made = shop.send(post("/v1/products", &body).bearer(&token)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let product = made.json();
    assert_eq!(
        made.header("location"),
        Some(format!("/v1/products/{}", product["id"].as_str().unwrap()).as_str())
    );
    assert_eq!(product["slug"], "stoneware-mug");
    assert_eq!(product["description"], "<p>350 ml</p>");
    assert_eq!(product["status"], "active");
    assert_eq!((&product["price_from"], &product["in_stock"]), (&usd(1800), &json!(true)));
    assert_eq!(product["variants"][0]["available"], 4);
    assert_eq!(product["attributes"]["tags"][0], "kitchen");
    assert_eq!((&product["vendor"], &product["tags"]), (&json!("Dunmore"), &json!(["kitchen", "gift"])));

    let mut shown = product.clone();
    shown["variants"][0].as_object_mut().unwrap().remove("continue_selling");
    for key in ["stoneware-mug", product["id"].as_str().unwrap()] {
        let read = shop.send(get(&format!("/v1/products/{key}"))).await;
        assert_eq!((read.status.as_u16(), read.json()), (200, shown.clone()));
    }
    let list = shop.send(get("/v1/products?q=mug&in_stock=true&price_max=1800")).await;
    assert_eq!(titles(&list), ["Stoneware Mug"]);
    shop.send(get("/v1/products/nothing-like-it")).await.problem(404, "not_found");
    shop.send(get("/v1/products/%00")).await.problem(404, "not_found");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_with_options_is_made_and_changed_variant_by_variant() {
    let shop = TestShop::new().await;
    let token = staff(&shop).await;
    let body = json!({
        "title": "Socks", "option_names": ["Size", "Colour"],
        "variants": [
            { "options": { "Size": "S", "Colour": "Moss" }, "price": usd(900), "stock": 1, "sku": "S-S" },
            { "options": { "Size": "M", "Colour": "Moss" }, "price": usd(1000), "compare_at_price": usd(1200) },
        ],
    });
    let product = create(&shop, &token, body).await;
    assert_eq!(product["variants"][0]["title"], "S / Moss");
    assert!(product["variants"][1].get("sku").is_none());
    let (path, medium) =
        (format!("/v1/products/{}", product["slug"].as_str().unwrap()), &product["variants"][1]["id"]);

    let large = json!({ "options": { "Size": "L", "Colour": "Moss" }, "price": usd(800), "stock": 3 });
    let added = shop.send(post(&format!("{path}/variants"), &large).bearer(&token)).await;
    assert_eq!((added.status.as_u16(), &added.json()["price_from"]), (201, &usd(800)), "{}", added.text);
    shop.send(post(&format!("{path}/variants"), &large).bearer(&token)).await.problem(409, "options_taken");
    let short = json!({ "options": { "Size": "XL" }, "price": usd(800) });
    let refused = shop.send(post(&format!("{path}/variants"), &short).bearer(&token)).await;
    assert_eq!(refused.problem(422, "validation_failed"), ["/options"]);

    let variant = format!("{path}/variants/{}", medium.as_str().unwrap());
    let patch = |body: Value| ask(Method::PATCH, &variant).json(&body).bearer(&token);
    let changed =
        shop.send(patch(json!({ "price": usd(1100), "sku": "S-M", "compare_at_price": null }))).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let changed = changed.json()["variants"][1].clone();
    assert_eq!((&changed["price"], &changed["sku"]), (&usd(1100), &json!("S-M")));
    assert!(changed.get("compare_at_price").is_none(), "{changed}");
    shop.send(patch(json!({ "sku": "S-S" }))).await.problem(409, "sku_taken");

    let gone = shop.send(ask(Method::DELETE, &variant).bearer(&token)).await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    assert_eq!(shop.send(get(&path)).await.json()["variants"].as_array().unwrap().len(), 2);
    let seen_by_staff = shop.send(get("/v1/admin/products/socks").bearer(&token)).await.json();
    assert_eq!(seen_by_staff["variants"].as_array().unwrap().len(), 3);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_patched_replaced_archived_and_guarded_by_its_version() {
    let shop = TestShop::new().await;
    let token = staff(&shop).await;
    create(
        &shop,
        &token,
        json!({ "title": "Lamp", "price": usd(4000), "stock": 2, "attributes": { "watt": 7 } }),
    )
    .await;
    let first = shop.send(get("/v1/products/lamp")).await;
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(shop.send(get("/v1/products/lamp").header("If-None-Match", &tag)).await.status, 304);

    let change = |method: Method, body: Value| ask(method, "/v1/products/lamp").json(&body).bearer(&token);
    let patched = shop
        .send(
            change(Method::PATCH, json!({ "title": "Desk lamp", "price": usd(3500) }))
                .header("If-Match", &tag),
        )
        .await;
    assert_eq!(
        (patched.status.as_u16(), &patched.json()["price_from"]),
        (200, &usd(3500)),
        "{}",
        patched.text
    );
    let late = change(Method::PATCH, json!({ "title": "Late" })).header("If-Match", &tag);
    shop.send(late).await.problem(412, "version_mismatch");
    assert_eq!(shop.send(get("/v1/products/lamp").header("If-None-Match", &tag)).await.status, 200);

    // Stock changes what is shown, but not the version.
    let now = shop.send(get("/v1/products/lamp")).await;
    let tag = now.header("etag").unwrap().to_owned();
    let variant = now.json()["variants"][0]["id"].as_str().unwrap().to_owned();
    let (_, admin) = shop.login(Role::Admin).await;
    let path = format!("/v1/admin/inventory/{variant}/adjustments");
    assert_eq!(shop.send(post(&path, &json!({ "delta": -1 })).bearer(&admin)).await.status, 201);
    assert_eq!(
        shop.send(get("/v1/products/lamp").header("If-None-Match", &tag)).await.json()["variants"][0]["available"],
        1
    );
    let replaced = change(Method::PUT, json!({ "title": "Lamp again" })).header("If-Match", &tag);
    let replaced = shop.send(replaced).await;
    assert_eq!(replaced.status, 200, "{}", replaced.text);
    assert_eq!((&replaced.json()["attributes"], &replaced.json()["price_from"]), (&json!({}), &usd(3500)));

    let gone = shop.send(ask(Method::DELETE, "/v1/products/lamp").bearer(&token)).await;
    assert_eq!(gone.status, 204);
    shop.send(get("/v1/products/lamp")).await.problem(404, "not_found");
    let archived = shop.send(get("/v1/admin/products?status=archived").bearer(&token)).await;
    assert_eq!(titles(&archived), ["Lamp again"]);
    shop.send(ask(Method::DELETE, "/v1/products/unknown").bearer(&token)).await.problem(404, "not_found");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_products_are_refused_with_a_pointer_each() {
    let shop = TestShop::new().await;
    let token = staff(&shop).await;
    for (body, status, code, pointers) in [
        (json!({}), 422, "validation_failed", vec!["/title"]),
        (json!({ "title": "" }), 422, "validation_failed", vec!["/title"]),
        (json!({ "title": " " }), 422, "validation_failed", vec!["/title"]),
        (json!({ "title": "x".repeat(256), "price": 5 }), 422, "validation_failed", vec!["/price", "/title"]),
        (json!({ "title": "A", "surprise": 1 }), 422, "validation_failed", vec!["/surprise"]),
        (json!({ "title": "A", "price": usd(-1) }), 422, "validation_failed", vec!["/price/amount"]),
        (json!({ "title": "A", "price": usd(i64::MAX) }), 422, "validation_failed", vec!["/price/amount"]),
        (
            json!({ "title": "A", "price": { "amount": 1, "currency": "EUR" } }),
            409,
            "currency_mismatch",
            vec!["/price/currency"],
        ),
        (
            json!({ "title": "A", "price": { "amount": 1, "currency": "ZZZ" } }),
            422,
            "validation_failed",
            vec!["/price/currency"],
        ),
        (json!({ "title": "A", "stock": 3 }), 422, "validation_failed", vec!["/price"]),
        (json!({ "title": "A", "price": usd(1), "stock": -3 }), 422, "validation_failed", vec!["/stock"]),
        (
            json!({ "title": "A", "price": usd(1), "stock": 9_000_000_000_000_000_000i64 }),
            422,
            "validation_failed",
            vec!["/stock"],
        ),
        (json!({ "title": "A", "price": usd(1), "variants": [] }), 422, "validation_failed", vec!["/price"]),
        (json!({ "title": "A", "status": "sold" }), 422, "validation_failed", vec!["/status"]),
        (json!({ "title": "A", "slug": "Not A Slug" }), 422, "validation_failed", vec!["/slug"]),
        (json!({ "title": "A", "attributes": [1] }), 422, "validation_failed", vec!["/attributes"]),
        (
            json!({ "title": "A", "attributes": { "a": "\0" } }),
            422,
            "validation_failed",
            vec!["/attributes/a"],
        ),
        (
            json!({ "title": "A", "attributes": { "a": "x".repeat(20_000) } }),
            422,
            "validation_failed",
            vec!["/attributes"],
        ),
        (json!({ "title": "A", "category_ids": ["x"] }), 422, "validation_failed", vec!["/category_ids/0"]),
        (
            json!({ "title": "A", "category_ids": [uuid::Uuid::now_v7()] }),
            422,
            "validation_failed",
            vec!["/category_ids"],
        ),
        (
            json!({ "title": "A", "images": [{ "url": "javascript:x" }] }),
            422,
            "validation_failed",
            vec!["/images/0/url"],
        ),
        (
            json!({ "title": "A", "variants": [{ "price": usd(1) }, { "price": usd(2) }] }),
            422,
            "validation_failed",
            vec!["/variants/1/options"],
        ),
        (
            json!({ "title": "A", "variants": [{ "price": usd(1), "options": { "a/b": "x".repeat(256) } }] }),
            422,
            "validation_failed",
            vec!["/variants/0/options/a~1b"],
        ),
    ] {
        let got = shop.send(post("/v1/products", &body).bearer(&token)).await;
        assert_eq!(got.problem(status, code), pointers, "{body}");
    }
    create(&shop, &token, json!({ "title": "A", "slug": "a", "price": usd(1), "sku": "A" })).await;
    let taken = post("/v1/products", &json!({ "title": "B", "slug": "a" })).bearer(&token);
    shop.send(taken).await.problem(409, "slug_taken");
    let taken = post("/v1/products", &json!({ "title": "B", "price": usd(1), "sku": "A" })).bearer(&token);
    shop.send(taken).await.problem(409, "sku_taken");
    let half = ask(Method::POST, "/v1/products").body("application/json", "{\"title\":").bearer(&token);
    shop.send(half).await.problem(400, "malformed_body");
    for path in [
        "limit=0",
        "limit=101",
        "limit=x",
        "price_min=-1",
        "sort=colour",
        "in_stock=maybe",
        "cursor=x",
        "status=x",
    ] {
        let got = shop.send(get(&format!("/v1/products?{path}"))).await;
        let code = if path == "cursor=x" { "invalid_cursor" } else { "invalid_parameter" };
        if path != "status=x" {
            assert_eq!(got.problem(400, code), [path.split('=').next().unwrap()], "{path}");
        }
    }
    let nul = shop.send(get("/v1/products?q=%00&category=%00")).await;
    assert_eq!(nul.problem(400, "invalid_parameter"), ["q", "category"]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_changes_the_catalogue() {
    let shop = TestShop::new().await;
    let (_, customer) = shop.login(Role::Customer).await;
    let id = uuid::Uuid::now_v7();
    let body = json!({ "title": "A" });
    for (method, path) in [
        (Method::POST, "/v1/products".to_owned()),
        (Method::PUT, "/v1/products/a".to_owned()),
        (Method::PATCH, "/v1/products/a".to_owned()),
        (Method::DELETE, "/v1/products/a".to_owned()),
        (Method::POST, "/v1/products/a/variants".to_owned()),
        (Method::PATCH, format!("/v1/products/a/variants/{id}")),
        (Method::DELETE, format!("/v1/products/a/variants/{id}")),
        (Method::GET, "/v1/admin/products".to_owned()),
        (Method::GET, "/v1/admin/products/a".to_owned()),
        (Method::POST, "/v1/admin/products/import".to_owned()),
        (Method::POST, "/v1/categories".to_owned()),
        (Method::PATCH, "/v1/categories/a".to_owned()),
        (Method::DELETE, "/v1/categories/a".to_owned()),
        (Method::GET, "/v1/admin/inventory".to_owned()),
        (Method::POST, format!("/v1/admin/inventory/{id}/adjustments")),
        (Method::GET, format!("/v1/admin/inventory/{id}/movements")),
    ] {
        let request = ask(method.clone(), &path).json(&body);
        shop.send(request.clone()).await.problem(401, "unauthenticated");
        shop.send(request.bearer(&customer)).await.problem(403, "permission_denied");
    }
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_one_product_however_often_it_is_sent() {
    let shop = TestShop::new().await;
    let token = staff(&shop).await;
    let send = |title: &str| {
        post("/v1/products", &json!({ "title": title })).bearer(&token).header("Idempotency-Key", "k1")
    };
    let first = shop.send(send("Cup")).await;
    let again = shop.send(send("Cup")).await;
    assert_eq!(
        (again.text.as_str(), again.header("idempotent-replayed")),
        (first.text.as_str(), Some("true"))
    );
    shop.send(send("Bowl")).await.problem(422, "idempotency_key_reused");
    let all = shop.send(get("/v1/products")).await;
    assert_eq!(titles(&all), ["Cup"]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_walked_by_its_links() {
    let shop = TestShop::new().await;
    let token = staff(&shop).await;
    for (title, price) in [("A", 3), ("B", 1), ("C", 2)] {
        create(&shop, &token, json!({ "title": title, "price": usd(price) })).await;
    }
    let first = shop.send(get("/v1/products?sort=-price&limit=2")).await;
    assert_eq!(titles(&first), ["A", "C"]);
    let link = first.header("link").unwrap();
    let next = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    let second = shop.send(get(next)).await;
    assert_eq!((titles(&second), second.header("link")), (vec!["B".to_owned()], None));
    assert_eq!(second.json()["next_cursor"], Value::Null);
    shop.database.finish().await;
}

/// A shopper's browser keeps what it was shown, asks whether that is still so, and is never shown what is no longer so.
#[tokio::test(flavor = "multi_thread")]
async fn what_shoppers_read_is_kept_until_it_changes() {
    let shop = TestShop::new().await;
    let token = staff(&shop).await;
    let mug = create(&shop, &token, json!({ "title": "Mug", "price": usd(1250), "stock": 3 })).await;
    for path in
        ["/v1/products", "/v1/products?category=none", "/v1/products/mug", "/v1/products/search?q=mug"]
    {
        let first = shop.send(get(path)).await;
        assert_eq!(first.header("cache-control"), Some("private, no-cache"), "{path}");
        let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no ETag")).to_owned();
        let again = shop.send(get(path).header("If-None-Match", &tag)).await;
        assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag"), Some(tag.as_str()), "{path}");
        assert_eq!(again.header("cache-control"), Some("private, no-cache"), "{path}");
        if path.contains("none") {
            continue;
        }
        // One more in stock: no version of the product tells of it.
        let variant: uuid::Uuid = mug["variants"][0]["id"].as_str().unwrap().parse().unwrap();
        shop.database.restock(commerce_core::ids::VariantId(variant), 1).await;
        let changed = shop.send(get(path).header("If-None-Match", &tag)).await;
        assert_eq!(changed.status, 200, "{path}");
        assert_ne!(changed.header("etag"), Some(tag.as_str()), "{path}");
    }
    shop.database.finish().await;
}
