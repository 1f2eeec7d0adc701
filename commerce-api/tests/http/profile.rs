//! One's own account: the address book, and leaving for good.

use commerce_core::accounts::Role;
use commerce_core::settings::{ReservationMode, ShopSettings};
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use crate::members::{
    EMAIL, NEW_PASSWORD, PASSWORD, access, forgot, logged_in, login, me, member, member_called, refresh,
    reset_by_token, reset_token,
};
use crate::shop::{Ask, TestShop, ask, get, post};

const BOOK: &str = "/v1/me/addresses";

fn street(line1: &str) -> Value {
    json!({ "name": "Ada", "line1": line1, "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" })
}

fn delete_me(tokens: &Value, password: &str) -> Ask {
    ask(Method::DELETE, "/v1/me").json(&json!({ "password": password })).bearer(access(tokens))
}

async fn book(shop: &TestShop, tokens: &Value) -> Vec<Value> {
    let got = shop.send(get(BOOK).bearer(access(tokens))).await;
    assert_eq!(got.status, 200, "{}", got.text);
    got.json()["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_added_read_changed_replaced_and_removed() {
    let shop = TestShop::new().await;
    let ada = member(&shop).await;
    let eve = member_called(&shop, "eve@example.com").await;
    let mut home = street("1 High St");
    home["line2"] = json!("Flat 2");
    home["is_default"] = json!(true);
    let added = shop.send(post(BOOK, &home).bearer(access(&ada)).header("Idempotency-Key", "k")).await;
    assert_eq!(added.status, 201, "{}", added.text);
    let again = shop.send(post(BOOK, &home).bearer(access(&ada)).header("Idempotency-Key", "k")).await;
    assert_eq!((again.header("idempotent-replayed"), &again.text), (Some("true"), &added.text));
    let path = added.header("location").unwrap();
    let to = |method: Method, body: &Value| ask(method, path).json(body).bearer(access(&ada));
    assert_eq!(shop.send(get(path).bearer(access(&ada))).await.json(), added.json());

    let patched = shop.send(to(Method::PATCH, &json!({ "city": "Ely" })).header("If-Match", "\"1\"")).await;
    assert_eq!(patched.header("etag"), Some("\"2\""));
    let patched = patched.json();
    assert_eq!((&patched["city"], &patched["line2"]), (&json!("Ely"), &json!("Flat 2")));
    shop.send(to(Method::PATCH, &json!({ "city": "York" })).header("If-Match", "\"1\""))
        .await
        .problem(412, "version_mismatch");
    let without = shop.send(to(Method::PATCH, &json!({ "line2": "" }))).await.json();
    assert_eq!(without["line2"], Value::Null);
    let replaced = shop.send(to(Method::PUT, &street("2 High St"))).await.json();
    assert_eq!((&replaced["line1"], &replaced["is_default"]), (&json!("2 High St"), &json!(true)));
    for (body, pointer) in [
        (json!({ "country": "XX" }), "/country"),
        (json!({ "name": "" }), "/name"),
        (json!({ "name": "  " }), "/name"),
        (json!({ "postal_code": "1" }), "/postal_code"),
        (json!({ "user_id": uuid::Uuid::now_v7() }), "/user_id"),
    ] {
        assert_eq!(shop.send(to(Method::PATCH, &body)).await.problem(422, "validation_failed"), [pointer]);
    }

    // Somebody else's is not there.
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let strangers = ask(method, path).json(&street("3 High St")).bearer(access(&eve));
        shop.send(strangers).await.problem(404, "not_found");
    }
    assert_eq!(book(&shop, &eve).await, Vec::<Value>::new());
    assert_eq!(book(&shop, &ada).await, [replaced]);
    assert_eq!(shop.send(ask(Method::DELETE, path).bearer(access(&ada))).await.status, 204);
    shop.send(ask(Method::DELETE, path).bearer(access(&ada))).await.problem(404, "not_found");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_one_address_is_the_default_and_fifty_are_kept_however_many_are_added_at_once() {
    let shop = TestShop::new().await;
    let ada = member(&shop).await;
    let mut home = street("1 High St");
    home["is_default"] = json!(true);
    let added = join_all((0..60).map(|_| shop.send(post(BOOK, &home).bearer(access(&ada))))).await;
    let (mut kept, mut refused) = (0, 0);
    for got in &added {
        match got.status.as_u16() {
            201 => kept += 1,
            _ => {
                got.problem(409, "address_book_full");
                refused += 1;
            }
        }
    }
    assert_eq!((kept, refused), (50, 10));
    let defaults = |book: &[Value]| book.iter().filter(|address| address["is_default"] == true).count();
    let listed = book(&shop, &ada).await;
    assert_eq!((listed.len(), defaults(&listed)), (50, 1));
    assert_eq!(listed[0]["is_default"], true);
    let changes = listed.iter().skip(1).take(12).map(|address| {
        let path = format!("{BOOK}/{}", address["id"].as_str().unwrap());
        shop.send(ask(Method::PATCH, &path).json(&json!({ "is_default": true })).bearer(access(&ada)))
    });
    for got in join_all(changes).await {
        assert_eq!(got.status, 200, "{}", got.text);
    }
    assert_eq!(defaults(&book(&shop, &ada).await), 1);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_leaves_orders_and_nothing_of_the_person() {
    let rules = ShopSettings { reservation_mode: ReservationMode::Cart, ..ShopSettings::default() };
    let shop = TestShop::ruled(rules).await;
    let (ada, elsewhere) = (member(&shop).await, logged_in(&shop, EMAIL, PASSWORD).await);
    let variant = shop.database.variant(1250, 5).await;
    let item = json!({ "variant_id": variant.to_string(), "quantity": 2 });
    shop.send(post("/v1/cart/items", &item).bearer(access(&ada))).await;
    let checkout = post("/v1/orders/checkout", &json!({ "shipping_address": street("1 High St") }));
    let order = shop.send(checkout.bearer(access(&ada)).header("Idempotency-Key", "k")).await;
    assert_eq!(order.status, 201, "{}", order.text);
    let order = order.json()["id"].as_str().unwrap().to_owned();
    // Something is in the next cart, held, and an address in the book; a link is under way.
    assert_eq!(shop.send(post("/v1/cart/items", &item).bearer(access(&ada))).await.status, 200);
    shop.send(post(BOOK, &street("1 High St")).bearer(access(&ada))).await;
    shop.send(forgot(EMAIL)).await;
    let token = reset_token(&shop, EMAIL).await;
    assert_eq!(me(&shop, &elsewhere).await.status, 200);
    // Some mails were sent, one of them to a former address; one has failed, and some wait.
    let user = ada["user"]["id"].as_str().unwrap();
    let sent = format!(
        "UPDATE commerce.emails SET sent_at = commerce.clock() WHERE template IN ('verify_email_code', 'order_received');
         INSERT INTO commerce.emails (id, dedupe_key, template, recipient, data, sent_at)
         VALUES (gen_random_uuid(), 'former', 'email_changed', 'ada.former@example.com', '{{\"user_id\": \"{user}\"}}', commerce.clock());
         INSERT INTO commerce.emails (id, dedupe_key, template, recipient, data, sent_at)
         VALUES (gen_random_uuid(), 'pruned', 'password_reset', 'ada.former@example.com',
                 '{{\"user_id\": \"{user}\", \"code_id\": \"00000000-0000-7000-8000-000000000000\"}}', commerce.clock());
         UPDATE commerce.jobs SET state = 'dead', last_error = 'the mail was refused: {EMAIL}: no such mailbox'
         WHERE payload ->> 'email_id' = (SELECT id::text FROM commerce.emails WHERE template = 'welcome')"
    );
    shop.database.conn().await.batch_execute(&sent).await.unwrap();

    // Somebody writes to the shop, and withdraws.
    let opened_at = chrono::Utc::now() - chrono::TimeDelta::minutes(1);
    for email in [EMAIL, "ADA@EXAMPLE.COM", "bob@example.com"] {
        let message = json!({ "name": "Ada", "email": email, "message": "Hello", "opened_at": opened_at });
        assert_eq!(shop.send(post("/v1/contact-messages", &message)).await.status, 201);
    }
    let withdrawal = json!({ "name": "Ada", "email": EMAIL, "order_number": "1001" });
    let withdrawal = shop.send(post("/v1/withdrawals", &withdrawal)).await.json();
    let confirm = format!("/v1/withdrawals/{}/confirm", withdrawal["id"].as_str().unwrap());
    assert_eq!(shop.send(ask(Method::POST, &confirm)).await.status, 200);
    let acknowledged =
        "UPDATE commerce.emails SET sent_at = commerce.clock() WHERE template = 'withdrawal_received'";
    shop.database.conn().await.batch_execute(acknowledged).await.unwrap();

    shop.send(delete_me(&ada, "another password")).await.problem(403, "wrong_password");
    assert_eq!(me(&shop, &ada).await.status, 200);
    assert_eq!(shop.send(delete_me(&ada, PASSWORD)).await.status, 204);
    for tokens in [&ada, &elsewhere] {
        me(&shop, tokens).await.problem(401, "unauthenticated");
        shop.send(refresh(&tokens["refresh_token"])).await.problem(401, "invalid_refresh_token");
    }
    shop.send(login(EMAIL, PASSWORD)).await.problem(401, "invalid_credentials");
    shop.send(reset_by_token(&token, NEW_PASSWORD)).await.problem(422, "invalid_reset_token");

    // The person is nowhere but on the order.
    let mut conn = shop.database.conn().await;
    for (table, of_user) in [
        ("sessions", "user_id"),
        ("one_time_codes", "user_id"),
        ("addresses", "user_id"),
        ("cart_items", "(SELECT user_id FROM commerce.carts c WHERE c.id = t.cart_id AND c.status = 'open')"),
        (
            "stock_reservations",
            "(SELECT user_id FROM commerce.carts c WHERE c.id = t.cart_id AND t.status = 'held')",
        ),
    ] {
        let query = format!("SELECT 1 FROM commerce.{table} t WHERE {of_user} = '{user}'");
        assert_eq!(diesel::sql_query(query).execute(&mut conn).await.unwrap(), 0, "{table}");
    }
    for query in [
        "SELECT 1 FROM commerce.users t WHERE t::text ILIKE '%ada%'",
        "SELECT 1 FROM commerce.emails t WHERE t.recipient ILIKE '%ada%'",
        "SELECT 1 FROM commerce.jobs t WHERE t.last_error ILIKE '%ada%'",
    ] {
        assert_eq!(diesel::sql_query(query).execute(&mut conn).await.unwrap(), 0, "{query}");
    }
    // Messages of others stay, and so does a declaration with legal effect.
    for (query, stay) in [
        ("SELECT 1 FROM commerce.contact_messages", 1),
        ("SELECT 1 FROM commerce.contact_messages WHERE email ILIKE 'ada%'", 0),
        ("SELECT 1 FROM commerce.withdrawals WHERE email ILIKE 'ada%' AND confirmed_at IS NOT NULL", 1),
    ] {
        assert_eq!(diesel::sql_query(query).execute(&mut conn).await.unwrap(), stay, "{query}");
    }
    // What was sent is still known to have been sent.
    let sent = "SELECT 1 FROM commerce.emails WHERE recipient = 'deleted' AND sent_at IS NOT NULL";
    assert_eq!(diesel::sql_query(sent).execute(&mut conn).await.unwrap(), 5);
    diesel::sql_query("DELETE FROM commerce.jobs WHERE state = 'dead'").execute(&mut conn).await.unwrap();
    drop(conn);
    let (_, staff) = shop.login(Role::Support).await;
    let kept = shop.send(get(&format!("/v1/admin/orders/{order}")).bearer(&staff)).await.json();
    assert_eq!((&kept["email"], &kept["shipping_address"]["line1"]), (&json!(EMAIL), &json!("1 High St")));
    // What the cart held can be had by others.
    let (_, other) = shop.login(Role::Customer).await;
    let three = json!({ "variant_id": variant.to_string(), "quantity": 3 });
    assert_eq!(shop.send(post("/v1/cart/items", &three).bearer(&other)).await.status, 200);
    // The address is free, for an account that knows nothing of the former one.
    let anew = member(&shop).await;
    assert_ne!(anew["user"]["id"], ada["user"]["id"]);
    let orders = shop.send(get("/v1/orders").bearer(access(&anew))).await.json();
    assert_eq!(orders["data"], json!([]));
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_stays_also_when_two_go_at_once() {
    let shop = TestShop::new().await;
    let admins = [member(&shop).await, member_called(&shop, "eve@example.com").await];
    let promote = "UPDATE commerce.users SET role = 'admin'";
    shop.database.conn().await.batch_execute(promote).await.unwrap();
    let answers = join_all(admins.iter().map(|admin| shop.send(delete_me(admin, PASSWORD)))).await;
    let gone = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(gone, 1, "{answers:?}");
    answers
        .iter()
        .filter(|answer| answer.status != 204)
        .for_each(|answer| drop(answer.problem(409, "last_admin")));
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_deleted_in_the_middle_of_its_checkouts_keeps_the_order_that_was_acknowledged() {
    let shop = TestShop::new().await;
    let ada = member(&shop).await;
    let variant = shop.database.variant(1250, 50).await;
    let item = json!({ "variant_id": variant.to_string(), "quantity": 2 });
    shop.send(post("/v1/cart/items", &item).bearer(access(&ada))).await;
    let checkout = post("/v1/orders/checkout", &json!({ "shipping_address": street("1 High St") }));
    let checkout = checkout.bearer(access(&ada)).header("Idempotency-Key", "k");
    let (placed, deleted, logins) = futures_util::join!(
        shop.send(checkout),
        shop.send(delete_me(&ada, PASSWORD)),
        join_all((0..4).map(|_| shop.send(login(EMAIL, PASSWORD)))),
    );
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    assert!([201, 401, 409].contains(&placed.status.as_u16()), "{}", placed.text);
    use commerce_core::schema::orders;
    let orders: i64 = orders::table
        .filter(orders::email.eq(EMAIL))
        .count()
        .get_result(&mut shop.database.conn().await)
        .await
        .unwrap();
    assert_eq!(orders, i64::from(placed.status == 201));
    for got in logins {
        if got.status == 200 {
            me(&shop, &got.json()).await.problem(401, "unauthenticated");
        } else {
            got.problem(401, "invalid_credentials");
        }
    }
    shop.database.finish().await;
}
