//! Parcels and part cancellations over HTTP.

use std::sync::Arc;

use commerce_core::accounts::Role;
use commerce_core::payments::{MockProvider, PaymentProvider};
use commerce_core::settings::{CapturePolicy, ShopSettings};
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Ask, Got, TestShop, ask, get, post};

/// A shop with an order of three units at 12.50, and with its people.
struct Counter {
    shop: TestShop,
    admin: String,
    fulfilment: String,
    guest: String,
    order: Value,
}

impl Counter {
    async fn new(rules: ShopSettings) -> Self {
        let carriers = "DHL=https://dhl.example/track?id={tracking_number}".parse().unwrap();
        let mock: Arc<dyn PaymentProvider> = Arc::new(MockProvider::new("http://localhost"));
        let shop = TestShop::ruled_and_paid_by(ShopSettings { carriers, ..rules }, [mock]).await;
        let (_, admin) = shop.login(Role::Admin).await;
        let (_, fulfilment) = shop.login(Role::Fulfilment).await;
        let guest = shop.state.cart_tokens.issue();
        let mut counter = Self { shop, admin, fulfilment, guest, order: Value::Null };
        counter.order = counter.new_order().await;
        assert_eq!(counter.order["source"], "storefront", "{}", counter.order);
        counter
    }

    async fn new_order(&self) -> Value {
        let variant = self.shop.database.variant(1250, 5).await.to_string();
        let item = json!({ "variant_id": variant, "quantity": 3 });
        let added = post("/v1/cart/items", &item).header("Cart-Token", &self.guest);
        assert_eq!(self.shop.send(added).await.status, 200);
        let address = json!({ "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" });
        let checkout = json!({ "email": "ada@example.com", "shipping_address": address });
        let checkout = post("/v1/orders/checkout", &checkout).header("Cart-Token", &self.guest);
        self.shop.send(checkout.header("Idempotency-Key", &variant)).await.json()
    }

    async fn pay(&self, order: &Value) {
        let body = json!({ "provider": "mock", "outcome": "succeed" });
        let path = format!("/v1/orders/{}/pay", text(&order["id"]));
        let ask = post(&path, &body).header("Cart-Token", &self.guest).header("Idempotency-Key", &path);
        assert_eq!(self.shop.send(ask).await.status, 201);
    }

    fn pack(&self, order: &Value, quantity: i64, more: Value) -> Ask {
        let mut body = json!({ "order_id": order["id"],
                               "lines": [{ "order_line_id": order["lines"][0]["id"], "quantity": quantity }] });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        post("/v1/shipments", &body).bearer(&self.fulfilment)
    }

    async fn move_to(&self, shipment: &str, body: Value) -> Got {
        let path = format!("/v1/shipments/{shipment}/status");
        self.shop.send(ask(Method::PATCH, &path).json(&body).bearer(&self.fulfilment)).await
    }

    async fn order(&self, order: &Value) -> Value {
        let path = format!("/v1/orders/{}", text(&order["id"]));
        self.shop.send(get(&path).header("Cart-Token", &self.guest)).await.json()
    }

    async fn as_guest(&self, path: &str) -> Got {
        self.shop.send(get(path).header("Cart-Token", &self.guest)).await
    }

