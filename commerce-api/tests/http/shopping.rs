//! Buying over HTTP: cart, checkout, payment, and what staff does with the order.

use commerce_core::accounts::Role;
use commerce_core::flows::{expire_orders, run_refund};
use commerce_core::jobs::{self, Job as _, kinds::RefundPayment};
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Ask, TestShop, ask, get, post};

fn patch(path: &str, body: &Value) -> Ask {
    ask(Method::PATCH, path).json(body)
}

pub fn address() -> Value {
    json!({ "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" })
}

pub fn checkout(token: &str, key: &str) -> Ask {
    let body = json!({ "email": "ada@example.com", "shipping_address": address() });
    post("/v1/orders/checkout", &body).header("Cart-Token", token).header("Idempotency-Key", key)
}

pub fn pay(token: &str, order: &Value, key: &str, body: &Value) -> Ask {
    let path = format!("/v1/orders/{}/pay", order["id"].as_str().unwrap());
    post(&path, body).header("Cart-Token", token).header("Idempotency-Key", key)
}

/// A guest with so many of a variant in the cart; returns the token.
pub async fn fill_cart(shop: &TestShop, variant_id: impl ToString, quantity: i64) -> String {
    let item = json!({ "variant_id": variant_id.to_string(), "quantity": quantity });
    let added = shop.send(post("/v1/cart/items", &item)).await;
    assert_eq!(added.status, 200, "{}", added.text);
    added.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_guest_buys_and_staff_ships() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 2).await;
    let cart = shop.send(get("/v1/cart").header("Cart-Token", &token)).await.json();
    assert_eq!(cart["subtotal"], json!({ "amount": 2500, "currency": "USD" }));
    assert_eq!(cart["items"][0]["available"], 5);

    let placed = shop.send(checkout(&token, "c-1")).await;
    assert_eq!(placed.status, 201, "{}", placed.text);
    let order = placed.json();
    assert_eq!(
        placed.header("location"),
        Some(format!("/v1/orders/{}", order["id"].as_str().unwrap()).as_str())
    );
    assert_eq!((&order["status"], &order["payment_status"]), (&json!("pending_payment"), &json!("unpaid")));
    let emptied = shop.send(get("/v1/cart").header("Cart-Token", &token)).await.json();
    assert_eq!(emptied["items"], json!([]));

    let paid = shop.send(pay(&token, &order, "p-1", &json!({ "provider": "mock" }))).await;
    assert_eq!((paid.status.as_u16(), &paid.json()["status"]), (201, &json!("succeeded")), "{}", paid.text);
    let order_path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let order = shop.send(get(&order_path).header("Cart-Token", &token)).await.json();
    assert_eq!((&order["status"], &order["amount_due"]["amount"]), (&json!("paid"), &json!(0)));
    shop.send(get(&order_path).header("Cart-Token", &shop.state.cart_tokens.issue()))
        .await
        .problem(404, "not_found");

    let (_, staff) = shop.login(Role::Fulfilment).await;
    let admin_path = format!("/v1/admin/orders/{}", order["id"].as_str().unwrap());
    let move_on = |body: Value| patch(&format!("{admin_path}/status"), &body).bearer(&staff);
    shop.send(move_on(json!({ "status": "delivered" }))).await.problem(409, "order_state");
    let stale = move_on(json!({ "status": "processing" })).header("If-Match", "\"1\"");
    shop.send(stale).await.problem(412, "version_mismatch");
    let shipped = shop.send(move_on(json!({ "status": "shipped", "tracking_number": "T-1" }))).await;
    assert_eq!(shipped.json()["fulfillment_status"], "fulfilled", "{}", shipped.text);
    let delivered = shop.send(move_on(json!({ "status": "delivered" }))).await;
    assert_eq!(delivered.json()["status"], "delivered");
    let note = post(&format!("{admin_path}/notes"), &json!({ "text": "rang twice" })).bearer(&staff);
    assert_eq!(shop.send(note).await.json()["kind"], "note");
    let events = shop.send(get(&format!("{admin_path}/events")).bearer(&staff)).await.json();
    let kinds: Vec<_> =
        events["data"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["placed", "payment_started", "payment_succeeded", "paid", "shipped", "delivered", "note"]
    );
    assert_eq!(shop.database.stock(variant).await, (3, 0));
    shop.database.finish().await;
}

