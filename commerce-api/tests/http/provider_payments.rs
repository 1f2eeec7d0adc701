//! Paying with Stripe and Razorpay over HTTP, against their peers.

use std::sync::Arc;

use commerce_core::ids::OrderId;
use commerce_core::payments::{
    PaymentProvider, RazorpayProvider, RazorpaySettings, StripeProvider, StripeSettings, promised_by_payment,
};
use commerce_peers::razorpay::RazorpayPeer;
use commerce_peers::stripe::StripePeer;
use commerce_peers::{Fault, RunningPeer};
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Got, TestShop, ask, get, post};

/// A shop that takes payments with both providers, at their peers.
struct World {
    shop: TestShop,
    stripe: StripePeer,
    razorpay: RazorpayPeer,
    _running: [RunningPeer; 2],
}

/// An order and the token of its guest.
struct Buyer {
    order: Value,
    token: String,
}

async fn world() -> World {
    let stripe = StripePeer::new("sk_test_key", "whsec_secret");
    let razorpay = RazorpayPeer::new("rzp_test_key", "key secret", "webhook secret");
    let running = [stripe.start(0).await.unwrap(), razorpay.start(0).await.unwrap()];
    let mut settings = StripeSettings::new("sk_test_key", "https://shop.example/a", "https://shop.example/b");
    settings.webhook_secrets = vec!["whsec_secret".to_owned()];
    settings.api_base = running[0].url();
    let first: Arc<dyn PaymentProvider> = Arc::new(StripeProvider::new(settings).unwrap());
    let mut settings = RazorpaySettings::new("rzp_test_key", "key secret");
    settings.webhook_secrets = vec!["webhook secret".to_owned()];
    settings.api_base = running[1].url();
    let second: Arc<dyn PaymentProvider> = Arc::new(RazorpayProvider::new(settings).unwrap());
    World { shop: TestShop::paid_by([first, second]).await, stripe, razorpay, _running: running }
}

impl World {
    async fn buyer(&self) -> Buyer {
        self.buyer_of(1).await
    }

    async fn buyer_of(&self, units: i64) -> Buyer {
        let variant = self.shop.database.variant(1250, 5).await;
        let item = json!({ "variant_id": variant.to_string(), "quantity": units });
        let cart = self.shop.send(post("/v1/cart/items", &item)).await.json();
        let token = cart["token"].as_str().unwrap().to_owned();
        let address = json!({ "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" });
        let body = json!({ "email": "ada@example.com", "shipping_address": address });
        let checkout = post("/v1/orders/checkout", &body).header("Cart-Token", &token);
        let order = self.shop.send(checkout.header("Idempotency-Key", "checkout")).await.json();
        Buyer { order, token }
    }

    async fn try_to_pay(&self, buyer: &Buyer, provider: &str) -> Got {
        let path = format!("/v1/orders/{}/pay", buyer.order["id"].as_str().unwrap());
        let pay = post(&path, &json!({ "provider": provider })).header("Cart-Token", &buyer.token);
        self.shop.send(pay.header("Idempotency-Key", provider)).await
    }

    async fn pay(&self, buyer: &Buyer, provider: &str) -> Value {
        let begun = self.try_to_pay(buyer, provider).await;
        assert_eq!(begun.status, 201, "{}", begun.text);
        let begun = begun.json();
        assert_eq!(begun["status"], "requires_action");
        begun
    }

    async fn confirm(&self, buyer: &Buyer, payment: &Value, details: Option<&Value>) -> Got {
        let path = format!("/v1/payments/{}/confirm", payment["id"].as_str().unwrap());
        let confirm = match details {
            Some(details) => post(&path, &json!({ "details": details })),
            None => ask(Method::POST, &path),
        };
        self.shop.send(confirm.header("Cart-Token", &buyer.token)).await
    }

    async fn order_status(&self, buyer: &Buyer) -> Value {
        let path = format!("/v1/orders/{}", buyer.order["id"].as_str().unwrap());
        self.shop.send(get(&path).header("Cart-Token", &buyer.token)).await.json()["status"].clone()
    }
}

#[tokio::test]
async fn a_payment_on_stripes_page_is_confirmed_by_the_browser() {
    let world = world().await;
    let buyer = world.buyer().await;
    let payment = world.pay(&buyer, "stripe").await;
    assert_eq!(payment["action"]["type"], "redirect");
    let session = payment["provider_reference"].as_str().unwrap();
    assert!(payment["action"]["url"].as_str().unwrap().ends_with(session));
    let open = world.confirm(&buyer, &payment, None).await.json();
    assert_eq!(open["status"], "requires_action", "the shopper came back without having paid");
    world.stripe.pay(session);
    let paid = world.confirm(&buyer, &payment, None).await.json();
    assert_eq!((&paid["status"], &paid["amount_captured"]["amount"]), (&json!("succeeded"), &json!(1250)));
    assert_eq!(world.order_status(&buyer).await, "paid");
    world.shop.database.finish().await;
}