    async fn cancel(&self, order: &Value, ask_as: impl FnOnce(Ask) -> Ask, body: &Value) -> Got {
        let path = format!("/v1/orders/{}/cancel", text(&order["id"]));
        self.shop.send(ask_as(post(&path, body))).await
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_sent_and_its_shopper_sees_where_it_is() {
    let counter = Counter::new(ShopSettings::default()).await;
    let order = &counter.order;
    counter.shop.send(counter.pack(order, 2, json!({}))).await.problem(409, "order_state");
    counter.pay(order).await;
    let dhl = json!({ "carrier": "DHL", "tracking_number": "T 1/ä" });
    let request = counter.pack(order, 2, dhl.clone()).header("Idempotency-Key", "pack");
    let made = counter.shop.send(request.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let again = counter.shop.send(request).await;
    assert_eq!((again.header("idempotent-replayed"), &again.text), (Some("true"), &made.text));
    let parcel = made.json();
    assert_eq!((&parcel["status"], &parcel["order_id"]), (&json!("pending"), &order["id"]));
    assert_eq!(parcel["tracking_url"], "https://dhl.example/track?id=T%201%2F%C3%A4");
    assert_eq!(parcel["lines"][0]["quantity"], 2);
    let too_many = counter.shop.send(counter.pack(order, 2, json!({}))).await;
    too_many.problem(409, "order_state");
    assert_eq!(too_many.json()["units_left"], 1);
    counter.shop.send(counter.pack(order, 1, dhl)).await.problem(409, "tracking_number_taken");
    assert_eq!(counter.order(order).await["status"], "processing");

    let id = text(&parcel["id"]);
    let by_number = "T%201%2F%C3%A4";
    let stale = ask(Method::PATCH, &format!("/v1/shipments/{id}/status"))
        .json(&json!({ "status": "shipped" }))
        .header("If-Match", "\"9\"");
    counter.shop.send(stale.bearer(&counter.fulfilment)).await.problem(412, "version_mismatch");
    counter.move_to(&id, json!({ "status": "delivered" })).await.problem(409, "shipment_state");
    let wrong = counter.move_to(&id, json!({ "status": "shipped", "restock": true })).await;
    assert_eq!(wrong.problem(422, "validation_failed"), ["/restock"]);
    assert_eq!(counter.move_to(by_number, json!({ "status": "shipped" })).await.status, 200);
    assert_eq!(counter.order(order).await["fulfillment_status"], "partial");

    let path = format!("/v1/shipments/{id}/checkpoints");
    let event = json!({ "status": "in_transit", "location": "Leipzig", "event_id": "e-1" });
    for _ in 0..2 {
        let added = counter.shop.send(post(&path, &event).bearer(&counter.fulfilment)).await;
        assert_eq!((added.status.as_u16(), &added.json()["location"]), (201, &json!("Leipzig")));
    }
    let future = json!({ "status": "in_transit", "occurred_at": "2999-01-01T00:00:00Z" });
    let future = counter.shop.send(post(&path, &future).bearer(&counter.fulfilment)).await;
    assert_eq!(future.problem(422, "validation_failed"), ["/occurred_at"]);
    let seen = counter.as_guest(&format!("/v1/shipments/{by_number}")).await.json();
    assert_eq!(seen["status"], "in_transit");
    let words: Vec<&Value> =
        seen["checkpoints"].as_array().unwrap().iter().map(|checkpoint| &checkpoint["status"]).collect();
    assert_eq!(words, ["shipped", "in_transit"]);
    for query in ["", "?tracking_number=T%201%2F%C3%A4", &format!("?order_id={}", text(&order["id"]))] {
        let listed = counter.as_guest(&format!("/v1/shipments{query}")).await.json();
        assert_eq!(listed["data"], json!([seen]), "{query}");
    }
    assert_eq!(counter.as_guest("/v1/shipments?tracking_number=T").await.json()["data"], json!([]));
    let stranger = counter.shop.state.cart_tokens.issue();
    let strange = get(&format!("/v1/shipments/{id}")).header("Cart-Token", &stranger);
    counter.shop.send(strange).await.problem(404, "not_found");

    // The rest is shipped and delivered with the order.
    for status in ["shipped", "delivered"] {
        let path = format!("/v1/admin/orders/{}/status", text(&order["id"]));
        let moved = ask(Method::PATCH, &path).json(&json!({ "status": status })).bearer(&counter.admin);
        assert_eq!(counter.shop.send(moved).await.status, 200);
    }
    let done = counter.order(order).await;
    assert_eq!((&done["status"], &done["fulfillment_status"]), (&json!("delivered"), &json!("delivered")));
    counter.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_two_carriers_use_needs_a_carrier() {
    let counter = Counter::new(ShopSettings::default()).await;
    let mut orders = vec![counter.order.clone()];
    orders.push(counter.new_order().await);
    for (order, carrier) in orders.iter().zip(["DHL", "UPS"]) {
        counter.pay(order).await;
        let body = json!({ "carrier": carrier, "tracking_number": "77", "status": "shipped" });
        let made = counter.shop.send(counter.pack(order, 1, body)).await;
        assert_eq!((made.status.as_u16(), &made.json()["status"]), (201, &json!("shipped")));
    }
    let several = counter.as_guest("/v1/shipments/77").await;
    several.problem(409, "tracking_number_ambiguous");
    assert_eq!(several.json()["shipments"].as_array().unwrap().len(), 2);
    counter.move_to("77", json!({ "status": "lost" })).await.problem(409, "tracking_number_ambiguous");
    let ups = counter.as_guest("/v1/shipments/77?carrier=ups").await.json();
    assert_eq!((&ups["carrier"], ups["tracking_url"].is_null()), (&json!("UPS"), true));
    // With its carrier it is one.
    let path = "/v1/shipments/77/status?carrier=UPS";
    let lost = ask(Method::PATCH, path).json(&json!({ "status": "lost" })).bearer(&counter.fulfilment);
    assert_eq!(counter.shop.send(lost).await.json()["status"], "lost");
    let again = json!({ "order_id": orders[1]["id"], "replaces": ups["id"], "status": "shipped" });
    let again = counter.shop.send(post("/v1/shipments", &again).bearer(&counter.fulfilment)).await;
    assert_eq!((again.status.as_u16(), &again.json()["replaces"]), (201, &ups["id"]));
    let wrong = json!({ "order_id": orders[0]["id"], "replaces": ups["id"] });
    let wrong = counter.shop.send(post("/v1/shipments", &wrong).bearer(&counter.fulfilment)).await;
    assert_eq!(wrong.problem(422, "validation_failed"), ["/replaces"]);
    counter.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_parcel_takes_the_money_and_only_if_it_can_leave() {
    let rules = ShopSettings { capture: CapturePolicy::OnShipping, ..Default::default() };
    let counter = Counter::new(rules).await;
    let order = &counter.order;
    counter.pay(order).await;
    assert_eq!(counter.order(order).await["payment_status"], "authorized");
    let line = &order["lines"][0]["id"];
    let less = json!({ "lines": [{ "order_line_id": line, "quantity": 1 }] });
    let less = counter.cancel(order, |ask| ask.header("Cart-Token", &counter.guest), &less).await;
    assert_eq!(
        (&less.json()["amount_due"]["amount"], &less.json()["cancelled_total"]["amount"]),
        (&json!(2500), &json!(1250))
    );
    let shipped = json!({ "status": "shipped" });
    counter.shop.send(counter.pack(order, 3, shipped.clone())).await.problem(409, "order_state");
    assert_eq!(
        counter.order(order).await["amount_paid"]["amount"],
        0,
        "nothing is taken for what cannot leave"
    );
    let packed = counter.shop.send(counter.pack(order, 1, json!({}))).await.json();
    assert_eq!(counter.order(order).await["amount_paid"]["amount"], 0, "or for what is only packed");

    let request = counter.pack(order, 1, shipped).header("Idempotency-Key", "ship");
    let made = counter.shop.send(request.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(counter.shop.send(request).await.text, made.text);
    let paid = counter.order(order).await;
    assert_eq!(
        (&paid["amount_paid"]["amount"], &paid["fulfillment_status"]),
        (&json!(2500), &json!("partial"))
    );
    let second = counter.move_to(&text(&packed["id"]), json!({ "status": "shipped" })).await;
    assert_eq!(second.status, 200, "{}", second.text);
    let done = counter.order(order).await;
    assert_eq!((&done["status"], &done["amount_paid"]["amount"]), (&json!("shipped"), &json!(2500)));
    counter.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_cancels_some_units_and_staff_cancel_more() {
    let counter = Counter::new(ShopSettings::default()).await;
    let order = &counter.order;
    counter.pay(order).await;
    let units = |quantity: i64| json!({ "lines": [{ "order_line_id": order["lines"][0]["id"], "quantity": quantity }] });
    let guest = |key: &'static str| {
        |ask: Ask| ask.header("Cart-Token", &counter.guest).header("Idempotency-Key", key)
    };
    for _ in 0..2 {
        let less = counter.cancel(order, guest("c-1"), &units(1)).await;
        assert_eq!(less.status, 200, "{}", less.text);
        let less = less.json();
        assert_eq!((&less["lines"][0]["cancelled_quantity"], &less["status"]), (&json!(1), &json!("paid")));
        assert_eq!(
            (&less["total"]["amount"], &less["cancelled_total"]["amount"]),
            (&json!(3750), &json!(1250))
        );
    }
    let too_many = counter.cancel(order, guest("c-2"), &units(3)).await;
    too_many.problem(409, "order_state");
    assert_eq!(too_many.json()["units_left"], 2);
    let chosen = json!({ "refund": false });
    counter.cancel(order, guest("c-3"), &chosen).await.problem(422, "validation_failed");
    let stranger = counter.shop.state.cart_tokens.issue();
    counter
        .cancel(order, |ask| ask.header("Cart-Token", &stranger), &units(1))
        .await
        .problem(404, "not_found");
    let (_, customer) = counter.shop.login(Role::Customer).await;
    counter.cancel(order, |ask| ask.bearer(&customer), &units(1)).await.problem(404, "not_found");

    let path = format!("/v1/admin/orders/{}/status", text(&order["id"]));
    let process = ask(Method::PATCH, &path).json(&json!({ "status": "processing" })).bearer(&counter.admin);
    assert_eq!(counter.shop.send(process).await.status, 200);
    counter.cancel(order, guest("c-4"), &units(1)).await.problem(409, "order_state");
    counter
        .cancel(order, |ask| ask.bearer(&counter.fulfilment), &units(1))
        .await
        .problem(403, "permission_denied");
    let mut broken = units(1);
    broken["restock"] = json!(false);
    let less = counter.cancel(order, |ask| ask.bearer(&counter.admin), &broken).await;
    assert_eq!(less.json()["cancelled_total"]["amount"], 2500, "{}", less.text);
    let gone = counter.cancel(order, |ask| ask.bearer(&counter.admin), &json!({})).await;
    assert_eq!(gone.json()["status"], "cancelled", "{}", gone.text);
    let refunds = get("/v1/admin/refunds").bearer(&counter.admin);
    let refunds = counter.shop.send(refunds).await.json();
    let reasons: Vec<&Value> =
        refunds["data"].as_array().unwrap().iter().map(|refund| &refund["reason"]).collect();
    assert_eq!(reasons, ["order_cancelled", "lines_cancelled", "lines_cancelled"]);
    counter.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_cancel_an_order_and_choose_to_keep_its_money_and_to_scrap_its_goods() {
    let counter = Counter::new(ShopSettings::default()).await;
    let order = &counter.order;
    counter.pay(order).await;
    let path = format!("/v1/admin/orders/{}/status", text(&order["id"]));
    let choices =
        json!({ "status": "cancelled", "refund": false, "restock": false, "reason": "No-show fee." });
    let gone = counter.shop.send(ask(Method::PATCH, &path).json(&choices).bearer(&counter.fulfilment)).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    let gone = gone.json();
    assert_eq!(
        (&gone["status"], &gone["payment_status"], &gone["amount_kept"]["amount"]),
        (&json!("cancelled"), &json!("paid"), &json!(3750))
    );
    let refunds = counter.shop.send(get("/v1/admin/refunds").bearer(&counter.admin)).await.json();
    assert_eq!(refunds["data"], json!([]));
    let events = get(&format!("/v1/admin/orders/{}/events", text(&order["id"]))).bearer(&counter.admin);
    let events = counter.shop.send(events).await.text;
    assert!(events.contains("\"kept_minor\":3750") && events.contains("No-show fee."), "{events}");
    counter.shop.database.finish().await;
}
