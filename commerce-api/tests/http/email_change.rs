//! An account moves to another address.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::members::{
    EMAIL, NEW_PASSWORD, PASSWORD, access, code_in, forgot, logged_in, login, me, member, member_called,
    register, reset_by_token, reset_token, told, wrong,
};
use crate::shop::{Ask, TestShop, post};

const NEW: &str = "ada.king@example.com";
const CODE: &str = "email_change_code";

fn change(tokens: &Value, to: &str, password: &str) -> Ask {
    let body = json!({ "new_email": to, "password": password });
    post("/v1/auth/email/change", &body).bearer(access(tokens))
}

fn confirm(tokens: &Value, code: &str) -> Ask {
    post("/v1/auth/email/confirm", &json!({ "code": code })).bearer(access(tokens))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_moves_when_the_new_address_is_confirmed_and_the_old_one_is_told() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    shop.send(change(&tokens, NEW, "another password")).await.problem(403, "wrong_password");
    let got = shop.send(change(&tokens, "no address", PASSWORD)).await;
    assert_eq!(got.problem(422, "validation_failed"), ["/new_email"]);
    assert_eq!(shop.send(change(&tokens, "Ada.King@Example.com", PASSWORD)).await.status, 202);
    // Within a minute nothing more is sent, and the answer is the same.
    assert_eq!(shop.send(change(&tokens, NEW, PASSWORD)).await.status, 202);
    assert_eq!(told(&shop, NEW).await, [CODE]);
    assert_eq!(told(&shop, EMAIL).await, ["verify_email_code", "welcome", "email_change_requested"]);
    let digits = code_in(&shop, NEW, CODE).await;
    shop.send(forgot(EMAIL)).await;
    let token = reset_token(&shop, EMAIL).await;
    shop.send(confirm(&tokens, &wrong(&digits))).await.problem(422, "invalid_code");
    assert_eq!(me(&shop, &tokens).await.json()["email"], EMAIL);

    let eve = member_called(&shop, "eve@example.com").await;
    shop.send(confirm(&eve, &digits)).await.problem(422, "invalid_code");
    let moved = shop.send(confirm(&tokens, &digits)).await;
    assert_eq!((moved.status.as_u16(), &moved.json()["email"]), (200, &json!(NEW)));
    shop.send(confirm(&tokens, &digits)).await.problem(422, "invalid_code");
    // What went to the old address is of no use any more.
    shop.send(reset_by_token(&token, NEW_PASSWORD)).await.problem(422, "invalid_reset_token");
    shop.send(login(EMAIL, PASSWORD)).await.problem(401, "invalid_credentials");
    logged_in(&shop, NEW, PASSWORD).await;
    assert_eq!(told(&shop, EMAIL).await.last().unwrap(), "email_changed");
    // The old address is free.
    shop.database.shift_clock(Duration::from_secs(61)).await;
    member(&shop).await;
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_tells_whether_the_new_address_has_an_account() {
    let shop = TestShop::new().await;
    let (ada, eve) = (member(&shop).await, member_called(&shop, "eve@example.com").await);
    let free = shop.send(change(&eve, NEW, PASSWORD)).await;
    let taken = shop.send(change(&ada, "eve@example.com", PASSWORD)).await;
    assert_eq!((free.status, &free.text), (taken.status, &taken.text));
    // Her own mailbox tells her as little, and the owner learns of it.
    let notice = "email_change_requested";
    assert_eq!(told(&shop, EMAIL).await.last().unwrap(), notice);
    assert_eq!(
        told(&shop, "eve@example.com").await,
        ["verify_email_code", "welcome", notice, "account_exists"]
    );
    shop.send(confirm(&ada, "123456")).await.problem(422, "invalid_code");
    assert_eq!(me(&shop, &ada).await.json()["email"], EMAIL);
    shop.database.finish().await;
}

/// Whoever asks, the owner of an address that has an account is told of it at most once an hour.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_taken_address_is_not_flooded_by_many_who_want_it() {
    let shop = TestShop::new().await;
    member_called(&shop, "eve@example.com").await;
    for n in 0..3 {
        let other = member_called(&shop, &format!("person{n}@example.com")).await;
        assert_eq!(shop.send(change(&other, "eve@example.com", PASSWORD)).await.status, 202);
    }
    shop.send(register("eve@example.com", "the password of a stranger")).await;
    assert_eq!(told(&shop, "eve@example.com").await, ["verify_email_code", "welcome", "account_exists"]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_registered_an_address_does_not_keep_its_owner_from_it() {
    let shop = TestShop::new().await;
    let ada = member(&shop).await;
    shop.send(register(NEW, "the password of a stranger")).await;
    shop.send(change(&ada, NEW, PASSWORD)).await;
    let digits = code_in(&shop, NEW, CODE).await;
    assert_eq!(shop.send(confirm(&ada, &digits)).await.status, 200);
    shop.send(login(NEW, "the password of a stranger")).await.problem(401, "invalid_credentials");
    logged_in(&shop, NEW, PASSWORD).await;
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_move_to_one_address_at_once_one_does() {
    let shop = TestShop::new().await;
    let both = [member(&shop).await, member_called(&shop, "eve@example.com").await];
    let mut codes = Vec::new();
    for tokens in &both {
        assert_eq!(shop.send(change(tokens, NEW, PASSWORD)).await.status, 202);
        codes.push(code_in(&shop, NEW, CODE).await);
    }
    let answers =
        join_all(both.iter().zip(&codes).map(|(tokens, code)| shop.send(confirm(tokens, code)))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 422], "{answers:?}");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_a_change_of_address_and_guesses_lock_it() {
    let shop = TestShop::new().await;
    let ada = member(&shop).await;
    shop.send(change(&ada, NEW, PASSWORD)).await;
    let digits = code_in(&shop, NEW, CODE).await;
    let body = json!({ "old_password": PASSWORD, "new_password": NEW_PASSWORD });
    shop.send(post("/v1/auth/password/change", &body).bearer(access(&ada))).await;
    shop.send(confirm(&ada, &digits)).await.problem(422, "invalid_code");
    shop.database.shift_clock(Duration::from_secs(61)).await;
    shop.send(change(&ada, NEW, NEW_PASSWORD)).await;
    let digits = code_in(&shop, NEW, CODE).await;
    let wrong = wrong(&digits);
    let guesses = join_all((0..50).map(|_| shop.send(confirm(&ada, &wrong)))).await;
    guesses.iter().for_each(|guess| drop(guess.problem(422, "invalid_code")));
    shop.send(confirm(&ada, &digits)).await.problem(422, "invalid_code");
    shop.database.finish().await;
}
