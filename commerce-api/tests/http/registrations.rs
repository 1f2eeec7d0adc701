//! Registering: who hears what, and whose password an address gets.

use std::time::Duration;

use commerce_core::schema;
use diesel::{ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use futures_util::future::join_all;
use serde_json::json;

use crate::members::{
    EMAIL, NEW_PASSWORD, PASSWORD, access, code, code_in, forgot, logged_in, login, mails, member,
    member_called, register, reset_by_code, reset_by_token, reset_token, told, verify,
};
use crate::processes::{commerce_api, serve};
use crate::shop::{TestShop, post};
use crate::webdriver::http_client;

#[tokio::test(flavor = "multi_thread")]
async fn registering_tells_nobody_who_has_an_account() {
    let shop = TestShop::new().await;
    let fresh = shop.send(register(EMAIL, PASSWORD)).await;
    // A minute has not passed: nothing changes, and no second mail bothers the owner.
    let too_soon = shop.send(register(EMAIL, PASSWORD)).await;
    let right = code(&shop, EMAIL).await;
    assert_eq!(mails(&shop, EMAIL).await.len(), 1);
    assert_eq!(shop.send(verify(EMAIL, &right)).await.status, 204);
    assert_eq!(shop.send(login(EMAIL, PASSWORD)).await.status, 200);
    shop.database.shift_clock(Duration::from_secs(61)).await;
    let taken = shop.send(register(EMAIL, STRANGERS)).await;
    let resend = |email: &str| post("/v1/auth/resend-code", &json!({ "email": email }));
    let resent = [shop.send(resend(EMAIL)).await, shop.send(resend("nobody@example.com")).await];
    for other in [&too_soon, &taken, &resent[0], &resent[1]] {
        assert_eq!((other.status, &other.text), (fresh.status, &fresh.text));
    }
    assert_eq!(told(&shop, EMAIL).await, ["verify_email_code", "welcome", "account_exists"]);
    assert!(mails(&shop, "nobody@example.com").await.is_empty());
    assert_eq!(shop.send(login(EMAIL, PASSWORD)).await.status, 200);
    shop.send(login("nobody@example.com", PASSWORD)).await.problem(401, "invalid_credentials");
    shop.send(login("no address", PASSWORD)).await.problem(401, "invalid_credentials");
    shop.database.finish().await;
}

/// Who registers and logs in hears the same whether or not the address had an account, also the second and the third time.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_after_registering_tells_nobody_who_has_an_account() {
    let shop = TestShop::new().await;
    for email in [EMAIL, "disabled@example.com"] {
        member_called(&shop, email).await;
    }
    shop.send(register("pending@example.com", PASSWORD)).await;
    let disable =
        diesel::update(schema::users::table.filter(schema::users::email.eq("disabled@example.com")));
    let disable = disable.set(schema::users::disabled_at.eq(commerce_core::db::clock().nullable()));
    disable.execute(&mut shop.database.conn().await).await.unwrap();
    shop.database.shift_clock(Duration::from_secs(61)).await;
    let emails = [EMAIL, "disabled@example.com", "pending@example.com", "nobody@example.com"];
    // What is sent, and after how many seconds; a code sent in between must make no difference either.
    let (first, second, third) =
        ("the first of a stranger", "the second of a stranger", "the third of a stranger");
    let mut heard = vec![Vec::new(); emails.len()];
    for (at, asked, tried) in [
        (61, None, first),
        (61, Some(first), first),
        (91, Some(second), second),
        (91, None, first),
        (125, None, "resend"),
        (130, Some(third), third),
        (130, None, second),
        (130, None, first),
    ] {
        shop.database.shift_clock(Duration::from_secs(at)).await;
        for (email, heard) in emails.iter().zip(&mut heard) {
            if let Some(password) = asked {
                assert_eq!(shop.send(register(email, password)).await.status, 202);
            }
            let ask = match tried {
                "resend" => post("/v1/auth/resend-code", &json!({ "email": email })),
                password => login(email, password),
            };
            let got = shop.send(ask.header("X-Request-Id", "same")).await;
            heard.push((got.status.as_u16(), got.text));
        }
    }
    let statuses: Vec<u16> = heard[0].iter().map(|heard| heard.0).collect();
    assert_eq!(statuses, [401, 403, 401, 403, 202, 403, 401, 401]);
    for other in &heard[1..] {
        assert_eq!(*other, heard[0]);
    }
    // The owner is not kept out, and another password ends it.
    let tokens = logged_in(&shop, EMAIL, PASSWORD).await;
    let change = json!({ "old_password": PASSWORD, "new_password": NEW_PASSWORD });
    let change = post("/v1/auth/password/change", &change).bearer(access(&tokens));
    assert_eq!(shop.send(change).await.status, 204);
    shop.send(login(EMAIL, third)).await.problem(401, "invalid_credentials");
    shop.database.finish().await;
}

