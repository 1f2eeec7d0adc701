//! Webhooks over HTTP: verified on the raw body, stored once, applied by a job; and captures by staff.

use std::time::Duration;

use commerce_core::accounts::Role;
use commerce_core::flows::{ProcessWebhook, run_webhook};
use commerce_core::jobs::{self, Job as _};
use commerce_core::money::{Currency, Money};
use commerce_core::payments::MockProvider;
use commerce_core::settings::{CapturePolicy, ShopSettings};
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Ask, TestShop, WEBHOOK_SECRET, ask, get, post};

/// A webhook of the mock provider with this signature.
fn webhook(body: &[u8], signature: &str) -> Ask {
    ask(Method::POST, "/v1/webhooks/mock")
        .header("content-type", "application/json")
        .header(MockProvider::SIGNATURE_HEADER, signature)
        .untyped(body)
}

fn signed(told: &Value) -> Ask {
    let body = serde_json::to_vec(told).unwrap();
    webhook(&body, &MockProvider::sign(WEBHOOK_SECRET, &body))
}

/// A guest's order over 12.50 USD with a payment that waits for its shopper. Returns the ids of both, and the token.
async fn waiting_payment(shop: &TestShop) -> (String, String, String) {
    let variant = shop.database.variant(1250, 10).await;
    let items = json!({ "items": [{ "variant_id": variant.0, "quantity": 1 }] });
    let cart = shop.send(ask(Method::PUT, "/v1/cart").json(&items)).await;
    let token = cart.json()["token"].as_str().unwrap().to_owned();
    let address = json!({
        "name": "Ada", "line1": "1 High St", "city": "Ely", "postal_code": "CB7 4AA", "country": "GB",
    });
    let wish = json!({ "email": "ada@example.com", "shipping_address": address });
    let checkout = post("/v1/orders/checkout", &wish).header("Cart-Token", &token);
    let order = shop.send(checkout.header("Idempotency-Key", "order")).await.json();
    let order = order["id"].as_str().unwrap().to_owned();
    let pay =
        post(&format!("/v1/orders/{order}/pay"), &json!({ "provider": "mock", "outcome": "require_action" }));
    let pay = pay.header("Cart-Token", &token).header("Idempotency-Key", "pay");
    let payment = shop.send(pay).await.json();
    assert_eq!(payment["status"], "requires_action", "{payment}");
    (order, payment["id"].as_str().unwrap().to_owned(), token)
}

async fn status_of(shop: &TestShop, order: &str, token: &str) -> String {
    let got = shop.send(get(&format!("/v1/orders/{order}")).header("Cart-Token", token)).await;
    got.json()["status"].as_str().unwrap().to_owned()
}