#[tokio::test]
async fn an_attempt_that_is_resumed_after_a_unit_was_cancelled_keeps_its_session_and_its_amount() {
    let world = world().await;
    let buyer = world.buyer_of(2).await;
    // Stripe makes the session, its answer is lost, and so is the list in which it could be found.
    world.stripe.faults().add("POST /v1/checkout/sessions", Fault::ErrorAfter);
    for _ in 0..3 {
        world.stripe.faults().add("GET /v1/checkout/sessions", Fault::ErrorBefore);
    }
    world.try_to_pay(&buyer, "stripe").await.problem(502, "provider_unavailable");
    let order = buyer.order["id"].as_str().unwrap();
    let unit = json!({ "lines": [{ "order_line_id": buyer.order["lines"][0]["id"], "quantity": 1 }] });
    let cancel = post(&format!("/v1/orders/{order}/cancel"), &unit).header("Cart-Token", &buyer.token);
    let less = world.shop.send(cancel).await.json();
    assert_eq!(less["amount_due"]["amount"], 1250, "{less}");
    // It waits for longer by now, as it does when other money is authorized.
    let waits = format!(
        "UPDATE commerce.orders SET expires_at = expires_at + interval '6 hours' WHERE id = '{order}'"
    );
    world.shop.database.conn().await.batch_execute(&waits).await.unwrap();

    let payment = world.pay(&buyer, "stripe").await;
    assert_eq!(payment["amount"]["amount"], 2500, "{payment}");
    let sessions = world.stripe.sessions();
    assert_eq!((sessions.len(), &sessions[0]["id"]), (1, &payment["provider_reference"]));
    world.stripe.pay(payment["provider_reference"].as_str().unwrap());
    let paid = world.confirm(&buyer, &payment, None).await.json();
    assert_eq!((&paid["status"], &paid["amount_captured"]["amount"]), (&json!("succeeded"), &json!(2500)));
    assert_eq!(world.order_status(&buyer).await, "paid");
    // What is too much goes back, once.
    let conn = &mut *world.shop.database.conn().await;
    let back = promised_by_payment(conn, OrderId(order.parse().unwrap())).await.unwrap();
    assert_eq!(back.iter().map(|(_, amount_minor)| *amount_minor).collect::<Vec<_>>(), [1250]);
    world.shop.database.finish().await;
}

#[tokio::test]
async fn how_providers_answer_and_attempts_end_is_measured() {
    let world = world().await;
    let buyer = world.buyer().await;
    let payment = world.pay(&buyer, "stripe").await;
    world.stripe.pay(payment["provider_reference"].as_str().unwrap());
    world.confirm(&buyer, &payment, None).await;
    let metrics = world.shop.as_operator("/metrics").await.text;
    for told in [
        "commerce_provider_calls_total{provider=\"stripe\",call=\"start\",result=\"answered\"} 1",
        "commerce_provider_calls_total{provider=\"stripe\",call=\"confirm\",result=\"answered\"} 1",
        "commerce_provider_call_seconds_count{provider=\"stripe\",call=\"start\"} 1",
        "commerce_payment_attempts_total{provider=\"stripe\",outcome=\"succeeded\"} 1",
    ] {
        assert!(metrics.contains(told), "{told} is not in {metrics}");
    }
    world.shop.database.finish().await;
}

#[tokio::test]
async fn what_razorpays_checkout_returns_is_checked() {
    let world = world().await;
    let buyer = world.buyer().await;
    let payment = world.pay(&buyer, "razorpay").await;
    assert_eq!(payment["action"]["type"], "client");
    let order = payment["action"]["data"]["order_id"].as_str().unwrap();
    let details = world.razorpay.pay(order).unwrap();
    let mut wrong = details.clone();
    wrong["razorpay_payment_id"] = json!("pay_another");
    for wrong in [wrong, json!({ "razorpay_order_id": order })] {
        world.confirm(&buyer, &payment, Some(&wrong)).await.problem(422, "validation_failed");
        assert_eq!(world.order_status(&buyer).await, "pending_payment");
    }
    let paid = world.confirm(&buyer, &payment, Some(&details)).await.json();
    assert_eq!((&paid["status"], &paid["amount_captured"]["amount"]), (&json!("succeeded"), &json!(1250)));
    assert_eq!(world.order_status(&buyer).await, "paid");
    world.shop.database.finish().await;
}

#[tokio::test]
async fn the_pages_after_a_payment_run_no_script() {
    let shop = TestShop::new().await;
    for path in ["/payment-return", "/payment-return/cancelled"] {
        let page = shop.send(get(path)).await;
        assert_eq!(page.status, 200);
        assert!(!page.text.contains("<script") && !page.text.contains("{t"), "{}", page.text);
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
    }
    shop.database.finish().await;
}
