//! What staff do with money over HTTP: refunds, payments by hand, the list of payments.

use commerce_core::accounts::Role;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Ask, Got, TestShop, ask, get, post};

/// A shop with an order of three units at 12.50, and with an admin.
struct Counter {
    shop: TestShop,
    admin: String,
    guest: String,
    order: Value,
}

impl Counter {
    async fn new() -> Self {
        let shop = TestShop::new().await;
        let variant = shop.database.variant(1250, 50).await.to_string();
        let (_, admin) = shop.login(Role::Admin).await;
        let guest = shop.state.cart_tokens.issue();
        let item = json!({ "variant_id": variant, "quantity": 3 });
        assert_eq!(shop.send(post("/v1/cart/items", &item).header("Cart-Token", &guest)).await.status, 200);
        let address = json!({ "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" });
        let checkout = json!({ "email": "ada@example.com", "shipping_address": address });
        let checkout = post("/v1/orders/checkout", &checkout).header("Cart-Token", &guest);
        let order = shop.send(checkout.header("Idempotency-Key", "checkout")).await.json();
        Self { shop, admin, guest, order }
    }

    fn order_id(&self) -> &str {
        self.order["id"].as_str().unwrap()
    }

    async fn pay(&self, key: &str, amount: i64, details: Value) -> Value {
        let body = json!({ "provider": "mock", "amount": usd(amount), "details": details });
        let ask =
            post(&format!("/v1/orders/{}/pay", self.order_id()), &body).header("Cart-Token", &self.guest);
        let paid = self.shop.send(ask.header("Idempotency-Key", key)).await;
        assert_eq!(paid.json()["status"], "succeeded", "{}", paid.text);
        paid.json()
    }

    fn by_admin(&self, path: &str, key: &str, body: &Value) -> Ask {
        post(path, body).bearer(&self.admin).header("Idempotency-Key", key)
    }

    async fn refund(&self, payment: &Value, key: &str, body: &Value) -> Got {
        let path = format!("/v1/payments/{}/refunds", payment["id"].as_str().unwrap());
        self.shop.send(self.by_admin(&path, key, body)).await
    }

    async fn refund_order(&self, key: &str, body: &Value) -> Got {
        let path = format!("/v1/admin/orders/{}/refunds", self.order_id());
        self.shop.send(self.by_admin(&path, key, body)).await
    }

    async fn record(&self, key: &str, body: &Value) -> Got {
        let path = format!("/v1/admin/orders/{}/payments", self.order_id());
        self.shop.send(self.by_admin(&path, key, body)).await
    }

    async fn list(&self, query: &str) -> Value {
        let listed = self.shop.send(get(&format!("/v1/payments{query}")).bearer(&self.admin)).await;
        assert_eq!(listed.status, 200, "{}", listed.text);
        listed.json()
    }

    async fn move_to(&self, status: &str) {
        let path = format!("/v1/admin/orders/{}/status", self.order_id());
        let moved = ask(Method::PATCH, &path).json(&json!({ "status": status })).bearer(&self.admin);
        assert_eq!(self.shop.send(moved).await.status, 200);
    }
}

fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

#[tokio::test]
async fn a_payment_is_refunded_by_amount_and_once_for_a_key() {
    let counter = Counter::new().await;
    let payment = counter.pay("pay", 3750, json!({})).await;
    let body = json!({ "amount": usd(1000), "reason": "The cup has a chip." });
    let first = counter.refund(&payment, "r-1", &body).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let refund = first.json();
    assert_eq!((&refund["status"], &refund["reason"]), (&json!("pending"), &json!("requested")));
    assert_eq!((&refund["amount"], &refund["note"]), (&usd(1000), &json!("The cup has a chip.")));
    let again = counter.refund(&payment, "r-1", &body).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.json(), refund);
    counter.refund(&payment, "r-1", &json!({})).await.problem(422, "idempotency_key_reused");
    let path = format!("/v1/payments/{}/refunds", payment["id"].as_str().unwrap());
    let keyless = post(&path, &json!({})).bearer(&counter.admin);
    counter.shop.send(keyless).await.problem(400, "idempotency_key_required");

    let too_much = counter.refund(&payment, "r-2", &json!({ "amount": usd(2751) })).await;
    assert_eq!(too_much.problem(422, "validation_failed"), ["/amount/amount"]);
    assert_eq!(too_much.json()["left"], usd(2750));
    let yen = json!({ "amount": { "amount": 100, "currency": "JPY" } });
    counter.refund(&payment, "r-3", &yen).await.problem(409, "currency_mismatch");
    let both = json!({ "amount": usd(1), "lines": [{ "order_line_id": payment["id"], "quantity": 1 }] });
    assert_eq!(counter.refund(&payment, "r-4", &both).await.problem(422, "validation_failed"), ["/amount"]);
    assert_eq!(counter.refund(&payment, "r-5", &json!({})).await.json()["amount"], usd(2750));
    counter.refund(&payment, "r-6", &json!({})).await.problem(409, "refund_state");
    let nowhere = json!({ "id": "00000000-0000-7000-8000-000000000001" });
    counter.refund(&nowhere, "r-7", &json!({})).await.problem(404, "not_found");
    counter.shop.database.finish().await;
}