/// Applies the events whose jobs are due, as a worker does. Returns their number.
async fn work(shop: &TestShop) -> usize {
    let (kinds, pool) = ([ProcessWebhook::KIND], shop.database.pool());
    let minute = Duration::from_secs(60);
    let due = jobs::claim(&mut *shop.database.conn().await, "tester", &kinds, 100, minute).await.unwrap();
    for job in &due {
        let ProcessWebhook { webhook_id } = serde_json::from_value(job.payload.clone()).unwrap();
        run_webhook(pool, &shop.state.shop, webhook_id, job.lease()).await.unwrap();
    }
    due.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_webhook_pays_the_order_once_and_another_leaves_no_row() {
    let shop = TestShop::new().await;
    let (order, payment, token) = waiting_payment(&shop).await;
    let captured = Money::new(1250, Currency::USD);
    let told =
        json!({ "type": "payment_succeeded", "id": "evt_1", "payment_id": payment, "captured": captured });
    let body = serde_json::to_vec(&told).unwrap();

    for (body, signature) in [
        (body.as_slice(), "00"),
        (body.as_slice(), ""),
        (b"{}".as_slice(), &MockProvider::sign(WEBHOOK_SECRET, &body)),
        (b"{}".as_slice(), &MockProvider::sign(WEBHOOK_SECRET, b"{}")),
        (b"no json".as_slice(), &MockProvider::sign(WEBHOOK_SECRET, b"no json")),
    ] {
        let got = shop.send(webhook(body, signature)).await;
        got.problem(400, "webhook_unverified");
    }
    let nobody = ask(Method::POST, "/v1/webhooks/nobody").untyped(body.clone());
    assert_eq!(shop.send(nobody).await.status.as_u16(), 404);
    let huge = vec![b' '; 300 * 1024];
    let got = shop.send(webhook(&huge, &MockProvider::sign(WEBHOOK_SECRET, &huge))).await;
    assert_eq!(got.status.as_u16(), 413);
    assert_eq!(work(&shop).await, 0);

    for _ in 0..3 {
        let got = shop.send(signed(&told)).await;
        assert_eq!((got.status.as_u16(), got.json()), (200, json!({ "events": 1 })));
    }
    assert_eq!(work(&shop).await, 1);
    assert_eq!(status_of(&shop, &order, &token).await, "paid");

    let (_, admin) = shop.login(Role::Admin).await;
    let list = shop.send(get("/v1/admin/webhooks").bearer(&admin)).await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let stored = &list["data"][0];
    assert_eq!((stored["event_id"].as_str(), stored["status"].as_str()), (Some("evt_1"), Some("processed")));
    let path = format!("/v1/admin/webhooks/{}/replay", stored["id"].as_str().unwrap());
    let replayed = shop.send(ask(Method::POST, &path).bearer(&admin)).await.json();
    assert_eq!(replayed["status"], "received");
    assert_eq!(work(&shop).await, 1);
    let got = shop.send(get(&format!("/v1/orders/{order}")).header("Cart-Token", &token)).await.json();
    assert_eq!(got["amount_paid"]["amount"], 1250, "{got}");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_authorized_is_taken_when_the_order_is_shipped() {
    let rules = ShopSettings { capture: CapturePolicy::OnShipping, ..ShopSettings::default() };
    let shop = TestShop::ruled(rules).await;
    let (order, payment, token) = waiting_payment(&shop).await;
    let confirm = ask(Method::POST, &format!("/v1/payments/{payment}/confirm")).header("Cart-Token", &token);
    let confirmed = shop.send(confirm).await.json();
    assert_eq!(confirmed["status"], "authorized", "{confirmed}");
    assert_eq!(confirmed["amount_authorized"]["amount"], 1250);
    let held = shop.send(get(&format!("/v1/orders/{order}")).header("Cart-Token", &token)).await.json();
    assert_eq!(
        (held["status"].as_str(), held["payment_status"].as_str()),
        (Some("pending_payment"), Some("authorized"))
    );

    let (_, admin) = shop.login(Role::Admin).await;
    let path = format!("/v1/admin/orders/{order}/status");
    let ship = ask(Method::PATCH, &path).bearer(&admin).json(&json!({ "status": "shipped" }));
    let shipped = shop.send(ship).await.json();
    assert_eq!(
        (shipped["status"].as_str(), shipped["payment_status"].as_str()),
        (Some("shipped"), Some("paid")),
        "{shipped}"
    );
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_capture_a_part_once_and_void_what_is_held() {
    let rules = ShopSettings { capture: CapturePolicy::Manual, ..ShopSettings::default() };
    let shop = TestShop::ruled(rules).await;
    let (_, admin) = shop.login(Role::Admin).await;
    let (order, payment, token) = waiting_payment(&shop).await;
    let act = |what: &str| ask(Method::POST, &format!("/v1/payments/{payment}/{what}")).bearer(&admin);
    let early = shop.send(act("capture")).await;
    early.problem(409, "payment_state");
    let confirm = ask(Method::POST, &format!("/v1/payments/{payment}/confirm")).header("Cart-Token", &token);
    shop.send(confirm).await;
    let much = json!({ "amount": { "amount": 1251, "currency": "USD" } });
    assert_eq!(shop.send(act("capture").json(&much)).await.status.as_u16(), 422);
    let part = json!({ "amount": { "amount": 1000, "currency": "USD" } });
    for replayed in [None, Some("true")] {
        let got = shop.send(act("capture").header("Idempotency-Key", "part").json(&part)).await;
        assert_eq!((got.status.as_u16(), got.header("idempotent-replayed")), (200, replayed), "{}", got.text);
        assert_eq!(got.json()["amount_captured"]["amount"], 1000);
    }
    let voided = shop.send(act("void")).await;
    voided.problem(409, "payment_state");
    assert_eq!(status_of(&shop, &order, &token).await, "pending_payment", "2.50 USD are due");
    shop.database.finish().await;
}
