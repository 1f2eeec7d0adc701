//! The whole journey over HTTP: from the registration to the parcel at the door, and its unhappy twin.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Ask, Client, address, ask, get, post};
use crate::shop::{Shop, eventually};

const ADMIN: [&str; 2] = ["boss@shop.example", "a quiet corner of the shop"];
const CUSTOMER: [&str; 2] = ["ada@example.com", "notes on the engine"];

async fn login(client: &Client, [email, password]: [&str; 2]) -> String {
    let answer = client.send(post("/v1/auth/login", &json!({ "email": email, "password": password }))).await;
    answer.expect(200)["access_token"].as_str().unwrap().to_owned()
}

/// The first admin, made as a person makes it, logged in.
pub async fn admin(shop: &Shop) -> String {
    let [email, password] = ADMIN;
    let mut command = shop.settings.api_command(&["create-admin", "--email", email, "--password", password]);
    assert!(command.status().await.unwrap().success());
    login(&shop.client, ADMIN).await
}

/// Puts a product with one variant on sale; returns the variant's id.
async fn offer(shop: &Shop, staff: &str, title: &str, price_minor: i64, stock: i64) -> String {
    let price = json!({ "amount": price_minor, "currency": "USD" });
    let product = json!({ "title": title, "status": "active", "price": price, "stock": stock });
    let product = shop.client.send(post("/v1/products", &product).bearer(staff)).await.expect(201);
    product["variants"][0]["id"].as_str().unwrap().to_owned()
}

fn add(variant: &str, quantity: i64) -> Ask {
    post("/v1/cart/items", &json!({ "variant_id": variant, "quantity": quantity }))
}

/// On hand and reserved, as staff sees it.
async fn stock(shop: &Shop, staff: &str, variant: &str) -> (i64, i64) {
    let levels = shop.client.send(get("/v1/admin/inventory?limit=100").bearer(staff)).await.expect(200);
    let level = levels["data"].as_array().unwrap().iter().find(|level| level["variant_id"] == variant);
    let level = level.expect("a stock level");
    (level["on_hand"].as_i64().unwrap(), level["reserved"].as_i64().unwrap())
}

/// The kinds of an order's events, and those events.
async fn timeline(shop: &Shop, staff: &str, order_id: &str) -> (Vec<String>, Vec<Value>) {
    let path = format!("/v1/admin/orders/{order_id}/events");
    let events = shop.client.send(get(path).bearer(staff)).await.expect(200);
    let events = events["data"].as_array().unwrap().clone();
    (events.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect(), events)
}

fn usd(minor: i64) -> Value {
    json!({ "amount": minor, "currency": "USD" })
}