#[tokio::test]
async fn an_order_is_refunded_by_lines_and_its_goods_come_back() {
    let counter = Counter::new().await;
    counter.pay("one", 1000, json!({})).await;
    counter.pay("two", 2750, json!({})).await;
    let line = &counter.order["lines"][0]["id"];
    let of_line = |quantity: i64, restock: bool| json!({ "lines": [{ "order_line_id": line, "quantity": quantity }], "restock": restock });
    let early = counter.refund_order("r-1", &of_line(1, true)).await;
    early.problem(409, "order_state");
    assert!(early.json()["detail"].as_str().unwrap().contains("Cancel the order"), "{}", early.text);
    counter.move_to("shipped").await;
    let refunded = counter.refund_order("r-2", &of_line(2, true)).await;
    assert_eq!(refunded.status, 201, "{}", refunded.text);
    let refunds = refunded.json()["data"].clone();
    let amounts: Vec<&Value> = refunds.as_array().unwrap().iter().map(|refund| &refund["amount"]).collect();
    assert_eq!(amounts, [&usd(1000), &usd(1500)]);
    let restocked = json!([{ "order_line_id": line, "quantity": 2, "amount": usd(2500), "restocked": true }]);
    assert_eq!((&refunds[0]["lines"], &refunds[1]["lines"]), (&restocked, &json!([])));
    let too_many = counter.refund_order("r-3", &of_line(2, false)).await;
    assert_eq!(too_many.problem(422, "validation_failed"), ["/lines"]);
    assert_eq!(too_many.json()["units_left"], 1);
    let unclear = counter.refund_order("r-4", &json!({ "restock": true })).await;
    assert_eq!(unclear.problem(422, "validation_failed"), ["/restock"]);

    let events = format!("/v1/admin/orders/{}/events", counter.order_id());
    let events = counter.shop.send(get(&events).bearer(&counter.admin)).await.json();
    let requested: Vec<&Value> = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["kind"] == "refund_requested")
        .collect();
    assert_eq!(requested.len(), 2);
    assert_eq!(requested[0]["data"]["restock"], true);
    let listed = counter.shop.send(get("/v1/admin/refunds?status=pending").bearer(&counter.admin)).await;
    assert_eq!(listed.json()["data"].as_array().unwrap().len(), 2, "{}", listed.text);
    counter.shop.database.finish().await;
}

