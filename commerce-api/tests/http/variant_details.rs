//! What a variant carries, over HTTP: given, changed, shown, and what only staff may know kept from everybody else.

use commerce_core::accounts::Role;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Got, TestShop, ask, get, post};

const FRONT: &str = "https://images.example/front.jpg";

fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

/// A cost and a price that no other number of an answer looks like.
const COST: i64 = 314_159;

/// A manual that is downloaded, with everything that a variant carries.
async fn create_manual(shop: &TestShop, token: &str) -> Value {
    let body = json!({
        "title": "Manual", "images": [{ "url": FRONT }],
        "variants": [{
            "price": usd(500), "sku": "MANUAL", "track_inventory": false, "weight_grams": 0,
            "requires_shipping": false, "taxable": false, "barcode": "9783161484100", "image_url": FRONT,
            "cost": usd(COST), "continue_selling": true,
        }],
    });
    let made = shop.send(post("/v1/products", &body).bearer(token)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

fn ok(got: Got) -> Value {
    assert!(got.status.is_success(), "{} {}", got.status, got.text);
    got.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_give_and_change_what_a_variant_carries() {
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::CatalogueManager).await;
    let manual = create_manual(&shop, &token).await;
    let variant = &manual["variants"][0];
    let expected = json!({
        "id": variant["id"], "sku": "MANUAL", "title": "Default", "options": {}, "price": usd(500), "in_stock": true,
        "active": true, "track_inventory": false, "weight_grams": 0, "requires_shipping": false, "taxable": false,
        "barcode": "9783161484100", "image_url": FRONT, "cost": usd(COST), "continue_selling": true,
    });
    assert_eq!((variant, &manual["in_stock"]), (&expected, &json!(true)));
    let read = ok(shop.send(get("/v1/admin/products/manual").bearer(&token)).await);
    assert_eq!(read["variants"][0], expected);

    let path = format!("/v1/products/manual/variants/{}", variant["id"].as_str().unwrap());
    let patch = |body: Value| ask(Method::PATCH, &path).json(&body).bearer(&token);
    let printed =
        json!({ "track_inventory": true, "weight_grams": 340, "requires_shipping": true, "taxable": true });
    let changed = ok(shop.send(patch(printed)).await)["variants"][0].clone();
    let mut printed = expected.clone();
    for (field, value) in [
        ("track_inventory", json!(true)),
        ("weight_grams", json!(340)),
        ("requires_shipping", json!(true)),
        ("taxable", json!(true)),
        ("in_stock", json!(false)),
        ("available", json!(0)),
    ] {
        printed[field] = value;
    }
    assert_eq!(changed, printed);
    let bare = json!({
        "weight_grams": null, "barcode": null, "image_url": null, "cost": null, "continue_selling": false,
    });
    let changed = ok(shop.send(patch(bare)).await)["variants"][0].clone();
    for field in ["weight_grams", "barcode", "image_url", "cost"] {
        assert_eq!(changed.get(field), None, "{changed}");
    }
    assert_eq!(changed["continue_selling"], false);

    for (wrong, pointer) in [
        (json!({ "weight_grams": -1 }), "/weight_grams"),
        (json!({ "barcode": " " }), "/barcode"),
        (json!({ "image_url": "https://images.example/other.jpg" }), "/image_url"),
        (json!({ "cost": usd(-1) }), "/cost/amount"),
    ] {
        assert_eq!(shop.send(patch(wrong)).await.problem(422, "validation_failed"), [pointer]);
    }
    let yen = json!({ "cost": { "amount": 5, "currency": "JPY" } });
    assert_eq!(shop.send(patch(yen)).await.problem(409, "currency_mismatch"), ["/cost/currency"]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_staffs_is_in_no_answer_to_anybody_else() {
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::CatalogueManager).await;
    let manual = create_manual(&shop, &token).await;
    let item = json!({ "variant_id": manual["variants"][0]["id"], "quantity": 7 });
    let added = shop.send(post("/v1/cart/items", &item)).await;
    let cart_token = added.json()["token"].as_str().unwrap().to_owned();
    let as_shopper = |path: &str| get(path).header("Cart-Token", &cart_token);

    let mut answers = vec![added];
    for path in [
        "/v1/products/manual",
        "/v1/products",
        "/v1/products?in_stock=true",
        "/v1/products/search?q=manual",
        "/v1/products/search?q=manual&in_stock=true",
        "/v1/cart",
    ] {
        let got = shop.send(as_shopper(path)).await;
        assert!(got.text.contains("Manual"), "{path}: {}", got.text);
        answers.push(got);
    }
    answers.push(shop.send(post("/v1/cart/quote", &json!({})).header("Cart-Token", &cart_token)).await);
    let address = json!({ "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" });
    let checkout =
        post("/v1/orders/checkout", &json!({ "email": "ada@example.com", "shipping_address": address }));
    let placed =
        shop.send(checkout.header("Cart-Token", &cart_token).header("Idempotency-Key", "manual")).await;
    let order = format!("/v1/orders/{}", placed.json()["id"].as_str().unwrap());
    answers.push(placed);
    answers.push(shop.send(as_shopper(&order)).await);
    for got in answers {
        assert!(got.status.is_success(), "{}", got.text);
        for word in ["cost", "continue_selling", &COST.to_string()] {
            assert!(!got.text.contains(word), "{word}: {}", got.text);
        }
    }
    // Staff of the catalogue read it, so it is there to be kept.
    let read = shop.send(get("/v1/admin/products/manual").bearer(&token)).await;
    assert!(read.text.contains(&COST.to_string()), "{}", read.text);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uncounted_variant_is_shown_as_available_and_sold() {
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::CatalogueManager).await;
    let manual = create_manual(&shop, &token).await;
    let shown = ok(shop.send(get("/v1/products/manual")).await);
    assert_eq!((&shown["in_stock"], shown["variants"][0].get("available")), (&json!(true), None));
    assert_eq!(ok(shop.send(get("/v1/products?in_stock=false")).await)["data"], json!([]));
    let item = json!({ "variant_id": manual["variants"][0]["id"], "quantity": 999 });
    let cart = ok(shop.send(post("/v1/cart/items", &item)).await);
    assert_eq!(cart["items"][0].get("available"), None, "{cart}");
    let cart_token = cart["token"].as_str().unwrap();
    let quote = ok(shop.send(post("/v1/cart/quote", &json!({})).header("Cart-Token", cart_token)).await);
    assert_eq!((quote["items"][0].get("available"), quote["items"][0].get("problem")), (None, None));

    let (_, warehouse) = shop.login(Role::Admin).await;
    let levels = ok(shop.send(get("/v1/admin/inventory").bearer(&warehouse)).await);
    assert_eq!(levels["data"][0]["track_inventory"], false, "{levels}");
    let low = ok(shop.send(get("/v1/admin/inventory?available_max=5").bearer(&warehouse)).await);
    assert_eq!(low["data"], json!([]));
    shop.database.finish().await;
}