/// Registers with the code from the mail; the code works once.
async fn register(shop: &Shop, [email, password]: [&str; 2]) {
    let client = &shop.client;
    let wish = json!({ "email": email, "password": password, "display_name": "Ada Lovelace" });
    client.send(post("/v1/auth/register", &wish)).await.expect(202);
    let mail = shop.mail(email, "is your code for Corner Shop").await;
    let code = mail.subject().split(' ').next().unwrap().to_owned();
    assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
    assert!(mail.text.contains(&code) && mail.html.contains(&code), "{mail:#?}");

    let credentials = json!({ "email": email, "password": password });
    let refused = client.send(post("/v1/auth/login", &credentials)).await;
    assert_eq!(refused.problem(403), "email_not_verified");
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let guess = |code: &str| post("/v1/auth/verify-email", &json!({ "email": email, "code": code }));
    client.send(guess(wrong)).await.problem(422);
    assert_eq!(client.send(guess(&code)).await.status, 204);
    client.send(guess(&code)).await.problem(422);
    let welcome = shop.mail(email, "Welcome to Corner Shop").await;
    assert!(welcome.text.contains("Hello Ada Lovelace,"), "{}", welcome.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_registration_to_the_parcel_at_the_door() {
    let shop = Shop::open().await;
    let (client, [email, password]) = (&shop.client, CUSTOMER);
    let staff = admin(&shop).await;
    let teapot = offer(&shop, &staff, "Teapot", 2450, 5).await;
    let cup = offer(&shop, &staff, "Cup", 700, 20).await;

    // A guest fills a cart, registers, and finds it again after logging in.
    let cart = client.send(add(&teapot, 1)).await.expect(200);
    let cart_token = cart["token"].as_str().unwrap();
    register(&shop, CUSTOMER).await;
    let credentials = json!({ "email": email, "password": password, "cart_token": cart_token });
    let login = client.send(post("/v1/auth/login", &credentials)).await.expect(200);
    let token = login["access_token"].as_str().unwrap();
    assert_eq!(login["user"]["email"], email);
    let cart = client.send(get("/v1/cart").bearer(token)).await.expect(200);
    assert_eq!((&cart["items"][0]["variant_id"], &cart["items"][0]["quantity"]), (&json!(teapot), &json!(1)));
    let left = client.send(get("/v1/cart").cart(cart_token)).await.expect(200);
    assert_eq!(left["items"], json!([]));
    let cart = client.send(add(&cup, 4).bearer(token)).await.expect(200);
    assert_eq!(cart["subtotal"], usd(5250));

    // Checkout reserves; the same request again makes no second order.
    let wish = json!({ "shipping_address": address(), "expected_total": usd(5250) });
    let checkout = || post("/v1/orders/checkout", &wish).bearer(token).key("checkout");
    let order = client.send(checkout()).await.expect(201);
    let again = client.send(checkout()).await;
    assert_eq!((again.header("idempotent-replayed"), again.expect(201)), (Some("true"), order.clone()));
    let order_id = order["id"].as_str().unwrap();
    assert_eq!((&order["status"], &order["total"]), (&json!("pending_payment"), &usd(5250)));
    assert_eq!(order["email"], email);
    assert_eq!(stock(&shop, &staff, &teapot).await, (5, 1));
    assert_eq!(stock(&shop, &staff, &cup).await, (20, 4));
    let received =
        shop.mail(email, &format!("We have your order {}", order["number"].as_str().unwrap())).await;
    assert!(received.text.contains("Total: 52.50 USD"), "{}", received.text);

    // Payment, and the mail that says so.
    let pay =
        post(format!("/v1/orders/{order_id}/pay"), &json!({ "provider": "mock" })).bearer(token).key("pay");
    let payment = client.send(pay).await.expect(201);
    assert_eq!((&payment["status"], &payment["amount"]), (&json!("succeeded"), &usd(5250)));
    let confirmed = shop.mail(email, "is confirmed").await;
    for part in ["Teapot", "Cup", "52.50 USD"] {
        assert!(confirmed.text.contains(part) && confirmed.html.contains(part), "{part}: {confirmed:#?}");
    }
    assert!(confirmed.text.contains("Total: 52.50 USD") && confirmed.text.contains("12 St James's Square"));
    assert!(confirmed.html.contains("<strong>Total</strong>"), "{}", confirmed.html);

    // Staff finds the order and sends the parcel; the customer gets it.
    let found = client.send(get(format!("/v1/admin/orders?status=paid&q={email}")).bearer(&staff)).await;
    assert_eq!(found.expect(200)["data"][0]["id"], order_id);
    let step = |body: Value| {
        ask(Method::PATCH, format!("/v1/admin/orders/{order_id}/status")).json(&body).bearer(&staff)
    };
    let parcel = json!({ "status": "shipped", "carrier": "DHL", "tracking_number": "JD0146" });
    let shipped = client.send(step(parcel)).await.expect(200);
    assert_eq!(
        (&shipped["status"], &shipped["fulfillment_status"]),
        (&json!("shipped"), &json!("fulfilled"))
    );
    let mail = shop.mail(email, "is on its way").await;
    assert!(mail.text.contains("DHL: JD0146") && mail.html.contains("JD0146"), "{}", mail.text);
    assert_eq!(stock(&shop, &staff, &teapot).await, (4, 0));
    assert_eq!(stock(&shop, &staff, &cup).await, (16, 0));
    client.send(step(json!({ "status": "delivered" }))).await.expect(200);

    let order = client.send(get(format!("/v1/orders/{order_id}")).bearer(token)).await.expect(200);
    assert_eq!((&order["status"], &order["amount_due"]), (&json!("delivered"), &usd(0)));
    let (kinds, _) = timeline(&shop, &staff, order_id).await;
    let expected = ["placed", "payment_started", "payment_succeeded", "paid", "shipped", "delivered"];
    assert_eq!(kinds, expected);
    let subjects: Vec<String> = shop.smtp.mails().iter().map(|mail| mail.subject().to_owned()).collect();
    assert_eq!(subjects.len(), 5, "{subjects:#?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_pays_gives_everything_back_in_time() {
    let shop = Shop::open_with(|settings| settings.with("COMMERCE_ORDER_TTL", "2s")).await;
    let client = &shop.client;
    let staff = admin(&shop).await;
    let teapot = offer(&shop, &staff, "Teapot", 2450, 5).await;
    let cart = client.send(add(&teapot, 2)).await.expect(200);
    let token = cart["token"].as_str().unwrap();
    let wish = json!({ "email": "bob@example.com", "shipping_address": address() });
    let order = client.send(post("/v1/orders/checkout", &wish).cart(token).key("checkout")).await.expect(201);
    let order_id = order["id"].as_str().unwrap();
    assert_eq!(stock(&shop, &staff, &teapot).await, (5, 2));

    let order_path = format!("/v1/orders/{order_id}");
    let read = async || client.send(get(&order_path).cart(token)).await.expect(200);
    let cancelled = eventually("the order expires", async || {
        Some(read().await).filter(|order| order["status"] != "pending_payment")
    })
    .await;
    assert_eq!((&cancelled["status"], &cancelled["cancel_reason"]), (&json!("cancelled"), &json!("expired")));
    let time = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let late =
        (time(&cancelled["cancelled_at"]) - time(&order["expires_at"])).to_std().expect("not too early");
    println!("an order expired {} ms after its time", late.as_millis());
    assert!(late < Duration::from_secs(1), "{late:?}");
    assert_eq!(stock(&shop, &staff, &teapot).await, (5, 0));
    assert!(cancelled["stock_released_at"].is_string());

    let (kinds, events) = timeline(&shop, &staff, order_id).await;
    assert_eq!(kinds, ["placed", "cancelled", "stock_released"]);
    assert_eq!((&events[1]["data"]["reason"], &events[1]["actor"]), (&json!("expired"), &json!("system")));
    let mail = shop.mail("bob@example.com", "was cancelled").await;
    assert!(mail.text.contains("Your order was not paid in time"), "{}", mail.text);
    let pay = post(format!("{order_path}/pay"), &json!({ "provider": "mock" })).cart(token).key("late");
    assert_eq!(client.send(pay).await.problem(409), "order_state");
    // The units are for sale again.
    client.send(add(&teapot, 5).cart(token).key("again")).await.expect(200);
    let checkout = post("/v1/orders/checkout", &wish).cart(token).key("checkout-again");
    client.send(checkout).await.expect(201);
    shop.close().await;
}
