//! Guests find their order, withdraw from the contract, and get their money back; staff handle what comes back.

use std::sync::Arc;
use std::time::Duration;

use commerce_core::accounts::{Role, SecretKey};
use commerce_core::jobs::{self, Services, kinds};
use commerce_core::notifications::{MailSettings, SmtpMailer};
use commerce_core::search::SearchIndex;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{ReceivedMail, SmtpPeer, email};
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Ask, Got, SECRET, TestShop, ask, get, post};

/// A shop with its staff, whose jobs are done and whose mails are read.
pub struct Desk {
    pub shop: TestShop,
    peer: SmtpPeer,
    services: Services,
    admin: String,
    fulfilment: String,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

impl Desk {
    pub async fn new() -> Self {
        let rules = ShopSettings { alert_email: Some(email("shop@example.com")), ..ShopSettings::default() };
        let shop = TestShop::ruled(rules.clone()).await;
        let peer = SmtpPeer::start().await.unwrap();
        let services = Services {
            pool: shop.database.pool().clone(),
            shop: rules,
            mailer: Arc::new(SmtpMailer::new(&peer.url()).unwrap()),
            mails: Arc::new(MailSettings {
                sender: "Corner Shop <hello@shop.example>".parse().unwrap(),
                shop_url: None,
                password_reset_url: None,
                order_url: Some("https://shop.example/order".to_owned()),
                secret_key: SecretKey::parse(SECRET).unwrap(),
                carriers: Default::default(),
                templates: Default::default(),
            }),
            providers: shop.state.providers.clone(),
            media: shop.state.media.clone(),
            search_index: SearchIndex::none(),
        };
        let (_, admin) = shop.login(Role::Admin).await;
        let (_, fulfilment) = shop.login(Role::Fulfilment).await;
        Self { shop, peer, services, admin, fulfilment }
    }

    /// Does every job that is due, and those that they enqueue.
    pub async fn work(&self) {
        loop {
            let lease = Duration::from_secs(60);
            let mut conn = self.shop.database.conn().await;
            let due = jobs::claim(&mut conn, "desk", kinds::ALL, 100, lease).await.unwrap();
            drop(conn);
            if due.is_empty() {
                return;
            }
            for job in &due {
                jobs::run(job, &self.services).await.unwrap();
            }
        }
    }

    fn mails(&self, subject: &str) -> Vec<ReceivedMail> {
        self.peer.mails().into_iter().filter(|mail| mail.subject().contains(subject)).collect()
    }

    /// A paid order of three units at 12.50, of whoever calls with this header.
    pub async fn paid(&self, (name, value): (&str, &str)) -> Value {
        let variant = self.shop.database.variant(1250, 5).await.to_string();
        let item = json!({ "variant_id": variant, "quantity": 3 });
        assert_eq!(self.shop.send(post("/v1/cart/items", &item).header(name, value)).await.status, 200);
        let address = json!({ "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" });
        let checkout = json!({ "email": "ada@example.com", "shipping_address": address });
        let checkout = post("/v1/orders/checkout", &checkout).header(name, value);
        let order = self.shop.send(checkout.header("Idempotency-Key", &variant)).await.json();
        let pay = json!({ "provider": "mock", "outcome": "succeed" });
        let pay = post(&format!("/v1/orders/{}/pay", text(&order["id"])), &pay).header(name, value);
        assert_eq!(self.shop.send(pay.header("Idempotency-Key", &variant)).await.status, 201);
        order
    }

    /// Like [`Self::paid`], and it has arrived.
    async fn delivered(&self, header: (&str, &str)) -> Value {
        let order = self.paid(header).await;
        for status in ["shipped", "delivered"] {
            let path = format!("/v1/admin/orders/{}/status", text(&order["id"]));
            let step = ask(Method::PATCH, &path).json(&json!({ "status": status })).bearer(&self.fulfilment);
            assert_eq!(self.shop.send(step).await.status, 200);
        }
        order
    }

