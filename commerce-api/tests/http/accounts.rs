//! Codes, logging in, staying logged in, leaving; and what attackers try there.

use std::time::Duration;

use commerce_core::accounts::{Role, SecretKey};
use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use crate::members::{EMAIL, PASSWORD, code, login, mails, me, member, refresh, register, verify, wrong};
use crate::shop::{SECRET, TestShop, ask, get, post};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_registers_verifies_logs_in_changes_their_name_and_leaves() {
    let shop = TestShop::new().await;
    assert_eq!(shop.send(register(" Ada@Example.com ".trim(), PASSWORD)).await.status, 202);
    // Not verified yet: told only to who knows the password.
    shop.send(login(EMAIL, PASSWORD)).await.problem(403, "email_not_verified");
    shop.send(login(EMAIL, "another password")).await.problem(401, "invalid_credentials");
    let right = code(&shop, EMAIL).await;
    shop.send(verify(EMAIL, &wrong(&right))).await.problem(422, "invalid_code");
    assert_eq!(shop.send(verify("ADA@example.com", &right)).await.status, 204);
    shop.send(verify(EMAIL, &right)).await.problem(422, "invalid_code");
    assert_eq!(
        mails(&shop, EMAIL).await.iter().map(|mail| mail.0.as_str()).collect::<Vec<_>>(),
        ["verify_email_code", "welcome"]
    );

    let got = shop.send(login(EMAIL, PASSWORD)).await;
    assert_eq!(got.header("cache-control"), Some("no-store"));
    let tokens = got.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!((&tokens["user"]["email"], &tokens["user"]["role"]), (&json!(EMAIL), &json!("customer")));

    let account = me(&shop, &tokens).await;
    let bearer = tokens["access_token"].as_str().unwrap();
    let rename =
        |name: &str| ask(Method::PATCH, "/v1/me").bearer(bearer).json(&json!({ "display_name": name }));
    let renamed = shop.send(rename("Ada King").header("If-Match", account.header("etag").unwrap())).await;
    assert_eq!((renamed.status.as_u16(), &renamed.json()["display_name"]), (200, &json!("Ada King")));
    for stale in [account.header("etag").unwrap(), "\"not-ours\"", "W/\"1\""] {
        shop.send(rename("Eve").header("If-Match", stale)).await.problem(412, "version_mismatch");
    }
    assert_eq!(shop.send(rename("   ")).await.problem(422, "validation_failed"), ["/display_name"]);
    assert_eq!(me(&shop, &tokens).await.json()["display_name"], "Ada King");

    assert_eq!(shop.send(ask(Method::POST, "/v1/auth/logout").bearer(bearer)).await.status, 204);
    me(&shop, &tokens).await.problem(401, "unauthenticated");
    shop.send(refresh(&tokens["refresh_token"])).await.problem(401, "invalid_refresh_token");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_ends_after_ten_minutes_and_a_new_one_is_mailed() {
    let shop = TestShop::new().await;
    shop.send(register(EMAIL, PASSWORD)).await;
    let late = code(&shop, EMAIL).await;
    shop.database.shift_clock(Duration::from_secs(601)).await;
    shop.send(verify(EMAIL, &late)).await.problem(422, "invalid_code");
    shop.send(post("/v1/auth/resend-code", &json!({ "email": EMAIL }))).await;
    let fresh = code(&shop, EMAIL).await;
    assert_eq!(shop.send(verify(EMAIL, &fresh)).await.status, 204);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_six_codes_an_hour() {
    let shop = TestShop::new().await;
    shop.send(register(EMAIL, PASSWORD)).await;
    for minutes in 1..=9u64 {
        shop.database.shift_clock(Duration::from_secs(minutes * 61)).await;
        shop.send(post("/v1/auth/resend-code", &json!({ "email": EMAIL }))).await;
    }
    assert_eq!(mails(&shop, EMAIL).await.len(), 6);
    shop.database.shift_clock(Duration::from_secs(62 * 60)).await;
    shop.send(post("/v1/auth/resend-code", &json!({ "email": EMAIL }))).await;
    assert_eq!(mails(&shop, EMAIL).await.len(), 7);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_sent_at_once_are_counted_one_by_one() {
    let shop = TestShop::new().await;
    shop.send(register(EMAIL, PASSWORD)).await;
    let right = code(&shop, EMAIL).await;
    // One guess at a time is looked at. Those that come meanwhile are wrong, whatever they say.
    for _ in 0..10 {
        let guesses = join_all((0..20).map(|_| shop.send(verify(EMAIL, &wrong(&right))))).await;
        guesses.iter().for_each(|guess| drop(guess.problem(422, "invalid_code")));
    }
    let attempts: Vec<i32> = {
        use commerce_core::schema::one_time_codes;
        let mut conn = shop.database.conn().await;
        one_time_codes::table.select(one_time_codes::attempts).load(&mut conn).await.unwrap()
    };
    assert_eq!(attempts, [5]);
    // The right one comes too late.
    shop.send(verify(EMAIL, &right)).await.problem(422, "invalid_code");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_sent_many_times_at_once_is_used_once() {
    let shop = TestShop::new().await;
    shop.send(register(EMAIL, PASSWORD)).await;
    let right = code(&shop, EMAIL).await;
    let answers = join_all((0..10).map(|_| shop.send(verify(EMAIL, &right)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 1);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_rotates_two_tabs_get_along_and_a_stolen_one_ends_the_session() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let first = &tokens["refresh_token"];
    let tabs = join_all((0..3).map(|_| shop.send(refresh(first)))).await;
    let successors: std::collections::HashSet<String> = tabs
        .iter()
        .map(|tab| {
            assert_eq!(tab.status, 200, "{}", tab.text);
            tab.json()["refresh_token"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(successors.len(), 3);
    let next = shop.send(refresh(&tabs[0].json()["refresh_token"])).await.json();
    assert_eq!(me(&shop, &next).await.status, 200);

    // Eleven seconds after its use, the first token can only be a thief's, or the thief was the first to use it.
    shop.database.shift_clock(Duration::from_secs(11)).await;
    shop.send(refresh(first)).await.problem(401, "invalid_refresh_token");
    shop.send(refresh(&next["refresh_token"])).await.problem(401, "invalid_refresh_token");
    for tab in &tabs {
        let unused = tab.json();
        shop.send(refresh(&unused["refresh_token"])).await.problem(401, "invalid_refresh_token");
        me(&shop, &unused).await.problem(401, "unauthenticated");
    }
    me(&shop, &next).await.problem(401, "unauthenticated");
    shop.send(refresh(&json!("never issued"))).await.problem(401, "invalid_refresh_token");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_not_used_for_a_month_is_over() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    shop.database.shift_clock(days(29)).await;
    let used = shop.send(refresh(&tokens["refresh_token"])).await.json();
    shop.database.shift_clock(days(58)).await;
    let used = shop.send(refresh(&used["refresh_token"])).await;
    assert_eq!(used.status, 200, "{}", used.text);
    shop.database.shift_clock(days(89)).await;
    shop.send(refresh(&used.json()["refresh_token"])).await.problem(401, "invalid_refresh_token");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_is_shut_out() {
    use commerce_core::schema::users;
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let disable =
        diesel::update(users::table).set(users::disabled_at.eq(commerce_core::db::clock().nullable()));
    disable.execute(&mut shop.database.conn().await).await.unwrap();
    // No request was made with this token yet, so nothing is remembered about it.
    me(&shop, &tokens).await.problem(401, "unauthenticated");
    shop.send(refresh(&tokens["refresh_token"])).await.problem(401, "invalid_refresh_token");
    shop.send(login(EMAIL, PASSWORD)).await.problem(403, "account_disabled");
    shop.send(login(EMAIL, "another password")).await.problem(401, "invalid_credentials");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_cart_comes_along_at_login() {
    let shop = TestShop::new().await;
    member(&shop).await;
    let variant = shop.database.variant(1250, 5).await;
    let item = json!({ "variant_id": variant.to_string(), "quantity": 2 });
    let cart_token = shop.send(post("/v1/cart/items", &item)).await.json()["token"].clone();
    let body = json!({ "email": EMAIL, "password": PASSWORD, "mode": "token", "cart_token": cart_token });
    let tokens = shop.send(post("/v1/auth/login", &body)).await.json();
    let cart = shop.send(get("/v1/cart").bearer(tokens["access_token"].as_str().unwrap())).await.json();
    assert_eq!(
        (&cart["items"][0]["variant_id"], &cart["items"][0]["quantity"]),
        (&item["variant_id"], &json!(2))
    );
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_fresh_tokens_are_taken() {
    let shop = TestShop::new().await;
    let (user_id, good) = shop.login(Role::Admin).await;
    assert_eq!(shop.send(get("/v1/me").bearer(&good)).await.status, 200);
    for token in forgeries(&good) {
        let got = shop.send(get("/v1/me").bearer(&token)).await;
        got.problem(401, "unauthenticated");
        assert_eq!(got.header("www-authenticate"), Some("Bearer"));
    }
    for header in ["", "Bearer", "Bearer ", "Basic YTpi", &good] {
        shop.send(get("/v1/me").header("Authorization", header)).await.problem(401, "unauthenticated");
    }
    // Signed by us, for a session that does not exist.
    let now = commerce_core::db::current_time(&mut *shop.database.conn().await).await.unwrap();
    let unknown = shop.state.tokens.sign(user_id, commerce_core::ids::SessionId::new(), now).unwrap();
    shop.send(get("/v1/me").bearer(&unknown)).await.problem(401, "unauthenticated");
    // A token that is not good is refused even where nobody need log in.
    shop.send(get("/v1/cart").bearer(&unknown)).await.problem(401, "unauthenticated");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_by_the_databases_clock() {
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::Customer).await;
    shop.database.shift_clock(Duration::from_secs(14 * 60)).await;
    assert_eq!(shop.send(get("/v1/me").bearer(&token)).await.status, 200);
    let (_, other) = shop.login(Role::Customer).await;
    shop.database.shift_clock(Duration::from_secs((14 + 16) * 60)).await;
    // This one was never looked up before, so nothing is remembered from before the shift.
    shop.send(get("/v1/me").bearer(&other)).await.problem(401, "unauthenticated");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_while_several_processes_run_and_nobody_is_logged_out() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use commerce_api::http::tokens::TokenKeys;
    let shop = TestShop::new().await;
    member(&shop).await;
    let process = |seeds: &[u8]| {
        let list: Vec<String> = seeds.iter().map(|seed| STANDARD.encode([*seed; 32])).collect();
        shop.beside(
            TokenKeys::parse(&list.join(","), &SecretKey::parse(SECRET).unwrap())
                .unwrap_or_else(|error| panic!("{error}")),
        )
    };
    // Old key alone; new one known; new one signs; old one gone. Neighbours run at the same time while processes restart.
    let stages = [process(&[1]), process(&[1, 2]), process(&[2, 1]), process(&[2])];
    let mut tokens = Vec::new();
    for stage in &stages {
        tokens.push(stage.send(login(EMAIL, PASSWORD)).await.json());
    }
    for (from, tokens) in tokens.iter().enumerate() {
        for (at, stage) in stages.iter().enumerate() {
            let got = stage.send(get("/v1/me").bearer(tokens["access_token"].as_str().unwrap())).await;
            if from.abs_diff(at) <= 1 {
                assert_eq!(got.status, 200, "a token of stage {from} at stage {at}: {}", got.text);
            } else if (from, at) == (0, 3) || (from, at) == (3, 0) {
                got.problem(401, "unauthenticated");
            }
        }
        // A refresh token does not depend on the keys, nor on a restart.
        let restarted = process(&[2]);
        assert_eq!(restarted.send(refresh(&tokens["refresh_token"])).await.status, 200);
    }
    let kids = async |at: usize| -> Vec<String> {
        let keys = stages[at].send(get("/.well-known/jwks.json")).await.json()["keys"].clone();
        keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let (known, signing) = (kids(1).await, kids(2).await);
    assert_eq!((kids(0).await.as_slice(), kids(3).await.as_slice()), (&known[..1], &signing[..1]));
    assert_eq!(known.iter().rev().collect::<Vec<_>>(), signing.iter().collect::<Vec<_>>());
    shop.database.finish().await;
}

/// What attackers make of a good token.
fn forgeries(good: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{Algorithm, EncodingKey, Header};

    let parts: Vec<&str> = good.split('.').collect();
    let decode =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let (header, claims) = (decode(parts[0]), decode(parts[1]));
    let kid = header["kid"].as_str().unwrap().to_owned();
    assert_eq!(header["alg"], "EdDSA");

    let seed = SecretKey::parse(SECRET).unwrap().derive("jwt ed25519 seed");
    let der = [hex("302e020100300506032b657004220420"), seed.to_vec()].concat();
    let ours = |claims: &Value, kid: &str| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(&der)).unwrap()
    };
    assert_eq!(
        decode(ours(&claims, &kid).split('.').nth(1).unwrap()),
        claims,
        "the test signs as the server does"
    );
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        changed
    };
    let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let hs256 = |key: &[u8]| {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let header = json!({ "alg": "HS256", "typ": "JWT", "kid": kid });
        let message = format!("{}.{}", encode(&header), parts[1]);
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        mac.update(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    };
    let none = json!({ "alg": "none", "typ": "JWT", "kid": kid });
    vec![
        format!("{}.{}.", encode(&none), parts[1]),
        format!("{}.{}.{}", encode(&none), parts[1], parts[2]),
        // The public key taken for a shared secret.
        hs256(&public),
        format!("{}.{}.{}", parts[0], encode(&with("exp", json!(4_000_000_000u64))), parts[2]),
        ours(&with("aud", json!("another shop")), &kid),
        ours(&with("iss", json!("another shop")), &kid),
        ours(&with("exp", json!(1_000_000_000)), &kid),
        ours(&with("iat", json!(claims["iat"].as_i64().unwrap() + 60)), &kid),
        ours(&with("nbf", json!(claims["iat"].as_i64().unwrap() + 60)), &kid),
        ours(&with("iat", json!("yesterday")), &kid),
        "garbage".to_owned(),
        "\u{7f}.\u{e9}.".escape_default().to_string(),
        ours(&with("sub", json!(uuid::Uuid::now_v7())), &kid),
        ours(&with("aud", Value::Null), &kid),
        ours(&claims, "unknown"),
        format!("{}.{}", parts[0], parts[1]),
        "x".repeat(5000),
    ]
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_every_form_is_checked() {
    let shop = TestShop::new().await;
    let long = "x".repeat(300);
    let good = json!({ "email": EMAIL, "password": PASSWORD, "display_name": "Ada" });
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("/v1/auth/register", json!({}), &["/email", "/password", "/display_name"]),
        ("/v1/auth/register", with("email", json!(7)), &["/email"]),
        ("/v1/auth/register", with("email", json!(null)), &["/email"]),
        ("/v1/auth/register", with("email", json!("no address")), &["/email"]),
        ("/v1/auth/register", with("email", json!(format!("{long}@example.com"))), &["/email"]),
        ("/v1/auth/register", with("password", json!("short")), &["/password"]),
        ("/v1/auth/register", with("password", json!("Password123")), &["/password"]),
        ("/v1/auth/register", with("password", json!(long)), &["/password"]),
        ("/v1/auth/register", with("password", json!(["a"])), &["/password"]),
        ("/v1/auth/register", with("display_name", json!("")), &["/display_name"]),
        ("/v1/auth/register", with("display_name", json!("  ")), &["/display_name"]),
        ("/v1/auth/register", with("display_name", json!("a\0b")), &["/display_name"]),
        ("/v1/auth/register", with("role", json!("admin")), &["/role"]),
        ("/v1/auth/verify-email", json!({ "email": EMAIL, "code": 123456 }), &["/code"]),
        ("/v1/auth/verify-email", json!({ "email": EMAIL, "code": "12345" }), &["/code"]),
        ("/v1/auth/verify-email", json!({ "code": "123456" }), &["/email"]),
        ("/v1/auth/resend-code", json!({ "email": "no address" }), &["/email"]),
        ("/v1/auth/resend-code", json!({ "email": EMAIL, "more": 1 }), &["/more"]),
        ("/v1/auth/login", json!({ "email": EMAIL }), &["/password"]),
        ("/v1/auth/login", json!({ "email": EMAIL, "password": long }), &["/password"]),
        ("/v1/auth/login", json!({ "email": EMAIL, "password": "x", "mode": "smoke signal" }), &["/mode"]),
        (
            "/v1/auth/login",
            json!({ "email": EMAIL, "password": "x", "cart_token": "short" }),
            &["/cart_token"],
        ),
        ("/v1/auth/refresh", json!({ "refresh_token": {} }), &["/refresh_token"]),
        ("/v1/auth/refresh", json!({}), &["/refresh_token"]),
    ];
    for (path, body, pointers) in cases {
        assert_eq!(
            shop.send(post(path, &body)).await.problem(422, "validation_failed"),
            pointers,
            "{path} {body}"
        );
    }
    for path in
        ["register", "verify-email", "resend-code", "login", "refresh"].map(|name| format!("/v1/auth/{name}"))
    {
        for body in ["", "{", "{\"email\":\u{1}}", "\"", "nul"] {
            let got = shop.send(ask(Method::POST, &path).body("application/json", body)).await;
            got.problem(400, "malformed_body");
        }
        shop.send(ask(Method::POST, &path).body("text/csv", "{}"))
            .await
            .problem(415, "unsupported_media_type");
        shop.send(get(&path)).await.problem(405, "method_not_allowed");
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let got = shop.send(ask(Method::POST, &path).body("application/json", &deep)).await;
        got.problem(400, "malformed_body");
    }
    shop.send(ask(Method::POST, "/v1/auth/logout")).await.problem(401, "unauthenticated");
    shop.send(ask(Method::PATCH, "/v1/me").body("application/json", "{"))
        .await
        .problem(401, "unauthenticated");
    shop.database.finish().await;
}