#[tokio::test]
async fn an_action_is_required_and_confirmed() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 1).await;
    let order = shop.send(checkout(&token, "c")).await.json();
    let body = json!({ "provider": "mock", "outcome": "require_action" });
    let begun = shop.send(pay(&token, &order, "p", &body)).await.json();
    assert_eq!((&begun["status"], &begun["action"]["type"]), (&json!("requires_action"), &json!("redirect")));
    let path = format!("/v1/payments/{}", begun["id"].as_str().unwrap());
    let confirm = ask(Method::POST, &format!("{path}/confirm")).header("Cart-Token", &token);
    let confirmed = shop.send(confirm).await;
    assert_eq!(confirmed.json()["status"], "succeeded", "{}", confirmed.text);
    shop.send(get(&path).header("Cart-Token", &shop.state.cart_tokens.issue()))
        .await
        .problem(404, "not_found");
    let listed = format!("/v1/payments?order_id={}", order["id"].as_str().unwrap());
    let listed = shop.send(get(&listed).header("Cart-Token", &token)).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    shop.database.finish().await;
}

/// A shopper comes back from the provider's page and pays in another way, and the old page is still open.
#[tokio::test]
async fn a_second_payment_ends_the_first_which_then_takes_no_money() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 1).await;
    let order = shop.send(checkout(&token, "c")).await.json();
    let redirect = json!({ "provider": "mock", "outcome": "require_action" });
    let first = shop.send(pay(&token, &order, "p-1", &redirect)).await.json();
    let second = shop.send(pay(&token, &order, "p-2", &json!({ "provider": "mock" }))).await.json();
    assert_eq!(second["status"], "succeeded");
    let confirm = format!("/v1/payments/{}/confirm", first["id"].as_str().unwrap());
    let confirmed = shop.send(ask(Method::POST, &confirm).header("Cart-Token", &token)).await.json();
    assert_eq!(
        (&confirmed["status"], &confirmed["amount_captured"]["amount"]),
        (&json!("expired"), &json!(0))
    );
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let order = shop.send(get(&path).header("Cart-Token", &token)).await.json();
    let money = |field: &str| order[field]["amount"].as_i64().unwrap();
    assert_eq!((money("amount_paid"), money("total"), money("amount_refunded")), (1250, 1250, 0));
    shop.database.finish().await;
}

#[tokio::test]
async fn a_declined_payment_may_be_followed_by_a_good_one() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 1).await;
    let order = shop.send(checkout(&token, "c")).await.json();
    let declined =
        shop.send(pay(&token, &order, "p-1", &json!({ "provider": "mock", "outcome": "fail" }))).await.json();
    assert_eq!((&declined["status"], &declined["failure_code"]), (&json!("failed"), &json!("card_declined")));
    let too_much = json!({ "provider": "mock", "amount": { "amount": 9999, "currency": "USD" } });
    let pointers = shop.send(pay(&token, &order, "p-2", &too_much)).await.problem(422, "validation_failed");
    assert_eq!(pointers, ["/amount/amount"]);
    let off = json!({ "provider": "stripe" });
    assert_eq!(
        shop.send(pay(&token, &order, "p-3", &off)).await.problem(422, "validation_failed"),
        ["/provider"]
    );
    let paid = shop.send(pay(&token, &order, "p-4", &json!({ "provider": "mock" }))).await;
    assert_eq!(paid.json()["status"], "succeeded");
    shop.send(pay(&token, &order, "p-5", &json!({ "provider": "mock" }))).await.problem(409, "order_state");
    shop.database.finish().await;
}

#[tokio::test]
async fn an_order_that_expired_says_so() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 1).await;
    let order = shop.send(checkout(&token, "c")).await.json();
    shop.database.shift_clock(shop.state.shop.order_ttl).await;
    let body = json!({ "provider": "mock" });
    shop.send(pay(&token, &order, "p-1", &body)).await.problem(409, "order_expired");
    expire_orders(shop.database.pool(), &shop.state.shop, &shop.state.providers, 10).await.unwrap();
    let order_path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let order = shop.send(get(&order_path).header("Cart-Token", &token)).await.json();
    assert_eq!((&order["status"], &order["cancel_reason"]), (&json!("cancelled"), &json!("expired")));
    let (_, staff) = shop.login(Role::Support).await;
    let found = "/v1/admin/orders?status=cancelled&cancel_reason=expired&stock_released=true&q=ada@EXAMPLE";
    let found = shop.send(get(found).bearer(&staff)).await.json();
    assert_eq!(found["data"][0]["id"], order["id"]);
    shop.database.finish().await;
}