    /// The id and the token in the link to an order that was mailed last.
    pub fn mailed_link(&self) -> (String, String) {
        let mails = self.mails("Your order");
        let link = |mail: &ReceivedMail| {
            let (_, link) = mail.text.split_once("https://shop.example/order#order=")?;
            let (id, token) = link.split_whitespace().next()?.split_once("&token=")?;
            assert_eq!(mail.recipients, ["ada@example.com"]);
            Some((id.to_owned(), token.to_owned()))
        };
        mails.iter().rev().find_map(link).expect("a link was mailed")
    }

    async fn moved(&self, id: &str, body: Value, by: &str) -> Got {
        let path = format!("/v1/admin/returns/{id}/status");
        self.shop.send(ask(Method::PATCH, &path).json(&body).bearer(by)).await
    }

    async fn declare(&self, body: &Value) -> String {
        let declared = self.shop.send(post("/v1/withdrawals", body)).await;
        assert_eq!(declared.status, 202, "{}", declared.text);
        text(&declared.json()["id"]).to_owned()
    }

    async fn confirm(&self, id: &str) -> Got {
        self.shop.send(ask(Method::POST, &format!("/v1/withdrawals/{id}/confirm"))).await
    }
}

fn by_link(ask: Ask, token: &str) -> Ask {
    ask.header("Order-Token", token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_finds_the_order_withdraws_and_gets_the_money_back() {
    let desk = Desk::new().await;
    let guest = desk.shop.state.cart_tokens.issue();
    finds_the_order_withdraws_and_gets_the_money_back(desk, ("Cart-Token", &guest)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_finds_the_order_withdraws_and_gets_the_money_back() {
    let desk = Desk::new().await;
    let (_, customer) = desk.shop.login(Role::Customer).await;
    finds_the_order_withdraws_and_gets_the_money_back(desk, ("Authorization", &format!("Bearer {customer}")))
        .await;
}

/// The whole way of somebody whose requests have this header: from the lookup by a link, as on a borrowed device, to
/// the money.
async fn finds_the_order_withdraws_and_gets_the_money_back(desk: Desk, (name, credential): (&str, &str)) {
    let own = |ask: Ask| ask.header(name, credential);
    let order = desk.delivered((name, credential)).await;
    let other = desk.delivered(("Cart-Token", &desk.shop.state.cart_tokens.issue())).await;
    let path = format!("/v1/orders/{}", text(&order["id"]));

    // The shopper has lost the Cart-Token, or is not logged in, and asks for the order. So does somebody who guesses.
    let lookup = json!({ "number": order["number"], "email": "Ada@example.com" });
    let guess = json!({ "number": order["number"], "email": "eve@example.com" });
    let answers = [
        desk.shop.send(post("/v1/orders/lookup", &lookup)).await,
        desk.shop.send(post("/v1/orders/lookup", &guess)).await,
    ];
    assert!(
        answers.iter().all(|answer| answer.status == 202 && answer.text == answers[0].text),
        "{answers:?}"
    );
    assert!(!answers[0].text.contains(text(&order["id"])), "{}", answers[0].text);
    desk.work().await;
    let links = desk.mails("Your order").into_iter().filter(|mail| mail.text.contains("#order="));
    assert_eq!(links.count(), 1);
    let (id, token) = &desk.mailed_link();
    assert_eq!(id, text(&order["id"]));

    // The link shows this order, and is good for nothing else.
    assert_eq!(desk.shop.send(by_link(get(&path), token)).await.json()["number"], order["number"]);
    let others = format!("/v1/orders/{}", text(&other["id"]));
    desk.shop.send(by_link(get(&others), token)).await.problem(404, "not_found");
    desk.shop
        .send(by_link(post(&format!("{others}/cancel"), &json!({})), token))
        .await
        .problem(404, "not_found");
    desk.shop.send(by_link(get(&path), "AAAA")).await.problem(404, "not_found");
    desk.shop
        .send(by_link(post(&format!("{path}/cancel"), &json!({})), token))
        .await
        .problem(409, "order_state");
    let pay = post(&format!("{path}/pay"), &json!({ "provider": "mock" })).header("Idempotency-Key", "pay");
    for elsewhere in [get("/v1/orders"), get("/v1/payments"), get("/v1/shipments"), get("/v1/me"), pay] {
        desk.shop.send(by_link(elsewhere, token)).await.problem(401, "unauthenticated");
    }

    // The shop's own page shows it, and keeps the token to itself.
    let page = desk.shop.send(get("/order")).await;
    assert!(page.status == 200 && page.text.contains("Order-Token"), "{}", page.text);
    assert!(page.header("content-security-policy").unwrap().contains("connect-src 'self'"));

    // The withdrawal in two steps, acknowledged with its content and time.
    let body = json!({ "name": "Ada", "email": "ada@example.com", "order_number": order["number"], "text": "I withdraw." });
    let withdrawal = desk.declare(&body).await;
    let confirmed = desk.confirm(&withdrawal).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    assert_eq!(desk.confirm(&withdrawal).await.text, confirmed.text);
    desk.work().await;
    let [mail]: [ReceivedMail; 1] = desk.mails("declaration of withdrawal").try_into().unwrap();
    let at: chrono::DateTime<chrono::Utc> = text(&confirmed.json()["confirmed_at"]).parse().unwrap();
    let time = at.format("%-d %B %Y, %H:%M:%S UTC").to_string();
    for part in [&time, "Name: Ada", text(&order["number"]), "I withdraw."] {
        assert!(
            mail.text.contains(part) && mail.html.contains(part.trim_start_matches("Name: ")),
            "{part} in {}",
            mail.text
        );
    }
    assert_eq!(mail.recipients, ["ada@example.com"]);
    assert_eq!(desk.mails("Somebody has withdrawn").len(), 1);

    // It opened a return, which the shopper sees, also by the link, and staff see.
    let returns = desk.shop.send(by_link(get("/v1/returns"), token)).await.json();
    let [opened]: [Value; 1] = returns["data"].as_array().unwrap().clone().try_into().unwrap();
    let of_order = own(get(&format!("/v1/returns?order_id={}", text(&order["id"]))));
    assert_eq!(desk.shop.send(of_order).await.json()["data"], json!([opened]));
    assert_eq!((text(&opened["status"]), text(&opened["withdrawal_id"])), ("requested", withdrawal.as_str()));
    assert_eq!(
        (&opened["lines"][0]["quantity"], text(&opened["lines"][0]["reason"])),
        (&json!(3), "withdrawal")
    );
    let found = desk
        .shop
        .send(
            get("/v1/admin/withdrawals?matched=true&confirmed=true&email=ADA@example.com")
                .bearer(&desk.fulfilment),
        )
        .await;
    assert_eq!(found.json()["data"][0]["order_id"], order["id"], "{}", found.text);
    let listed =
        desk.shop.send(get("/v1/admin/returns?status=requested").bearer(&desk.fulfilment)).await.json();
    let id = text(&listed["data"][0]["id"]).to_owned();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);

    // Staff approve and receive: one of the three is broken.
    desk.moved(&id, json!({ "status": "received" }), &desk.fulfilment).await.problem(409, "return_state");
    let answer = json!({ "status": "approved", "answer": "Please send it to 1 Street." });
    assert_eq!(desk.moved(&id, answer, &desk.fulfilment).await.status, 200);
    let line = &order["lines"][0]["id"];
    let scrap = json!({ "status": "received", "lines": [{ "order_line_id": line, "restock": false }] });
    let got = desk.moved(&id, scrap, &desk.fulfilment).await;
    assert_eq!(got.json()["lines"][0]["received_quantity"], 3, "{}", got.text);
    desk.moved(&id, json!({ "status": "refunded" }), &desk.fulfilment)
        .await
        .problem(403, "permission_denied");
    let refunded = desk.moved(&id, json!({ "status": "refunded" }), &desk.admin).await;
    assert_eq!(refunded.json()["refund_amount"]["amount"], 3 * 1250, "{}", refunded.text);
    let again = desk.moved(&id, json!({ "status": "refunded" }), &desk.admin).await;
    assert_eq!((again.status, again.text), (refunded.status, refunded.text));
    desk.work().await;
    let order = desk.shop.send(by_link(get(&path), token)).await.json();
    assert_eq!(
        (text(&order["payment_status"]), text(&order["fulfillment_status"])),
        ("refunded", "returned")
    );
    assert_eq!(
        (&order["lines"][0]["returned_quantity"], &order["amount_refunded"]["amount"]),
        (&json!(3), &json!(3750))
    );
    // The provider gave all of it back, in one refund, and the shopper sees that.
    let payments = own(get(&format!("/v1/payments?order_id={}", text(&order["id"]))));
    let payments = desk.shop.send(payments).await.json();
    let [payment]: [Value; 1] = payments["data"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!((text(&payment["status"]), &payment["amount_refunded"]["amount"]), ("refunded", &json!(3750)));
    let refunds = desk.shop.send(get("/v1/admin/refunds").bearer(&desk.admin)).await.json();
    let [refund]: [Value; 1] = refunds["data"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!(
        (text(&refund["status"]), text(&refund["reason"]), &refund["amount"]["amount"]),
        ("succeeded", "goods_returned", &json!(3750))
    );
    assert!(desk.mails("You can return goods")[0].text.contains("Please send it to 1 Street."));
    assert_eq!(desk.mails("Your return for order").len(), 1);
    assert!(desk.mails("back to you")[0].text.contains("that you have returned"));
    let events =
        desk.shop.send(get(&format!("/v1/admin{}/events", &path[3..])).bearer(&desk.admin)).await.text;
    for kind in
        ["withdrawal_declared", "return_requested", "return_approved", "return_received", "return_refunded"]
    {
        assert!(events.contains(kind), "{kind} in {events}");
    }
    desk.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_returns_goods_and_a_withdrawal_about_nothing_is_acknowledged_alike() {
    let desk = Desk::new().await;
    let (_, customer) = desk.shop.login(Role::Customer).await;
    let bearer = format!("Bearer {customer}");
    let order = desk.delivered(("Authorization", &bearer)).await;
    let path = format!("/v1/orders/{}/returns", text(&order["id"]));
    let line = |quantity: i64| json!({ "lines": [{ "order_line_id": order["lines"][0]["id"], "quantity": quantity, "reason": "damaged" }], "note": "Broken." });
    desk.shop.send(post(&path, &line(4)).bearer(&customer)).await.problem(409, "order_state");
    let unknown = json!({ "lines": [{ "order_line_id": order["id"], "quantity": 1, "reason": "damaged" }] });
    assert_eq!(
        desk.shop.send(post(&path, &unknown).bearer(&customer)).await.problem(422, "validation_failed"),
        ["/lines"]
    );
    let request = post(&path, &line(2)).bearer(&customer).header("Idempotency-Key", "once");
    let opened = desk.shop.send(request.clone()).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    assert_eq!(desk.shop.send(request).await.text, opened.text);
    let opened = opened.json();
    let own = format!("/v1/returns/{}", text(&opened["id"]));
    assert_eq!(desk.shop.send(get(&own).bearer(&customer)).await.json()["note"], "Broken.");
    let (_, stranger) = desk.shop.login(Role::Customer).await;
    desk.shop.send(get(&own).bearer(&stranger)).await.problem(404, "not_found");
    desk.shop.send(post(&path, &line(1)).bearer(&stranger)).await.problem(404, "not_found");
    let no = json!({ "status": "rejected", "answer": "It was fine when it left." });
    assert_eq!(desk.moved(text(&opened["id"]), no, &desk.fulfilment).await.status, 200);
    desk.work().await;
    assert!(desk.mails("cannot accept your return")[0].text.contains("It was fine when it left."));

    // Declared by somebody else, about the same order, and about none.
    let strangers = json!({ "name": "Eve", "email": "eve@example.com", "order_number": order["number"] });
    let nobodys = json!({ "name": "Eve", "email": "eve@example.com", "order_number": "none",
                          "lines": [{ "order_line_id": order["lines"][0]["id"], "quantity": 1 }] });
    for body in [strangers, nobodys] {
        let id = desk.declare(&body).await;
        let confirmed = desk.confirm(&id).await.json();
        assert_eq!(
            (&confirmed["order_number"], &confirmed["order_id"]),
            (&body["order_number"], &Value::Null)
        );
    }
    desk.confirm("0199f5c7-7e2b-7c4a-9a55-0d8a6a4f4b31").await.problem(404, "not_found");
    desk.work().await;
    let acknowledged = desk.mails("declaration of withdrawal");
    assert_eq!(acknowledged.len(), 2);
    assert!(acknowledged.iter().all(|mail| mail.recipients == ["eve@example.com"]));
    let unmatched = get("/v1/admin/withdrawals?matched=false&limit=1").bearer(&desk.admin);
    let page = desk.shop.send(unmatched).await.json();
    assert!(page["data"][0]["order_id"].is_null() && page["next_cursor"].is_string(), "{page}");
    let returns = desk.shop.send(get("/v1/returns").bearer(&customer)).await.json();
    assert_eq!(returns["data"].as_array().unwrap().len(), 1);
    desk.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_open_a_return_after_the_window_and_refund_less_for_wear() {
    let desk = Desk::new().await;
    let (_, customer) = desk.shop.login(Role::Customer).await;
    let order = desk.delivered(("Authorization", &format!("Bearer {customer}"))).await;
    let late = "UPDATE commerce.shipments SET delivered_at = delivered_at - interval '31 days'";
    desk.shop.database.conn().await.batch_execute(late).await.unwrap();
    let path = format!("/v1/admin/orders/{}/returns", text(&order["id"]));
    let units = json!([{ "order_line_id": order["lines"][0]["id"], "quantity": 2, "reason": "defective" }]);
    let plain = json!({ "lines": units });
    let waived = json!({ "lines": units, "waive_window": true, "reason": "We were on holiday." });
    desk.shop.send(post(&path, &plain).bearer(&desk.fulfilment)).await.problem(409, "return_too_late");
    let unsaid = json!({ "lines": units, "waive_window": true });
    let unsaid = desk.shop.send(post(&path, &unsaid).bearer(&desk.fulfilment)).await;
    assert_eq!(unsaid.problem(422, "validation_failed"), ["/reason"]);
    let (_, support) = desk.shop.login(Role::CatalogueManager).await;
    desk.shop.send(post(&path, &waived).bearer(&support)).await.problem(403, "permission_denied");
    let request = post(&path, &waived).bearer(&desk.fulfilment).header("Idempotency-Key", "by phone");
    let opened = desk.shop.send(request.clone()).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    assert_eq!(desk.shop.send(request).await.text, opened.text);
    let id = text(&opened.json()["id"]).to_owned();
    let seen = desk.shop.send(get(&format!("/v1/returns/{id}")).bearer(&customer)).await;
    assert!(seen.status == 200 && !seen.text.contains("holiday"), "{}", seen.text);

    for status in ["approved", "received"] {
        assert_eq!(desk.moved(&id, json!({ "status": status }), &desk.fulfilment).await.status, 200);
    }
    let pay = |amount: i64| {
        let amount = json!({ "amount": amount, "currency": "USD" });
        json!({ "status": "refunded", "amount": amount, "answer": "Scratched." })
    };
    let too_much = desk.moved(&id, pay(2501), &desk.admin).await;
    assert_eq!(too_much.problem(422, "validation_failed"), ["/amount"]);
    let refunded = desk.moved(&id, pay(2000), &desk.admin).await.json();
    assert_eq!(
        (&refunded["refund_amount"]["amount"], &refunded["deducted_amount"]["amount"]),
        (&json!(2000), &json!(500)),
        "{refunded}"
    );
    desk.work().await;
    let [mail]: [ReceivedMail; 1] = desk.mails("back to you").try_into().unwrap();
    for said in ["20.00 USD", "We keep 5.00 USD of their price", "Scratched."] {
        assert!(mail.text.contains(said) && mail.html.contains(said), "{said} in {}", mail.text);
    }
    let events = get(&format!("/v1/admin/orders/{}/events", text(&order["id"]))).bearer(&desk.admin);
    let events = desk.shop.send(events).await.text;
    assert!(events.contains("We were on holiday.") && events.contains("\"deducted_minor\":500"), "{events}");
    let log = desk.shop.send(get("/v1/admin/audit-log?limit=100").bearer(&desk.admin)).await.text;
    assert!(log.contains("admin_open_return") && log.contains("\"window_waived\":true"), "{log}");
    assert!(!log.contains("holiday"), "{log}");
    desk.shop.database.finish().await;
}
