//! The language of mails, and mails that could not be delivered.

use commerce_core::accounts::Role;
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};

use crate::members::{EMAIL, PASSWORD, access, code, logged_in, mails, me, register, verify};
use crate::shop::{Ask, TestShop, ask, get, post};

fn address() -> Value {
    json!({ "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" })
}

async fn with_full_cart(shop: &TestShop, ask: impl Fn(Ask) -> Ask) {
    let variant = shop.database.variant(1250, 9).await;
    let added = post("/v1/cart/items", &json!({ "variant_id": variant, "quantity": 1 }));
    assert_eq!(shop.send(ask(added)).await.status, 200);
}

fn checkout(more: Value) -> Ask {
    let mut body = json!({ "email": "bea@example.com", "shipping_address": address() });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post("/v1/orders/checkout", &body).header("Idempotency-Key", &uuid::Uuid::now_v7().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_keeps_the_language_of_its_owner() {
    let shop = TestShop::new().await;
    let ask = register(EMAIL, PASSWORD).header("Accept-Language", "de-at, en;q=0.8");
    assert_eq!(shop.send(ask).await.status, 202);
    let right = code(&shop, EMAIL).await;
    assert_eq!(shop.send(verify(EMAIL, &right)).await.status, 204);
    let ada = logged_in(&shop, EMAIL, PASSWORD).await;
    assert_eq!(me(&shop, &ada).await.json()["locale"], "de-AT");

    let change = |body: Value| ask_me(&body, access(&ada));
    let changed = shop.send(change(json!({ "locale": "EN-gb" }))).await.json();
    assert_eq!((&changed["locale"], &changed["display_name"]), (&json!("en-GB"), &json!("Ada")));
    for wrong in ["english", "de_DE", "", "x"] {
        let refused = shop.send(change(json!({ "locale": wrong }))).await;
        assert_eq!(refused.problem(422, "validation_failed"), ["/locale"], "{wrong:?}");
    }
    let (_, admin) = shop.login(Role::Admin).await;
    let seen = shop.send(get(&format!("/v1/admin/users/{EMAIL}")).bearer(&admin)).await.json();
    assert_eq!(seen["locale"], "en-GB");

    // What is asked for counts, and not what the browser prefers.
    let body =
        json!({ "email": "eve@example.com", "password": PASSWORD, "display_name": "Eve", "locale": "fr" });
    assert_eq!(shop.send(post("/v1/auth/register", &body).header("Accept-Language", "de")).await.status, 202);
    let seen = shop.send(get("/v1/admin/users/eve@example.com").bearer(&admin)).await.json();
    assert_eq!(seen["locale"], "fr");
    let mut wrong = body;
    wrong["locale"] = json!("fr_FR");
    let refused = shop.send(post("/v1/auth/register", &wrong)).await;
    assert_eq!(refused.problem(422, "validation_failed"), ["/locale"]);
}

fn ask_me(body: &Value, token: &str) -> Ask {
    ask(Method::PATCH, "/v1/me").json(body).bearer(token)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_keeps_the_language_of_its_shopper() {
    let shop = TestShop::new().await;
    for (header, body, expected) in [
        (Some("de, en;q=0.5"), json!({}), json!("de")),
        (Some("de"), json!({ "locale": "en-gb" }), json!("en-GB")),
        (Some("*"), json!({}), Value::Null),
        (None, json!({}), Value::Null),
    ] {
        let token = shop.state.cart_tokens.issue();
        let as_guest = |ask: Ask| ask.header("Cart-Token", &token);
        with_full_cart(&shop, as_guest).await;
        let mut ask = as_guest(checkout(body));
        if let Some(header) = header {
            ask = ask.header("Accept-Language", header);
        }
        let placed = shop.send(ask).await;
        assert_eq!(placed.status, 201, "{}", placed.text);
        assert_eq!(placed.json()["locale"], expected);
    }
    let token = shop.state.cart_tokens.issue();
    let refused = shop.send(checkout(json!({ "locale": "deutsch" })).header("Cart-Token", &token)).await;
    assert_eq!(refused.problem(422, "validation_failed"), ["/locale"]);

    // A customer's own, and not what the browser at hand prefers.
    let (customer_id, customer) = shop.login(Role::Customer).await;
    assert_eq!(shop.send(ask_me(&json!({ "locale": "de-CH" }), &customer)).await.status, 200);
    with_full_cart(&shop, |ask| ask.bearer(&customer)).await;
    let placed = shop.send(checkout(json!({})).bearer(&customer).header("Accept-Language", "en")).await;
    assert_eq!(placed.json()["locale"], "de-CH");

    // Staff enter it in the customer's language, not in theirs.
    let (_, staff) = shop.login(Role::Support).await;
    let variant = shop.database.variant(1250, 9).await;
    for (more, expected) in [(json!({}), "de-CH"), (json!({ "locale": "it" }), "it")] {
        let items = json!([{ "variant_id": variant, "quantity": 1 }]);
        let mut body = json!({ "customer_id": customer_id, "items": items, "shipping_address": address() });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let key = uuid::Uuid::now_v7().to_string();
        let ask = post("/v1/admin/orders", &body).bearer(&staff).header("Idempotency-Key", &key);
        let placed = shop.send(ask.header("Accept-Language", "en")).await;
        assert_eq!(placed.json()["locale"], expected, "{}", placed.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_is_acknowledged_in_the_language_of_the_browser() {
    let shop = TestShop::new().await;
    let body = json!({ "name": "Ada", "email": EMAIL, "order_number": "1001" });
    let declared = shop.send(post("/v1/withdrawals", &body)).await.json();
    let confirm = format!("/v1/withdrawals/{}/confirm", declared["id"].as_str().unwrap());
    let confirmed = shop.send(ask(Method::POST, &confirm).header("Accept-Language", "de-DE,de;q=0.9")).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let mails = mails(&shop, EMAIL).await;
    assert_eq!((mails.len(), &mails[0].1["locale"]), (1, &json!("de-DE")));
}

/// Of the order, of its refunds and of its returns. Shoppers do not see it.
#[tokio::test(flavor = "multi_thread")]
async fn staff_see_on_the_order_which_mails_could_not_be_delivered() {
    let shop = TestShop::new().await;
    let (_, staff) = shop.login(Role::Support).await;
    let token = shop.state.cart_tokens.issue();
    with_full_cart(&shop, |ask| ask.header("Cart-Token", &token)).await;
    let order = shop.send(checkout(json!({})).header("Cart-Token", &token)).await.json();
    let id = order["id"].as_str().unwrap();
    let path = format!("/v1/admin/orders/{id}");
    let fine = shop.send(get(&path).bearer(&staff)).await;
    assert_eq!(fine.json()["undelivered_mails"], Value::Null, "it only waits");

    let give_up = format!(
        "UPDATE commerce.jobs SET state = 'dead', attempt = 1, last_error = 'the mail was refused: 550 unknown'
         WHERE kind = 'send_email';
         INSERT INTO commerce.returns (id, order_id, status)
         VALUES ('00000000-0000-7000-8000-0000000000a5', '{id}', 'rejected');
         INSERT INTO commerce.emails (id, dedupe_key, template, recipient, data)
         VALUES ('00000000-0000-7000-8000-0000000000a6', 'test 1', 'return_update', 'bea@example.com',
                 '{{\"return_id\": \"00000000-0000-7000-8000-0000000000a5\"}}'),
                ('00000000-0000-7000-8000-0000000000a7', 'test 2', 'return_update', 'eve@example.com',
                 '{{\"return_id\": \"00000000-0000-7000-8000-0000000000a9\"}}');
         INSERT INTO commerce.jobs (id, kind, payload, attempts_max, state)
         SELECT gen_random_uuid(), 'send_email', jsonb_build_object('email_id', id), 12, 'dead'
         FROM commerce.emails WHERE dedupe_key LIKE 'test %'"
    );
    shop.database.conn().await.batch_execute(&give_up).await.unwrap();
    let seen = shop.send(get(&path).bearer(&staff)).await;
    assert_ne!(seen.header("etag"), fine.header("etag"), "it has changed");
    let seen = seen.json();
    let mails = seen["undelivered_mails"].as_array().unwrap();
    let templates: Vec<&Value> = mails.iter().map(|mail| &mail["template"]).collect();
    assert_eq!(templates, ["order_received", "return_update"]);
    assert_eq!(
        (&mails[0]["recipient"], &mails[0]["error"]),
        (&json!("bea@example.com"), &json!("the mail was refused: 550 unknown"))
    );

    // Once it is tried again, it is not given up any more.
    let (_, admin) = shop.login(Role::Admin).await;
    let retry = format!("/v1/admin/jobs/{}/retry", mails[0]["job_id"].as_str().unwrap());
    assert!(shop.send(ask(Method::POST, &retry).bearer(&admin)).await.status.is_success());
    let seen = shop.send(get(&path).bearer(&staff)).await.json();
    assert_eq!(seen["undelivered_mails"].as_array().unwrap().len(), 1);
    let own = shop.send(get(&format!("/v1/orders/{id}")).header("Cart-Token", &token)).await.json();
    assert_eq!(own["undelivered_mails"], Value::Null);
}