#[tokio::test]
async fn what_cannot_be_ordered_is_said() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let missing = json!({ "variant_id": uuid::Uuid::now_v7(), "quantity": 1 });
    shop.send(post("/v1/cart/items", &missing)).await.problem(409, "not_for_sale");
    let many = json!({ "variant_id": variant.to_string(), "quantity": 6 });
    shop.send(post("/v1/cart/items", &many)).await.problem(409, "out_of_stock");
    let wrong = json!({ "variant_id": "x", "quantity": 0, "color": "red" });
    let mut pointers = shop.send(post("/v1/cart/items", &wrong)).await.problem(422, "validation_failed");
    pointers.sort();
    assert_eq!(pointers, ["/color", "/quantity", "/variant_id"]);

    let token = fill_cart(&shop, variant, 1).await;
    let wrong = json!({
        "shipping_address": { "name": " ", "line1": "1", "city": "L", "postal_code": "1", "country": "XX" },
        "expected_total": { "amount": 1, "currency": "USD" },
    });
    let wrong =
        post("/v1/orders/checkout", &wrong).header("Cart-Token", &token).header("Idempotency-Key", "k");
    let pointers = shop.send(wrong).await.problem(422, "validation_failed");
    assert_eq!(pointers, ["/shipping_address/name", "/shipping_address/country", "/email"]);
    let stale = json!({
        "email": "ada@example.com", "shipping_address": address(), "expected_total": { "amount": 1, "currency": "USD" },
    });
    let stale =
        post("/v1/orders/checkout", &stale).header("Cart-Token", &token).header("Idempotency-Key", "k");
    let changed = shop.send(stale).await;
    changed.problem(409, "price_changed");
    assert_eq!(changed.json()["total"]["amount"], 1250);
    shop.send(checkout(&shop.state.cart_tokens.issue(), "k")).await.problem(409, "cart_empty");
    shop.database.finish().await;
}

#[tokio::test]
async fn a_customer_takes_over_the_guests_cart_and_sees_only_own_orders() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 9).await;
    let token = fill_cart(&shop, variant, 2).await;
    let (_, ada) = shop.login(Role::Customer).await;
    let item = json!({ "variant_id": variant.to_string(), "quantity": 1 });
    shop.send(post("/v1/cart/items", &item).bearer(&ada)).await;
    let merged = shop.send(post("/v1/cart/merge", &json!({ "cart_token": token })).bearer(&ada)).await;
    assert_eq!(merged.json()["items"][0]["quantity"], 3, "{}", merged.text);
    let body = json!({ "shipping_address": address() });
    let placed = post("/v1/orders/checkout", &body).bearer(&ada).header("Idempotency-Key", "k");
    let order = shop.send(placed).await.json();
    assert!(order["email"].as_str().unwrap().ends_with("@example.com"));
    let listed = shop.send(get("/v1/orders").bearer(&ada)).await.json();
    assert_eq!(listed["data"][0]["id"], order["id"]);
    let (_, eve) = shop.login(Role::Customer).await;
    assert_eq!(shop.send(get("/v1/orders").bearer(&eve)).await.json()["data"], json!([]));
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    shop.send(get(&path).bearer(&eve)).await.problem(404, "not_found");
    shop.send(ask(Method::POST, &format!("{path}/cancel")).bearer(&eve)).await.problem(404, "not_found");
    shop.send(get("/v1/admin/orders").bearer(&eve)).await.problem(403, "permission_denied");
    let cancelled = shop.send(ask(Method::POST, &format!("{path}/cancel")).bearer(&ada)).await.json();
    assert_eq!(
        (&cancelled["status"], &cancelled["cancel_reason"]),
        (&json!("cancelled"), &json!("customer"))
    );
    assert_eq!(shop.database.stock(variant).await, (9, 0));
    shop.database.finish().await;
}

