//! What people type: names, numbers, passwords and addresses, from other devices and other countries.

use commerce_core::accounts::Role;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use poem::http::Method;
use serde_json::{Value, json};

use crate::members::{code, login, member, register, verify};
use crate::shop::{Ask, Got, TestShop, ask, get, post};
use crate::world::World;

async fn cart(shop: &TestShop) -> String {
    let variant = shop.database.variant(1250, 50).await;
    let item = json!({ "variant_id": variant.to_string(), "quantity": 1 });
    shop.send(post("/v1/cart/items", &item)).await.json()["token"].as_str().unwrap().to_owned()
}

fn checkout(token: &str, email: &str, address: &Value) -> Ask {
    let body = json!({ "email": email, "shipping_address": address });
    post("/v1/orders/checkout", &body).header("Cart-Token", token).header("Idempotency-Key", token)
}

fn to(country: &str) -> Value {
    json!({ "name": "Wei Chan", "line1": "88 Nathan Road", "city": "Kowloon", "country": country })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_goes_to_countries_without_postal_codes_and_to_kosovo() {
    let shop = TestShop::new().await;
    let ada = member(&shop).await;
    let bearer = ada["access_token"].as_str().unwrap();
    for country in ["HK", "AE", "QA", "JM", "PA", "GH", "AW", "XK", "IE"] {
        let token = cart(&shop).await;
        let placed = shop.send(checkout(&token, "wei@example.com", &to(country))).await;
        assert_eq!(placed.status, 201, "{country} {}", placed.text);
        assert_eq!(placed.json()["shipping_address"], to(country));
        let mut saved = to(country);
        saved["postal_code"] = json!("");
        let saved = shop.send(post("/v1/me/addresses", &saved).bearer(bearer)).await;
        assert_eq!(
            (saved.status.as_u16(), &saved.json()["postal_code"]),
            (201, &Value::Null),
            "{}",
            saved.text
        );
    }
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkout_and_address_book_ask_for_what_the_country_needs() {
    let shop = TestShop::new().await;
    let ada = member(&shop).await;
    let bearer = ada["access_token"].as_str().unwrap();
    let token = cart(&shop).await;
    let with = |country: &str, postal_code: &str| {
        let mut address = to(country);
        address["postal_code"] = json!(postal_code);
        address
    };
    for (address, missing) in [
        (to("US"), vec!["/region", "/postal_code"]),
        (with("CA", "H3Z 2Y7"), vec!["/region"]),
        (with("AU", "2060"), vec!["/region"]),
        (to("GB"), vec!["/postal_code"]),
        (with("DE", "123"), vec!["/postal_code"]),
        (with("XX", "123"), vec!["/country"]),
    ] {
        let at = |base: &str| missing.iter().map(|field| format!("{base}{field}")).collect::<Vec<_>>();
        let refused = shop.send(checkout(&token, "wei@example.com", &address)).await;
        assert_eq!(refused.problem(422, "validation_failed"), at("/shipping_address"), "{address}");
        let refused = shop.send(post("/v1/me/addresses", &address).bearer(bearer)).await;
        assert_eq!(refused.problem(422, "validation_failed"), at(""), "{address}");
    }
    // An address of older rules is kept, and can become the default one.
    let sql = "INSERT INTO commerce.addresses (id, user_id, address)
               SELECT '01a1fc44-3436-74fa-a165-93fbaa24b8e0', id,
                      '{\"name\": \"Ada\", \"line1\": \"1 Elm St\", \"city\": \"Reno\", \"postal_code\": \"1\", \"country\": \"US\"}'
               FROM commerce.users";
    shop.database.conn().await.batch_execute(sql).await.unwrap();
    let change = |body: &Value| {
        ask(Method::PATCH, "/v1/me/addresses/01a1fc44-3436-74fa-a165-93fbaa24b8e0").json(body).bearer(bearer)
    };
    assert_eq!(shop.send(change(&json!({ "is_default": true }))).await.status, 200);
    let refused = shop.send(change(&json!({ "city": "Reno " }))).await;
    assert_eq!(refused.problem(422, "validation_failed"), ["/region", "/postal_code"]);
    let moved = json!({ "country": "HK", "city": "Kowloon", "postal_code": "" });
    assert_eq!(shop.send(change(&moved)).await.json()["postal_code"], Value::Null);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkout_takes_the_addresses_that_registration_takes() {
    let shop = TestShop::new().await;
    let token = cart(&shop).await;
    let message = |got: &Got| got.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    for (email, hint) in [
        ("Ada <ada@example.com>", "leave out the name"),
        ("\"a b\"@example.com", "such as ada@example.com"),
        ("ada@[127.0.0.1]", "such as ada@example.com"),
        ("jürgen@example.com", "unaccented letters"),
    ] {
        let refused = shop.send(checkout(&token, email, &to("HK"))).await;
        assert_eq!(refused.problem(422, "validation_failed"), ["/email"]);
        assert!(message(&refused).contains(hint), "{}", refused.text);
        let registered = shop.send(register(email, "correct horse battery")).await;
        assert_eq!(
            (registered.problem(422, "validation_failed"), message(&registered)),
            (vec!["/email".into()], message(&refused))
        );
    }
    let placed = shop.send(checkout(&token, " Ada@BÜCHER.example ", &to("HK"))).await;
    assert_eq!(placed.json()["email"], "ada@bücher.example", "{}", placed.text);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_address_and_password_logs_in() {
    let shop = TestShop::new().await;
    let password = "pässwörter sind süß";
    assert_eq!(shop.send(register("ada@bücher.example", password)).await.status, 202);
    let code = code(&shop, "ada@bücher.example").await;
    assert_eq!(shop.send(verify("ada@xn--bcher-kva.example", &code)).await.status, 204);
    let decomposed = "pa\u{308}sswo\u{308}rter sind\u{a0}su\u{308}ß";
    for email in ["ada@bücher.example", "ADA@ｂu\u{308}cher.example", "ada@XN--bcher-kva.example"] {
        for typed in [password, decomposed] {
            assert_eq!(shop.send(login(email, typed)).await.status, 200, "{email} {typed}");
        }
        shop.send(login(email, "passworter sind suss")).await.problem(401, "invalid_credentials");
    }
    // An account of an older version.
    let sql = "INSERT INTO commerce.users (id, email, email_verified_at, password_hash, display_name)
               SELECT gen_random_uuid(), 'jürgen@example.com', commerce.clock(), password_hash, 'J' FROM commerce.users";
    shop.database.conn().await.batch_execute(sql).await.unwrap();
    assert_eq!(shop.send(login("Ju\u{308}rgen@example.com", password)).await.status, 200);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_kept_without_characters_that_nobody_sees() {
    let shop = TestShop::new().await;
    let (id, admin) = shop.login(Role::Admin).await;
    let rename = json!({ "display_name": "\u{202e}Ju\u{308}rgen\tGroß\u{9b}  " });
    let renamed = shop.send(ask(Method::PATCH, "/v1/me").json(&rename).bearer(&admin)).await;
    assert_eq!(renamed.json()["display_name"], "Jürgen Groß", "{}", renamed.text);
    let blank = json!({ "display_name": "\u{202e} \u{9b}" });
    let refused = shop.send(ask(Method::PATCH, "/v1/me").json(&blank).bearer(&admin)).await;
    assert_eq!(refused.problem(422, "validation_failed"), ["/display_name"]);
    let phone = json!({ "phone": "\u{202d}+44 20\u{a0}7946 0018\u{202c}" });
    let path = format!("/v1/admin/users/{id}");
    let changed = shop.send(ask(Method::PATCH, &path).json(&phone).bearer(&admin)).await;
    assert_eq!(changed.json()["phone"], "+442079460018", "{}", changed.text);

    // Names and values of options are compared, so they have one form.
    let price = json!({ "amount": 100, "currency": "USD" });
    let variant = |name: &str, value: &str| json!({ "options": { name: value }, "price": price });
    let shirt = |value: &str| {
        let variants = json!([variant("Größe", "grün"), variant("Gro\u{308}ße", value)]);
        json!({ "title": " Hemd\u{200e}  blau ", "variants": variants })
    };
    let twice = shop.send(post("/v1/products", &shirt("gru\u{308}n\u{a0}")).bearer(&admin)).await;
    assert_eq!(twice.problem(422, "validation_failed"), ["/variants/1/options"]);
    let made = shop.send(post("/v1/products", &shirt("rot")).bearer(&admin)).await.json();
    assert_eq!((&made["title"], &made["option_names"]), (&json!("Hemd blau"), &json!(["Größe"])));
    let found = shop.send(get("/v1/products?q=gru%CC%88n").bearer(&admin)).await.json();
    assert_eq!(found["data"].as_array().map(Vec::len), Some(0), "names are searched, not options");
    let renamed = json!({ "title": "Grüner Hut" });
    let path = format!("/v1/products/{}", made["id"].as_str().unwrap());
    shop.send(ask(Method::PATCH, &path).json(&renamed).bearer(&admin)).await;
    let found = shop.send(get("/v1/products?q=gru%CC%88ner").bearer(&admin)).await.json();
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{found}");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_keeps_its_lines_and_nothing_else_that_is_invisible() {
    let shop = TestShop::new().await;
    let (_, admin) = shop.login(Role::Admin).await;
    let token = cart(&shop).await;
    let order = shop.send(checkout(&token, "wei@example.com", &to("HK"))).await.json();
    let path = format!("/v1/admin/orders/{}/notes", order["id"].as_str().unwrap());
    let note = json!({ "text": "Ring twice.\r\nFu\u{308}r Wei\u{9b}31m\n" });
    let noted = shop.send(post(&path, &note).bearer(&admin)).await;
    assert_eq!(noted.json()["data"]["text"], "Ring twice.\nFür Wei31m", "{}", noted.text);
    use commerce_core::schema::order_events;
    let notes: i64 = order_events::table
        .filter(order_events::kind.eq("note"))
        .count()
        .get_result(&mut shop.database.conn().await)
        .await
        .unwrap();
    assert_eq!(notes, 1);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_too_long_in_its_normal_form_is_refused_before_the_database_refuses_it() {
    let shop = TestShop::new().await;
    let world = World::new(&shop).await;
    // In its normal form this letter has two characters.
    let long = |stored: usize| "\u{958}".repeat(stored / 2);
    let parcel = format!("/v1/shipments/{}", world.parcel);
    let returned = world.path_value("returns", Some(&world.customer.credential));
    let returned = format!("/v1/admin/returns/{returned}/status");
    let cases = [
        (Method::POST, format!("{parcel}/checkpoints"), "location", 200, json!({ "status": "in_transit" })),
        (Method::POST, format!("{parcel}/checkpoints"), "message", 1000, json!({ "status": "in_transit" })),
        (Method::PATCH, format!("{parcel}/status"), "message", 1000, json!({ "status": "in_transit" })),
        (Method::PATCH, returned, "answer", 2000, json!({ "status": "approved" })),
    ];
    for (method, path, field, most, mut body) in cases {
        body[field] = json!(long(most + 2));
        let request = ask(method.clone(), &path).json(&body).header("Idempotency-Key", field);
        let got = shop.send(request.header(world.admin.0, &world.admin.1)).await;
        assert_eq!(got.problem(422, "validation_failed"), [format!("/{field}")], "{method} {path}");
    }
    let body = json!({ "status": "in_transit", "location": long(200) });
    let fits =
        ask(Method::POST, &format!("{parcel}/checkpoints")).json(&body).header("Idempotency-Key", "fits");
    let fits = shop.send(fits.header(world.admin.0, &world.admin.1)).await;
    assert_eq!(fits.status, 201, "{}", fits.text);
    assert_eq!(fits.json()["location"].as_str().unwrap().chars().count(), 200);
    shop.database.finish().await;
}