#[tokio::test]
async fn money_without_a_provider_pays_an_order() {
    let counter = Counter::new().await;
    let body = json!({ "amount": usd(1000), "reference": "cash", "received_at": "2024-11-27T11:00:00Z" });
    let first = counter.record("m-1", &body).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let payment = first.json();
    assert_eq!((&payment["provider"], &payment["status"]), (&json!("manual"), &json!("succeeded")));
    assert_eq!((&payment["provider_reference"], &payment["amount_captured"]), (&json!("cash"), &usd(1000)));
    assert_eq!(counter.record("m-1", &body).await.header("idempotent-replayed"), Some("true"));
    let too_much = counter.record("m-2", &json!({ "amount": usd(2751), "reference": "cash" })).await;
    assert_eq!(too_much.problem(422, "validation_failed"), ["/amount/amount"]);
    let future = json!({ "reference": "cash", "received_at": "2999-01-01T00:00:00Z" });
    assert_eq!(counter.record("m-3", &future).await.problem(422, "validation_failed"), ["/received_at"]);
    assert_eq!(counter.record("m-4", &json!({ "reference": "cash" })).await.json()["amount"], usd(2750));
    counter.record("m-5", &json!({ "reference": "cash" })).await.problem(409, "order_state");
    let path = format!("/v1/orders/{}", counter.order_id());
    let order = counter.shop.send(get(&path).header("Cart-Token", &counter.guest)).await.json();
    assert_eq!((&order["status"], &order["payment_status"]), (&json!("paid"), &json!("paid")));

    // Only a person can pay it back.
    let refund = counter.refund(&payment, "r-1", &json!({})).await.json();
    let path = format!("/v1/admin/refunds/{}", refund["id"].as_str().unwrap());
    let retried = ask(Method::POST, &format!("{path}/retry")).bearer(&counter.admin);
    counter.shop.send(retried).await.problem(409, "refund_state");
    let paid = post(&format!("{path}/paid-by-hand"), &json!({ "note": "cash" })).bearer(&counter.admin);
    assert_eq!(counter.shop.send(paid).await.json()["status"], "succeeded");
    counter.shop.database.finish().await;
}

#[tokio::test]
async fn payments_are_listed_for_staff_by_filters_and_pages() {
    let counter = Counter::new().await;
    let fee = json!({ "fee": { "amount_minor": 59, "currency": "USD" } });
    let first = counter.pay("one", 1000, fee).await;
    assert!(first.get("fee").is_none(), "a shopper is not told of it");
    let declined = json!({ "provider": "mock", "outcome": "fail" });
    let ask = post(&format!("/v1/orders/{}/pay", counter.order_id()), &declined);
    let ask = ask.header("Cart-Token", &counter.guest).header("Idempotency-Key", "declined");
    assert_eq!(counter.shop.send(ask).await.json()["status"], "failed");
    counter.record("m-1", &json!({ "reference": "cash" })).await;

    let all = counter.list("").await["data"].clone();
    let of = |field: &str, list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|payment| payment[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("status", &all), ["succeeded", "failed", "succeeded"]);
    assert_eq!(of("provider", &all), ["manual", "mock", "mock"], "the newest come first");
    assert_eq!(all[2]["fee"], usd(59));
    let count = async |query: &str| counter.list(query).await["data"].as_array().unwrap().len();
    assert_eq!(count("?status=failed").await, 1);
    assert_eq!(count("?provider=manual").await, 1);
    assert_eq!(count("?provider=stripe").await, 0);
    assert_eq!(count(&format!("?order_id={}&status=succeeded", counter.order_id())).await, 2);
    assert_eq!(count("?order_id=00000000-0000-7000-8000-000000000001").await, 0);
    let middle = all[1]["created_at"].as_str().unwrap().replace('+', "%2B");
    assert_eq!(count(&format!("?created_from={middle}")).await, 2);
    assert_eq!(count(&format!("?created_before={middle}")).await, 1);
    let (mut seen, mut query) = (Vec::new(), "?limit=1".to_owned());
    loop {
        let page = counter.list(&query).await;
        seen.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=1&cursor={cursor}");
    }
    assert_eq!(json!(seen), all);
    let wrong = get("/v1/payments?cursor=x").bearer(&counter.admin);
    counter.shop.send(wrong).await.problem(400, "invalid_cursor");

    // A shopper sees their own.
    let own =
        get(&format!("/v1/payments?order_id={}", counter.order_id())).header("Cart-Token", &counter.guest);
    let own = counter.shop.send(own).await.json();
    assert_eq!(own["data"].as_array().unwrap().len(), 3);
    assert!(own["data"].as_array().unwrap().iter().all(|payment| payment.get("fee").is_none()), "{own:#}");
    let of =
        async |token: &str| counter.shop.send(get("/v1/payments").header("Cart-Token", token)).await.json();
    assert_eq!(of(&counter.guest).await, own);
    assert_eq!(of(&counter.shop.state.cart_tokens.issue()).await["data"], json!([]));
    counter.shop.database.finish().await;
}
