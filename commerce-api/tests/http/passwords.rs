//! A password forgotten and set anew, or changed; and what attackers try there.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::members::{
    EMAIL, NEW_PASSWORD, PASSWORD, access, code, code_in, forgot, logged_in, login, me, member, refresh,
    register, reset_by_code, reset_by_token, reset_token, told, verify, wrong,
};
use crate::shop::{Ask, TestShop, get, post};

const RESET: &str = "password_reset";

fn change(tokens: &Value, old: &str, new: &str) -> Ask {
    let body = json!({ "old_password": old, "new_password": new });
    post("/v1/auth/password/change", &body).bearer(access(tokens))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_anew_by_the_mailed_link_once() {
    let shop = TestShop::new().await;
    let (phone, laptop) = (member(&shop).await, logged_in(&shop, EMAIL, PASSWORD).await);
    assert_eq!(me(&shop, &phone).await.status, 200);
    let unknown = shop.send(forgot("nobody@example.com")).await;
    let known = shop.send(forgot("ADA@example.com")).await;
    assert_eq!((known.status.as_u16(), &known.text), (202, &unknown.text));
    assert!(told(&shop, "nobody@example.com").await.is_empty());
    let (token, digits) = (reset_token(&shop, EMAIL).await, code_in(&shop, EMAIL, RESET).await);

    // A password that will not do costs nothing.
    for poor in ["Password123", EMAIL] {
        let got = shop.send(reset_by_token(&token, poor)).await;
        assert_eq!(got.problem(422, "validation_failed"), ["/new_password"]);
    }
    assert_eq!(shop.send(reset_by_token(&token, NEW_PASSWORD)).await.status, 204);
    // Link and code are one secret in two forms: both are used up.
    shop.send(reset_by_token(&token, PASSWORD)).await.problem(422, "invalid_reset_token");
    shop.send(reset_by_code(EMAIL, &digits, PASSWORD)).await.problem(422, "invalid_code");
    for tokens in [&phone, &laptop] {
        me(&shop, tokens).await.problem(401, "unauthenticated");
        shop.send(refresh(&tokens["refresh_token"])).await.problem(401, "invalid_refresh_token");
    }
    shop.send(login(EMAIL, PASSWORD)).await.problem(401, "invalid_credentials");
    logged_in(&shop, EMAIL, NEW_PASSWORD).await;
    assert_eq!(told(&shop, EMAIL).await, ["verify_email_code", "welcome", RESET, "password_changed"]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_set_anew_by_the_mailed_code_once() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    shop.send(forgot(EMAIL)).await;
    let (token, digits) = (reset_token(&shop, EMAIL).await, code_in(&shop, EMAIL, RESET).await);
    // A code for another purpose is none.
    let to_verify = code(&shop, EMAIL).await;
    if to_verify != digits {
        shop.send(reset_by_code(EMAIL, &to_verify, NEW_PASSWORD)).await.problem(422, "invalid_code");
    }
    assert_eq!(shop.send(reset_by_code(EMAIL, &digits, NEW_PASSWORD)).await.status, 204);
    shop.send(reset_by_code(EMAIL, &digits, PASSWORD)).await.problem(422, "invalid_code");
    shop.send(reset_by_token(&token, PASSWORD)).await.problem(422, "invalid_reset_token");
    me(&shop, &tokens).await.problem(401, "unauthenticated");
    logged_in(&shop, EMAIL, NEW_PASSWORD).await;
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_thirty_minutes_and_until_another_changed_the_password() {
    let shop = TestShop::new().await;
    member(&shop).await;
    shop.send(forgot(EMAIL)).await;
    let first = reset_token(&shop, EMAIL).await;
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    shop.database.shift_clock(minutes(29)).await;
    // The code beside it ran out after ten minutes.
    let digits = code_in(&shop, EMAIL, RESET).await;
    shop.send(reset_by_code(EMAIL, &digits, NEW_PASSWORD)).await.problem(422, "invalid_code");
    shop.send(forgot(EMAIL)).await;
    let second = reset_token(&shop, EMAIL).await;
    assert_ne!(first, second);
    // Either of two that are still good may come first; it ends the other.
    assert_eq!(shop.send(reset_by_token(&first, NEW_PASSWORD)).await.status, 204);
    shop.send(reset_by_token(&second, PASSWORD)).await.problem(422, "invalid_reset_token");
    shop.database.shift_clock(minutes(60)).await;
    shop.send(forgot(EMAIL)).await;
    let third = reset_token(&shop, EMAIL).await;
    shop.database.shift_clock(minutes(91)).await;
    shop.send(reset_by_token(&third, PASSWORD)).await.problem(422, "invalid_reset_token");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_about_a_forgotten_password_come_once_a_minute_and_six_times_an_hour() {
    let shop = TestShop::new().await;
    member(&shop).await;
    let resets = async || told(&shop, EMAIL).await.iter().filter(|template| *template == RESET).count();
    join_all((0..10).map(|_| shop.send(forgot(EMAIL)))).await;
    assert_eq!(resets().await, 1);
    for minutes in 1..=8u64 {
        shop.database.shift_clock(Duration::from_secs(minutes * 61)).await;
        shop.send(forgot(EMAIL)).await;
    }
    assert_eq!(resets().await, 6);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_have_an_end_for_the_day_and_links_go_on() {
    let shop = TestShop::new().await;
    member(&shop).await;
    for n in 0..12u64 {
        shop.database.shift_clock(Duration::from_secs(n * 11 * 60)).await;
        shop.send(forgot(EMAIL)).await;
    }
    let digits = code_in(&shop, EMAIL, RESET).await;
    shop.send(reset_by_code(EMAIL, &wrong(&digits), NEW_PASSWORD)).await.problem(422, "invalid_code");
    shop.database.shift_clock(Duration::from_secs(12 * 11 * 60)).await;
    shop.send(forgot(EMAIL)).await;
    let digits = code_in(&shop, EMAIL, RESET).await;
    shop.send(reset_by_code(EMAIL, &digits, NEW_PASSWORD)).await.problem(422, "invalid_code");
    let token = reset_token(&shop, EMAIL).await;
    assert_eq!(shop.send(reset_by_token(&token, NEW_PASSWORD)).await.status, 204);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_opens_what_strangers_guesses_had_closed() {
    let shop = TestShop::new().await;
    member(&shop).await;
    let mut guesses = 0;
    while shop.state.limits.count_guess(EMAIL, None).await.is_ok() {
        guesses += 1;
    }
    assert_eq!(guesses, 10);
    shop.send(login(EMAIL, PASSWORD)).await.problem(429, "rate_limited");
    shop.send(forgot(EMAIL)).await;
    let token = reset_token(&shop, EMAIL).await;
    assert_eq!(shop.send(reset_by_token(&token, NEW_PASSWORD)).await.status, 204);
    logged_in(&shop, EMAIL, NEW_PASSWORD).await;
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_sent_many_times_at_once_is_used_once() {
    let shop = TestShop::new().await;
    member(&shop).await;
    shop.send(forgot(EMAIL)).await;
    let token = reset_token(&shop, EMAIL).await;
    let passwords: Vec<String> = (0..8).map(|n| format!("staple battery {n} correct")).collect();
    let answers =
        join_all(passwords.iter().map(|password| shop.send(reset_by_token(&token, password)))).await;
    let done: Vec<&String> = answers
        .iter()
        .zip(&passwords)
        .filter_map(|(answer, password)| (answer.status == 204).then_some(password))
        .collect();
    assert_eq!(done.len(), 1, "{answers:?}");
    logged_in(&shop, EMAIL, done[0]).await;
    let changes = told(&shop, EMAIL).await.iter().filter(|template| *template == "password_changed").count();
    assert_eq!(changes, 1);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_has_no_way_back_by_a_forgotten_password() {
    use diesel_async::SimpleAsyncConnection as _;
    let shop = TestShop::new().await;
    member(&shop).await;
    shop.send(forgot(EMAIL)).await;
    let (token, digits) = (reset_token(&shop, EMAIL).await, code_in(&shop, EMAIL, RESET).await);
    let disable = "UPDATE commerce.users SET disabled_at = commerce.clock()";
    shop.database.conn().await.batch_execute(disable).await.unwrap();
    shop.send(reset_by_token(&token, NEW_PASSWORD)).await.problem(422, "invalid_reset_token");
    shop.send(reset_by_code(EMAIL, &digits, NEW_PASSWORD)).await.problem(422, "invalid_code");
    shop.database.shift_clock(Duration::from_secs(61)).await;
    shop.send(forgot(EMAIL)).await;
    assert_eq!(told(&shop, EMAIL).await.iter().filter(|template| *template == RESET).count(), 1);
    shop.send(login(EMAIL, PASSWORD)).await.problem(403, "account_disabled");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_the_mail_owns_the_address_so_a_reset_verifies_it() {
    let shop = TestShop::new().await;
    shop.send(register(EMAIL, "the password of a stranger")).await;
    shop.send(forgot(EMAIL)).await;
    let token = reset_token(&shop, EMAIL).await;
    let to_verify = code(&shop, EMAIL).await;
    assert_eq!(shop.send(reset_by_token(&token, PASSWORD)).await.status, 204);
    shop.send(verify(EMAIL, &to_verify)).await.problem(422, "invalid_code");
    logged_in(&shop, EMAIL, PASSWORD).await;
    shop.send(login(EMAIL, "the password of a stranger")).await.problem(401, "invalid_credentials");
    shop.database.finish().await;
}

/// 500 guesses at once, over sockets, at a code that was mailed: five are counted, then the right one is refused too.
async fn lock_by_guessing(
    purpose: &str,
    guess: impl Fn(&str) -> (&'static str, Value),
    code: &str,
    shop: &TestShop,
) {
    use crate::shop::listen;
    use diesel::{ExpressionMethods as _, QueryDsl as _};
    use diesel_async::RunQueryDsl as _;
    let server = listen(shop).await;
    let client = crate::webdriver::http_client();
    let send = async |code: &str| {
        let (path, body) = guess(code);
        let answer = client.post(format!("{}{path}", server.url)).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["code"].clone())
    };
    let wrong_code = wrong(code);
    let answers = join_all((0..500).map(|_| send(&wrong_code))).await;
    for answer in answers {
        assert_eq!(answer, (422, json!("invalid_code")));
    }
    use commerce_core::schema::one_time_codes;
    let attempts: Vec<i32> = one_time_codes::table
        .filter(one_time_codes::purpose.eq(purpose.to_owned()))
        .select(one_time_codes::attempts)
        .load(&mut shop.database.conn().await)
        .await
        .unwrap();
    assert_eq!(attempts, [5]);
    assert_eq!(send(code).await, (422, json!("invalid_code")));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_guesses_at_once_lock_a_code_for_verification() {
    let shop = TestShop::new().await;
    shop.send(register(EMAIL, PASSWORD)).await;
    let right = code(&shop, EMAIL).await;
    let guess = |code: &str| ("/v1/auth/verify-email", json!({ "email": EMAIL, "code": code }));
    lock_by_guessing("verify_email", guess, &right, &shop).await;
    shop.send(login(EMAIL, PASSWORD)).await.problem(403, "email_not_verified");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_guesses_at_once_lock_a_code_for_a_forgotten_password() {
    let shop = TestShop::new().await;
    member(&shop).await;
    shop.send(forgot(EMAIL)).await;
    let right = code_in(&shop, EMAIL, RESET).await;
    let guess = |code: &str| {
        ("/v1/auth/password/reset", json!({ "email": EMAIL, "code": code, "new_password": NEW_PASSWORD }))
    };
    lock_by_guessing("reset_password", guess, &right, &shop).await;
    logged_in(&shop, EMAIL, PASSWORD).await;
    // Who has the link need not guess.
    let token = reset_token(&shop, EMAIL).await;
    assert_eq!(shop.send(reset_by_token(&token, NEW_PASSWORD)).await.status, 204);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_ends_the_other_sessions_and_tells_the_owner() {
    let shop = TestShop::new().await;
    let (here, there) = (member(&shop).await, logged_in(&shop, EMAIL, PASSWORD).await);
    assert_eq!(me(&shop, &there).await.status, 200);
    shop.send(forgot(EMAIL)).await;
    let token = reset_token(&shop, EMAIL).await;
    shop.send(change(&here, "another password", NEW_PASSWORD)).await.problem(403, "wrong_password");
    for poor in ["Password123", EMAIL, "aaaaaaaaaaaa"] {
        let got = shop.send(change(&here, PASSWORD, poor)).await;
        assert_eq!(got.problem(422, "validation_failed"), ["/new_password"], "{poor}");
    }
    assert_eq!(me(&shop, &there).await.status, 200);
    assert_eq!(shop.send(change(&here, PASSWORD, NEW_PASSWORD)).await.status, 204);
    assert_eq!(me(&shop, &here).await.status, 200);
    assert_eq!(shop.send(refresh(&here["refresh_token"])).await.status, 200);
    me(&shop, &there).await.problem(401, "unauthenticated");
    shop.send(refresh(&there["refresh_token"])).await.problem(401, "invalid_refresh_token");
    shop.send(reset_by_token(&token, PASSWORD)).await.problem(422, "invalid_reset_token");
    shop.send(login(EMAIL, PASSWORD)).await.problem(401, "invalid_credentials");
    logged_in(&shop, EMAIL, NEW_PASSWORD).await;
    assert_eq!(told(&shop, EMAIL).await.last().unwrap(), "password_changed");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_changes_and_logins_at_once_none_keeps_a_session_of_the_old_password() {
    let shop = TestShop::new().await;
    let here = member(&shop).await;
    let logins = join_all((0..6).map(|_| shop.send(login(EMAIL, PASSWORD))));
    let changes = join_all((0..3).map(|n| {
        let new = format!("staple battery {n} correct");
        let ask = change(&here, PASSWORD, &new);
        let shop = &shop;
        async move { (shop.send(ask).await.status.as_u16(), new) }
    }));
    let (logins, changes) = futures_util::join!(logins, changes);
    let done: Vec<&String> =
        changes.iter().filter_map(|(status, new)| (*status == 204).then_some(new)).collect();
    assert_eq!(done.len(), 1, "{changes:?}");
    for other in changes.iter().filter(|(status, _)| *status != 204) {
        assert_eq!(other.0, 403);
    }
    // Logged in before the change and ended by it, or refused after it.
    for got in logins {
        match got.status.as_u16() {
            200 => drop(me(&shop, &got.json()).await.problem(401, "unauthenticated")),
            _ => drop(got.problem(401, "invalid_credentials")),
        }
    }
    assert_eq!(me(&shop, &here).await.status, 200);
    logged_in(&shop, EMAIL, done[0]).await;
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_needs_a_link_or_an_address_with_its_code() {
    let shop = TestShop::new().await;
    let cases: [(Value, &[&str]); 7] = [
        (json!({ "new_password": NEW_PASSWORD }), &["/token"]),
        (json!({ "token": "x", "code": "123456", "new_password": NEW_PASSWORD }), &["/token"]),
        (json!({ "token": "x", "email": EMAIL, "new_password": NEW_PASSWORD }), &["/token"]),
        (json!({ "email": EMAIL, "new_password": NEW_PASSWORD }), &["/code"]),
        (json!({ "code": "123456", "new_password": NEW_PASSWORD }), &["/email"]),
        (json!({ "token": "x", "new_password": "short" }), &["/new_password"]),
        (json!({ "token": "x" }), &["/new_password"]),
    ];
    for (body, pointers) in cases {
        let got = shop.send(post("/v1/auth/password/reset", &body)).await;
        assert_eq!(got.problem(422, "validation_failed"), pointers, "{body}");
    }
    shop.send(reset_by_token("x", NEW_PASSWORD)).await.problem(422, "invalid_reset_token");
    shop.send(reset_by_code("nobody@example.com", "123456", NEW_PASSWORD)).await.problem(422, "invalid_code");
    shop.send(reset_by_code("no address", "123456", NEW_PASSWORD)).await.problem(422, "invalid_code");
    let page = shop.send(get("/reset-password")).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("script-src 'unsafe"), "{policy}");
    shop.database.finish().await;
}
