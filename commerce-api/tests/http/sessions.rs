//! Where somebody is logged in: listed, ended, and out at once.

use std::time::{Duration, Instant};

use commerce_core::accounts::Role;
use commerce_core::ids::UserId;
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};

use crate::members::{EMAIL, PASSWORD, access, logged_in, login, me, member, member_called, refresh};
use crate::shop::{Ask, TestShop, ask, get};

async fn sessions(shop: &TestShop, tokens: &Value) -> Vec<Value> {
    let got = shop.send(get("/v1/me/sessions").bearer(access(tokens))).await;
    assert_eq!(got.status, 200, "{}", got.text);
    got.json()["data"].as_array().unwrap().clone()
}

fn end(tokens: &Value, id: &Value) -> Ask {
    ask(Method::DELETE, &format!("/v1/me/sessions/{}", id.as_str().unwrap())).bearer(access(tokens))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_sees_where_they_are_logged_in_and_ends_one() {
    let shop = TestShop::new().await;
    let here = member(&shop).await;
    let there = shop.send(login(EMAIL, PASSWORD).header("User-Agent", "Pocket Browser 3")).await.json();
    let eve = member_called(&shop, "eve@example.com").await;
    let listed = sessions(&shop, &here).await;
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0]["device"], &listed[0]["current"]), (&json!("Pocket Browser 3"), &json!(false)));
    assert_eq!(listed[1]["current"], true);
    let first = shop.send(get("/v1/me/sessions?limit=1").bearer(access(&here))).await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second =
        shop.send(get(&format!("/v1/me/sessions?limit=1&cursor={cursor}")).bearer(access(&here))).await;
    assert_eq!((&second.json()["data"][0], &second.json()["next_cursor"]), (&listed[1], &Value::Null));

    // Nobody else's, and nobody's.
    let id = &listed[0]["id"];
    shop.send(end(&eve, id)).await.problem(404, "not_found");
    shop.send(end(&here, &json!(uuid::Uuid::now_v7()))).await.problem(404, "not_found");
    assert_eq!(me(&shop, &there).await.status, 200);
    assert_eq!(shop.send(end(&here, id)).await.status, 204);
    me(&shop, &there).await.problem(401, "unauthenticated");
    shop.send(refresh(&there["refresh_token"])).await.problem(401, "invalid_refresh_token");
    shop.send(end(&here, id)).await.problem(404, "not_found");
    assert_eq!(sessions(&shop, &here).await.len(), 1);
    // The own one is ended the same way.
    assert_eq!(shop.send(end(&here, &listed[1]["id"])).await.status, 204);
    me(&shop, &here).await.problem(401, "unauthenticated");
    assert_eq!(sessions(&shop, &eve).await.len(), 1);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_is_kept_without_a_write_a_request() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let last_use = async || sessions(&shop, &tokens).await[0]["last_used_at"].as_str().unwrap().to_owned();
    let begun = last_use().await;
    shop.database.shift_clock(Duration::from_secs(59)).await;
    // As in a process that remembers nothing about the session.
    let user = UserId(tokens["user"]["id"].as_str().unwrap().parse().unwrap());
    shop.state.sessions.forget_user(user);
    assert_eq!(me(&shop, &tokens).await.status, 200);
    assert_eq!(last_use().await, begun, "written within a minute");
    shop.database.shift_clock(Duration::from_secs(5 * 60)).await;
    shop.state.sessions.forget_user(user);
    assert_eq!(me(&shop, &tokens).await.status, 200);
    assert_ne!(last_use().await, begun);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_shut_out_is_out_within_two_seconds_in_every_process() {
    let shop = TestShop::new().await;
    member(&shop).await;
    for ending in [
        "UPDATE commerce.users SET disabled_at = commerce.clock()",
        "UPDATE commerce.sessions SET revoked_at = commerce.clock()",
        "DELETE FROM commerce.sessions",
    ] {
        let allow = "UPDATE commerce.users SET disabled_at = NULL";
        shop.database.conn().await.batch_execute(allow).await.unwrap();
        let tokens = logged_in(&shop, EMAIL, PASSWORD).await;
        // Looked up just now, and remembered.
        assert_eq!(me(&shop, &tokens).await.status, 200);
        shop.database.conn().await.batch_execute(ending).await.unwrap();
        let ended = Instant::now();
        while me(&shop, &tokens).await.status == 200 {
            assert!(ended.elapsed() < Duration::from_millis(2500), "still in after {:?}", ended.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        me(&shop, &tokens).await.problem(401, "unauthenticated");
        shop.send(refresh(&tokens["refresh_token"])).await.problem(401, "invalid_refresh_token");
    }
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_exchanged_one_token_one_goes_on() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let exchange = async |token: &Value| shop.send(refresh(token)).await.json()["refresh_token"].clone();
    let (one, other) = (exchange(&tokens["refresh_token"]).await, exchange(&tokens["refresh_token"]).await);
    let next = exchange(&one).await;
    shop.send(refresh(&other)).await.problem(401, "invalid_refresh_token");
    assert_eq!(shop.send(refresh(&next)).await.status, 200);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_ninety_days_after_the_login_however_much_it_is_used() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let shop = TestShop::new().await;
    let mut token = member(&shop).await["refresh_token"].clone();
    for day in [29, 58, 87] {
        shop.database.shift_clock(DAY * day).await;
        let continued = shop.send(refresh(&token)).await;
        assert_eq!(continued.status, 200, "on day {day}");
        token = continued.json()["refresh_token"].clone();
    }
    shop.database.shift_clock(DAY * 91).await;
    shop.send(refresh(&token)).await.problem(401, "invalid_refresh_token");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_lets_nobody_in() {
    let shop = TestShop::new().await;
    for ending in [
        "UPDATE commerce.sessions SET revoked_at = commerce.clock()",
        "UPDATE commerce.sessions SET expires_at = commerce.clock() - interval '1 second', created_at = commerce.clock() - interval '1 day'",
        "UPDATE commerce.users SET disabled_at = commerce.clock()",
    ] {
        let (_, token) = shop.login(Role::Admin).await;
        shop.database.conn().await.batch_execute(ending).await.unwrap();
        let got = shop.send(get("/v1/me").bearer(&token)).await;
        got.problem(401, "unauthenticated");
    }
    shop.database.finish().await;
}