const STRANGERS: &str = "the password of a stranger";

/// The code proves the mailbox, not whose password it confirms: of two, neither is kept, whoever was first.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_registered_with_two_passwords_keeps_neither() {
    for (first, second, after) in
        [(STRANGERS, PASSWORD, 61), (STRANGERS, PASSWORD, 5), (PASSWORD, STRANGERS, 5)]
    {
        let shop = TestShop::new().await;
        let named =
            json!({ "email": EMAIL, "password": first, "display_name": "Win at https://evil.example" });
        shop.send(post("/v1/auth/register", &named)).await;
        shop.database.shift_clock(Duration::from_secs(after)).await;
        shop.send(register(EMAIL, second)).await;
        assert_eq!(mails(&shop, EMAIL).await.len(), if after > 60 { 2 } else { 1 });
        let kept = if after > 60 { second } else { first };
        shop.send(login(EMAIL, kept)).await.problem(403, "email_not_verified");
        // Somebody has asked for as many codes as there are: the owner gets one nevertheless.
        for minutes in 2..9 {
            shop.database.shift_clock(Duration::from_secs(minutes * 61)).await;
            shop.send(forgot(EMAIL)).await;
        }
        shop.send(post("/v1/auth/resend-code", &json!({ "email": EMAIL }))).await;
        let right = code(&shop, EMAIL).await;
        assert_eq!(shop.send(verify(EMAIL, &right)).await.status, 204);
        for password in [first, second] {
            shop.send(login(EMAIL, password)).await.problem(401, "invalid_credentials");
        }
        let told = told(&shop, EMAIL).await;
        assert_eq!(told[told.len() - 2..], ["welcome", "set_password"]);
        let digits = code_in(&shop, EMAIL, "set_password").await;
        assert_eq!(shop.send(reset_by_code(EMAIL, &digits, NEW_PASSWORD)).await.status, 204);
        let tokens = logged_in(&shop, EMAIL, NEW_PASSWORD).await;
        assert_eq!(tokens["user"]["display_name"], "ada");
        for password in [first, second] {
            shop.send(login(EMAIL, password)).await.problem(401, "invalid_credentials");
        }
        shop.database.finish().await;
    }
}

/// Who keeps an address's owner from registering does not get the account that the owner then verifies.
#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_turned_away_contests_the_one_before() {
    let shop = TestShop::new().await;
    let (_server, limited) = serve(commerce_api(shop.database.url())).await;
    let register = async |password: &str| {
        let body = json!({ "email": EMAIL, "password": password, "display_name": "Ada" });
        let sent = http_client().post(format!("{limited}/v1/auth/register")).json(&body).send();
        sent.await.unwrap().status().as_u16()
    };
    // The stranger uses up the limit, and the owner comes too late.
    while register(STRANGERS).await == 202 {}
    let contested = schema::users::table.select(schema::users::contested);
    diesel::update(schema::users::table)
        .set(schema::users::contested.eq(false))
        .execute(&mut shop.database.conn().await)
        .await
        .unwrap();
    assert_eq!(register(PASSWORD).await, 429);
    assert!(contested.first::<bool>(&mut shop.database.conn().await).await.unwrap());
    let right = code(&shop, EMAIL).await;
    assert_eq!(shop.send(verify(EMAIL, &right)).await.status, 204);
    for password in [STRANGERS, PASSWORD] {
        shop.send(login(EMAIL, password)).await.problem(401, "invalid_credentials");
    }
    shop.database.finish().await;
}