#[tokio::test]
async fn an_order_stays_readable_when_its_product_is_archived() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 2).await;
    let order = shop.send(checkout(&token, "c")).await.json();
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let before = shop.send(get(&path).header("Cart-Token", &token)).await.json();
    assert_eq!(before["lines"][0]["variant_id"], json!(variant.to_string()));

    let (_, staff) = shop.login(Role::Admin).await;
    let products = shop.send(get("/v1/admin/products").bearer(&staff)).await.json();
    let product = format!("/v1/products/{}", products["data"][0]["id"].as_str().unwrap());
    let archived = shop.send(ask(Method::DELETE, &product).bearer(&staff)).await;
    assert!(archived.status.is_success(), "{}", archived.text);
    shop.send(get(&product)).await.problem(404, "not_found");

    assert_eq!(shop.send(get(&path).header("Cart-Token", &token)).await.json(), before);
    let for_staff = shop.send(get(&path.replace("/v1/", "/v1/admin/")).bearer(&staff)).await;
    assert_eq!(for_staff.status, 200, "{}", for_staff.text);
    assert_eq!(for_staff.json()["lines"], before["lines"]);
    let paid = shop.send(pay(&token, &order, "p", &json!({ "provider": "mock" }))).await;
    assert_eq!(paid.json()["status"], "succeeded", "{}", paid.text);
    shop.database.finish().await;
}

#[tokio::test]
async fn orders_are_exported_page_after_page() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 500).await;
    for _ in 0..103 {
        shop.database.order(&shop.state.shop, &[(variant, 1)]).await;
    }
    let (_, staff) = shop.login(Role::Support).await;
    let file = shop.send(get("/v1/admin/orders/export?status=pending_payment").bearer(&staff)).await;
    assert_eq!((file.status.as_u16(), file.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    let lines: Vec<_> = file.text.lines().collect();
    assert_eq!(lines.len(), 104);
    assert!(lines[0].starts_with("number,id,status"), "{}", lines[0]);
    assert!(lines[1].starts_with("1001,") && lines[103].starts_with("1103,"));
    assert!(lines[1].contains(",\"ada@example.com\",USD,12.50,0.00,0.00,"), "{}", lines[1]);
    let (_, eve) = shop.login(Role::Customer).await;
    shop.send(get("/v1/admin/orders/export").bearer(&eve)).await.problem(403, "permission_denied");
    shop.database.finish().await;
}

#[tokio::test]
async fn a_provider_is_told_details_and_what_the_shopper_must_do_may_be_data() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 1).await;
    let order = shop.send(checkout(&token, "c")).await.json();
    let unheard_of = json!({ "provider": "mock", "details": { "colour": "red" } });
    let refused = shop.send(pay(&token, &order, "p-1", &unheard_of)).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/details", "{}", refused.text);
    for name in ["Stripe", "pay pal", &"x".repeat(41)] {
        let refused = shop.send(pay(&token, &order, "p-2", &json!({ "provider": name }))).await;
        assert_eq!(refused.json()["errors"][0]["pointer"], "/provider", "{}", refused.text);
    }
    let off = shop.send(pay(&token, &order, "p-3", &json!({ "provider": "bank_transfer" }))).await;
    let message = off.json()["errors"][0].to_string();
    assert!(message.contains("enabled: mock"), "{message}");
    let client = json!({ "provider": "mock", "details": { "outcome": "require_client" } });
    let begun = shop.send(pay(&token, &order, "p-4", &client)).await.json();
    assert_eq!(begun["action"]["type"], "client", "{begun}");
    assert!(begun["action"]["data"]["client_secret"].is_string(), "{begun}");
    shop.database.finish().await;
}

