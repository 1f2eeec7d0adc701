//! Sessions by cookie: what a browser gets, and what a page of another site can do with it: nothing.

use std::time::{Duration, Instant};

use commerce_core::accounts::Role;
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};

use crate::members::{EMAIL, NEW_PASSWORD, PASSWORD, access, logged_in, me, member};
use crate::shop::{Ask, Got, ORIGIN, TestShop, ask, get, post};

fn login_by_cookie() -> Ask {
    post("/v1/auth/login", &json!({ "email": EMAIL, "password": PASSWORD, "mode": "cookie" }))
}

/// The cookie as a browser sends it back.
async fn cookie(shop: &TestShop) -> String {
    let got = shop.send(login_by_cookie().header("Origin", ORIGIN)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    sent_back(&got)
}

fn sent_back(got: &Got) -> String {
    got.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

/// A change that the browser sends from a page of the shop.
fn rename(cookie: &str, name: &str) -> Ask {
    ask(Method::PATCH, "/v1/me").json(&json!({ "display_name": name })).header("Cookie", cookie)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_acts_and_logs_out_without_seeing_a_token() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let got = shop.send(login_by_cookie().header("Origin", ORIGIN)).await;
    let set = got.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-commerce_session=") && set.contains("; Path=/;"), "{set}");
    for attribute in ["; HttpOnly", "; Secure", "; SameSite=Lax"] {
        assert!(set.contains(attribute), "{set}");
    }
    let body = got.json();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["user"]);
    let cookie = sent_back(&got);
    let secret = cookie.split_once('=').unwrap().1.to_owned();
    assert!(secret.len() >= 43 && !got.text.contains(&secret));

    let own = shop.send(get("/v1/me").header("Cookie", &format!("theme=dark; {cookie}; x=y"))).await;
    assert_eq!((own.status.as_u16(), &own.json()["email"]), (200, &json!(EMAIL)));
    assert_eq!(shop.send(rename(&cookie, "Ada King").header("Origin", ORIGIN)).await.status, 200);
    // The cart and the orders are reached the same way as by a token.
    let variant = shop.database.variant(1250, 5).await;
    let item = json!({ "variant_id": variant.to_string(), "quantity": 2 });
    let added = post("/v1/cart/items", &item).header("Cookie", &cookie).header("Origin", ORIGIN);
    assert_eq!(shop.send(added).await.status, 200);
    let cart = shop.send(get("/v1/cart").bearer(access(&tokens))).await.json();
    assert_eq!(cart["items"][0]["quantity"], 2);
    // It is listed as a session like the others, and is no refresh token.
    let listed = shop.send(get("/v1/me/sessions").header("Cookie", &cookie)).await.json();
    assert_eq!((listed["data"].as_array().unwrap().len(), &listed["data"][0]["current"]), (2, &json!(true)));
    shop.send(crate::members::refresh(&json!(secret))).await.problem(401, "invalid_refresh_token");
    shop.send(get("/v1/me").bearer(&secret)).await.problem(401, "unauthenticated");

    let logout = ask(Method::POST, "/v1/auth/logout").header("Cookie", &cookie).header("Origin", ORIGIN);
    let out = shop.send(logout).await;
    assert_eq!(out.status, 204);
    let cleared = out.header("set-cookie").unwrap();
    assert!(cleared.starts_with("__Host-commerce_session=;") && cleared.contains("Max-Age=0"), "{cleared}");
    // A browser that keeps it nevertheless is refused, and told again to forget it; the token's session goes on.
    let late = shop.send(get("/v1/me").header("Cookie", &cookie)).await;
    late.problem(401, "unauthenticated");
    assert!(late.header("set-cookie").unwrap().contains("Max-Age=0"));
    let guest = get("/v1/cart").header("Cookie", "__Host-commerce_session=nonsense");
    shop.send(guest).await.problem(401, "unauthenticated");
    assert_eq!(me(&shop, &tokens).await.status, 200);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_login_of_a_browser_ends_the_one_before() {
    let shop = TestShop::new().await;
    member(&shop).await;
    let first = cookie(&shop).await;
    let elsewhere = cookie(&shop).await;
    let got = shop.send(login_by_cookie().header("Origin", ORIGIN).header("Cookie", &first)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    let second = sent_back(&got);
    let status = async |cookie: &str| shop.send(get("/v1/me").header("Cookie", cookie)).await.status.as_u16();
    assert_eq!((status(&first).await, status(&second).await, status(&elsewhere).await), (401, 200, 200));
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_keeps_of_one_user_is_not_shown_to_the_next() {
    let shop = TestShop::new().await;
    let (_, ada) = shop.login(Role::Customer).await;
    let (_, eve) = shop.login(Role::Customer).await;
    let own = shop.send(get("/v1/me").bearer(&ada)).await;
    let tag = own.header("etag").unwrap();
    assert_eq!(shop.send(get("/v1/me").bearer(&ada).header("If-None-Match", tag)).await.status, 304);
    assert_eq!(shop.send(get("/v1/me").bearer(&eve).header("If-None-Match", tag)).await.status, 200);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_can_change_nothing_with_the_cookie() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let cookie = cookie(&shop).await;
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://api.shop.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Referer", ORIGIN),
    ] {
        shop.send(rename(&cookie, "Eve").header(name, value)).await.problem(403, "cross_origin");
        let variant = json!({ "variant_id": uuid::Uuid::now_v7(), "quantity": 1 });
        let add = post("/v1/cart/items", &variant).header("Cookie", &cookie).header(name, value);
        shop.send(add).await.problem(403, "cross_origin");
        let out = ask(Method::POST, "/v1/auth/logout").header("Cookie", &cookie).header(name, value);
        shop.send(out).await.problem(403, "cross_origin");
        // Nor log somebody in to another account than they believe.
        shop.send(login_by_cookie().header(name, value)).await.problem(403, "cross_origin");
    }
    shop.send(rename(&cookie, "Eve")).await.problem(403, "cross_origin");
    shop.send(login_by_cookie()).await.problem(403, "cross_origin");
    let own =
        shop.send(get("/v1/me").header("Cookie", &cookie).header("Origin", "https://evil.example")).await;
    assert_eq!((own.status.as_u16(), &own.json()["display_name"]), (200, &json!("Ada")));
    assert_eq!(own.header("access-control-allow-origin"), None);
    assert_eq!(own.header("access-control-allow-credentials"), None);

    // From a listed origin, with the browser's leave to send cookies; and by the browser's own word.
    let listed = shop.send(rename(&cookie, "Ada B.").header("Origin", "https://shop.example")).await;
    assert_eq!(
        (listed.status.as_u16(), listed.header("access-control-allow-credentials")),
        (200, Some("true"))
    );
    assert_eq!(
        shop.send(rename(&cookie, "Ada C.").header("Sec-Fetch-Site", "same-origin")).await.status,
        200
    );
    // A token is no cookie: no browser adds it by itself.
    let by_token = rename(&cookie, "Ada D.").bearer(access(&tokens)).header("Origin", "https://evil.example");
    assert_eq!(shop.send(by_token).await.status, 200);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_shut_out_is_out_within_two_seconds_by_cookie_too() {
    let shop = TestShop::new().await;
    member(&shop).await;
    for ending in [
        "UPDATE commerce.users SET disabled_at = commerce.clock()",
        "UPDATE commerce.sessions SET revoked_at = commerce.clock()",
        "UPDATE commerce.users SET deleted_at = commerce.clock()",
    ] {
        let allow = "UPDATE commerce.users SET disabled_at = NULL, deleted_at = NULL";
        shop.database.conn().await.batch_execute(allow).await.unwrap();
        let cookie = cookie(&shop).await;
        let me = async || shop.send(get("/v1/me").header("Cookie", &cookie)).await;
        assert_eq!(me().await.status, 200);
        shop.database.conn().await.batch_execute(ending).await.unwrap();
        let ended = Instant::now();
        while me().await.status == 200 {
            assert!(ended.elapsed() < Duration::from_millis(2500), "still in after {:?}", ended.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        me().await.problem(401, "unauthenticated");
    }
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_lasts_while_it_is_used_and_ends_with_a_new_password() {
    let shop = TestShop::new().await;
    member(&shop).await;
    let cookie = cookie(&shop).await;
    let user: Value = shop.send(get("/v1/me").header("Cookie", &cookie)).await.json();
    let user = commerce_core::ids::UserId(user["id"].as_str().unwrap().parse().unwrap());
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    for used_at in [20, 40, 60] {
        shop.database.shift_clock(days(used_at)).await;
        shop.state.sessions.forget_user(user);
        let got = shop.send(get("/v1/me").header("Cookie", &cookie)).await;
        assert_eq!(got.status, 200, "day {used_at}: {}", got.text);
    }
    let elsewhere = logged_in(&shop, EMAIL, PASSWORD).await;
    let change = json!({ "old_password": PASSWORD, "new_password": NEW_PASSWORD });
    let change = post("/v1/auth/password/change", &change).bearer(access(&elsewhere));
    assert_eq!(shop.send(change).await.status, 204);
    shop.send(get("/v1/me").header("Cookie", &cookie)).await.problem(401, "unauthenticated");
    shop.database.finish().await;
}