/// Whoever holds the account's row in the meantime: a registration is taken note of, so that the login after it tells nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_registration_waits_for_who_is_about_the_account() {
    let shop = TestShop::new().await;
    member(&shop).await;
    shop.database.shift_clock(Duration::from_secs(61)).await;
    let mut other = shop.database.conn().await;
    other.batch_execute("BEGIN; SELECT FROM commerce.users FOR NO KEY UPDATE").await.unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        other.batch_execute("ROLLBACK").await.unwrap();
    };
    let (registered, ()) = futures_util::join!(shop.send(register(EMAIL, STRANGERS)), release);
    assert_eq!(registered.status, 202);
    shop.send(login(EMAIL, STRANGERS)).await.problem(403, "email_not_verified");
    drop(other);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_again_with_the_same_password_keeps_it() {
    let shop = TestShop::new().await;
    // A double click, and more.
    let clicks = join_all((0..6).map(|_| shop.send(register(EMAIL, PASSWORD)))).await;
    assert!(clicks.iter().all(|click| click.status == 202), "{clicks:?}");
    assert_eq!(mails(&shop, EMAIL).await.len(), 1);
    shop.database.shift_clock(Duration::from_secs(61)).await;
    let clicks = join_all((0..6).map(|_| shop.send(register(EMAIL, PASSWORD)))).await;
    assert!(clicks.iter().all(|click| click.status == 202), "{clicks:?}");
    assert_eq!(mails(&shop, EMAIL).await.len(), 2);
    let right = code(&shop, EMAIL).await;
    assert_eq!(shop.send(verify(EMAIL, &right)).await.status, 204);
    logged_in(&shop, EMAIL, PASSWORD).await;
    assert_eq!(told(&shop, EMAIL).await, ["verify_email_code", "verify_email_code", "welcome"]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_registers_an_address_at_once_with_another_they_contest_it() {
    let shop = TestShop::new().await;
    for round in 0..8 {
        let email = format!("person{round}@example.com");
        let asks = (0..8).map(|n| shop.send(register(&email, if n == 5 { PASSWORD } else { STRANGERS })));
        let got = join_all(asks).await;
        assert!(got.iter().all(|got| got.status == 202), "{got:?}");
        let right = code(&shop, &email).await;
        assert_eq!(shop.send(verify(&email, &right)).await.status, 204);
        for password in [PASSWORD, STRANGERS] {
            shop.send(login(&email, password)).await.problem(401, "invalid_credentials");
        }
    }
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_verifies_and_welcomes_who_never_entered_the_code() {
    let shop = TestShop::new().await;
    shop.send(register(EMAIL, STRANGERS)).await;
    shop.send(register(EMAIL, PASSWORD)).await;
    shop.send(forgot(EMAIL)).await;
    let token = reset_token(&shop, EMAIL).await;
    let longest = "correct horse battery staple ".repeat(5).chars().take(128).collect::<String>();
    assert_eq!(shop.send(reset_by_token(&token, &format!("{longest}!"))).await.status, 422);
    assert_eq!(shop.send(reset_by_token(&token, &longest)).await.status, 204);
    logged_in(&shop, EMAIL, &longest).await;
    assert_eq!(
        told(&shop, EMAIL).await,
        ["verify_email_code", "password_reset", "welcome", "password_changed"]
    );
    shop.send(forgot(EMAIL)).await;
    shop.database.shift_clock(Duration::from_secs(61)).await;
    shop.send(forgot(EMAIL)).await;
    let token = reset_token(&shop, EMAIL).await;
    assert_eq!(shop.send(reset_by_token(&token, NEW_PASSWORD)).await.status, 204);
    let welcomes = told(&shop, EMAIL).await.iter().filter(|template| *template == "welcome").count();
    assert_eq!(welcomes, 1);
    shop.database.finish().await;
}