#[tokio::test]
async fn a_refused_refund_is_listed_retried_and_counted_as_paid_by_hand() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 1).await;
    let order = shop.send(checkout(&token, "c")).await.json();
    let body = json!({ "provider": "mock", "details": { "refund": "refuse" } });
    assert_eq!(shop.send(pay(&token, &order, "p", &body)).await.status, 201);
    let (_, admin) = shop.login(Role::Admin).await;
    let (_, support) = shop.login(Role::Support).await;
    let status = format!("/v1/admin/orders/{}/status", order["id"].as_str().unwrap());
    shop.send(patch(&status, &json!({ "status": "cancelled" })).bearer(&admin)).await;
    run_refunds(&shop).await;

    let listed = shop.send(get("/v1/admin/refunds?status=failed").bearer(&support)).await.json();
    let refund = listed["data"][0].clone();
    assert_eq!(
        (&refund["status"], &refund["failure_code"]),
        (&json!("failed"), &json!("insufficient_funds"))
    );
    let path = format!("/v1/admin/refunds/{}", refund["id"].as_str().unwrap());
    let retry = ask(Method::POST, &format!("{path}/retry")).header("Idempotency-Key", "r");
    shop.send(retry.clone().bearer(&support)).await.problem(403, "permission_denied");
    let retried = shop.send(retry.clone().bearer(&admin)).await;
    assert_eq!((&retried.json()["status"], &retried.json()["attempt"]), (&json!("pending"), &json!(2)));
    let replayed = shop.send(retry.bearer(&admin)).await;
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    let by_hand = |key: &str| {
        let body = json!({ "note": "bank transfer of today" });
        post(&format!("{path}/paid-by-hand"), &body).bearer(&admin).header("Idempotency-Key", key)
    };
    shop.send(by_hand("h-1")).await.problem(409, "refund_state");
    run_refunds(&shop).await;
    let paid = shop.send(by_hand("h-2")).await;
    assert_eq!(paid.json()["status"], "succeeded", "{}", paid.text);
    shop.send(by_hand("h-3")).await.problem(409, "refund_state");
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let order = shop.send(get(&path).header("Cart-Token", &token)).await.json();
    assert_eq!((&order["status"], &order["payment_status"]), (&json!("cancelled"), &json!("refunded")));
    shop.database.finish().await;
}

/// Does all refund jobs that are due, as a worker would.
async fn run_refunds(shop: &TestShop) {
    let lease = std::time::Duration::from_secs(60);
    let mut conn = shop.database.conn().await;
    for job in jobs::claim(&mut conn, "test", &[RefundPayment::KIND], 100, lease).await.unwrap() {
        let RefundPayment { refund_id } = serde_json::from_value(job.payload.clone()).unwrap();
        let (state, pool) = (&shop.state, shop.database.pool());
        run_refund(pool, &state.shop, &state.providers, refund_id, job.lease()).await.unwrap();
    }
}

#[tokio::test]
async fn a_quote_says_what_checkout_will_charge_and_what_it_would_refuse() {
    let shop = TestShop::new().await;
    let quote = |token: &str| ask(Method::POST, "/v1/cart/quote").header("Cart-Token", token);
    let nothing = shop.send(ask(Method::POST, "/v1/cart/quote")).await;
    assert_eq!((nothing.status.as_u16(), &nothing.json()["items"]), (200, &json!([])), "{}", nothing.text);
    assert_eq!(nothing.json()["expected_total"], Value::Null);

    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 2).await;
    let quoted = shop.send(quote(&token)).await.json();
    let total = json!({ "amount": 2500, "currency": "USD" });
    assert_eq!((&quoted["subtotal"], &quoted["total"]), (&total, &total));
    assert_eq!((&quoted["expected_total"], &quoted["items"][0]["problem"]), (&total, &Value::Null));
    assert_eq!(shop.send(quote(&token).json(&json!({}))).await.json(), quoted);
    let unknown = shop.send(quote(&token).json(&json!({ "colour": "red" }))).await;
    assert_eq!(unknown.problem(422, "validation_failed"), ["/colour"]);

    // Somebody else takes four of the five.
    let other = fill_cart(&shop, variant, 4).await;
    let taken = shop.send(checkout(&other, "other")).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    let short = shop.send(quote(&token)).await.json();
    assert_eq!(
        (&short["items"][0]["problem"], &short["items"][0]["available"]),
        (&json!("out_of_stock"), &json!(1))
    );
    assert_eq!((&short["total"], &short["expected_total"]), (&total, &Value::Null));
    shop.send(checkout(&token, "mine")).await.problem(409, "out_of_stock");

    shop.database.restock(variant, 1).await;
    let expected = shop.send(quote(&token)).await.json()["expected_total"].clone();
    let body =
        json!({ "email": "ada@example.com", "shipping_address": address(), "expected_total": expected });
    let placed =
        post("/v1/orders/checkout", &body).header("Cart-Token", &token).header("Idempotency-Key", "k");
    let order = shop.send(placed).await.json();
    for sum in ["subtotal", "discount_total", "shipping_total", "tax_total", "tax_included_total", "total"] {
        assert_eq!(order[sum], quoted[sum], "{sum}: {order}");
    }
    shop.database.finish().await;
}
