//! A second factor, from its first code to its removal, as an authenticator app goes through it.

use std::time::Duration;

use commerce_core::accounts::Role;
use commerce_core::ids::UserId;
use data_encoding::BASE32_NOPAD;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use poem::http::Method;
use serde_json::{Value, json};
use sha1::Sha1;

use crate::members::{EMAIL, NEW_PASSWORD, PASSWORD, access, logged_in, login, me, member, told, wrong};
use crate::shop::{Ask, Got, ORIGIN, TestShop, ask, get, post};

const STEP: u64 = 30;

/// An authenticator app, which knows the secret and RFC 6238. Its clock is the shop's.
struct App {
    secret: Vec<u8>,
    /// How far the shop's clock is ahead.
    ahead: Duration,
}

impl App {
    fn new(base32: &str) -> Self {
        Self { secret: BASE32_NOPAD.decode(base32.as_bytes()).unwrap(), ahead: Duration::ZERO }
    }

    /// The code of the step that is so many after the present one.
    async fn code(&self, shop: &TestShop, later: i64) -> String {
        let now = commerce_core::db::current_time(&mut *shop.database.conn().await).await.unwrap();
        let step = now.timestamp() / STEP as i64 + later;
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.secret).unwrap();
        mac.update(&step.to_be_bytes());
        let digest = mac.finalize().into_bytes().to_vec();
        let at = usize::from(digest[19] & 15);
        let number = u32::from_be_bytes(digest[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }

    /// Waits for the beginning of a step, so many after the present one, so that none ends between two requests.
    async fn wait(&mut self, shop: &TestShop, steps: u64) {
        let now = commerce_core::db::current_time(&mut *shop.database.conn().await).await.unwrap();
        let into_step = now.timestamp().unsigned_abs() % STEP;
        self.ahead += Duration::from_secs(STEP * steps - into_step);
        shop.database.shift_clock(self.ahead).await;
    }
}

fn begin(token: &str, password: &str) -> Ask {
    post("/v1/me/second-factor", &json!({ "password": password })).bearer(token)
}

fn confirm(token: &str, code: &str) -> Ask {
    post("/v1/me/second-factor/confirm", &json!({ "code": code })).bearer(token)
}

fn remove(token: &str, password: &str, code: &str) -> Ask {
    let body = json!({ "password": password, "code": code });
    ask(Method::DELETE, "/v1/me/second-factor").json(&body).bearer(token)
}

fn login_with(code: &str) -> Ask {
    post("/v1/auth/login", &json!({ "email": EMAIL, "password": PASSWORD, "second_factor": code }))
}

fn recovery_codes(confirmed: &Got) -> Vec<String> {
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let codes = confirmed.json()["recovery_codes"].as_array().unwrap().clone();
    codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

/// Sets a second factor up, and waits until none of the codes so far is good any more.
async fn set_up(shop: &TestShop, token: &str) -> (App, Vec<String>) {
    let begun = shop.send(begin(token, PASSWORD)).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let mut app = App::new(begun.json()["secret"].as_str().unwrap());
    let confirmed = shop.send(confirm(token, &app.code(shop, 0).await)).await;
    app.wait(shop, 4).await;
    (app, recovery_codes(&confirmed))
}

async fn give_role(shop: &TestShop, role: Role) {
    let change = format!("UPDATE commerce.users SET role = '{role}' WHERE email = '{EMAIL}'");
    shop.database.conn().await.batch_execute(&change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_ask_for_a_code_once_an_app_has_shown_its_first() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let (token, other) = (access(&tokens), logged_in(&shop, EMAIL, PASSWORD).await);
    shop.send(begin(token, "another password")).await.problem(403, "wrong_password");
    shop.send(confirm(token, "123456")).await.problem(404, "not_found");
    let first = shop.send(begin(token, PASSWORD)).await.json();
    // Whoever begins again has another secret, and the first is of no use.
    let begun = shop.send(begin(token, PASSWORD)).await.json();
    assert_ne!(first["secret"], begun["secret"]);
    let secret = begun["secret"].as_str().unwrap();
    let uri = format!("otpauth://totp/api.shop.example:{EMAIL}?secret={secret}&issuer=api.shop.example");
    assert_eq!(begun["uri"], format!("{uri}&algorithm=SHA1&digits=6&period=30"));
    let mut app = App::new(secret);
    app.wait(&shop, 1).await;
    let stale = App::new(first["secret"].as_str().unwrap()).code(&shop, 0).await;
    shop.send(confirm(token, &stale)).await.problem(422, "invalid_code");
    // Nothing is asked for yet.
    assert_eq!(me(&shop, &tokens).await.json()["second_factor"], false);
    assert_eq!(shop.send(login(EMAIL, PASSWORD)).await.json()["user"]["second_factor"], false);

    let code = app.code(&shop, 0).await;
    let confirmed = shop.send(confirm(token, &format!("{} {}", &code[..3], &code[3..]))).await;
    assert_eq!(recovery_codes(&confirmed).len(), 10);
    assert_eq!(me(&shop, &tokens).await.json()["second_factor"], true);
    // The other devices had logged in without a code.
    me(&shop, &other).await.problem(401, "unauthenticated");
    shop.send(begin(token, PASSWORD)).await.problem(409, "second_factor_exists");
    shop.send(confirm(token, &app.code(&shop, 1).await)).await.problem(409, "second_factor_exists");
    assert_eq!(told(&shop, EMAIL).await.last().unwrap(), "second_factor_set_up");

    shop.send(login(EMAIL, PASSWORD)).await.problem(401, "second_factor_required");
    // The code that confirmed it was its only use.
    shop.send(login_with(&code)).await.problem(401, "invalid_second_factor");
    app.wait(&shop, 2).await;
    let code = app.code(&shop, 0).await;
    shop.send(login_with(&wrong(&code))).await.problem(401, "invalid_second_factor");
    let got = shop.send(login_with(&code)).await;
    assert_eq!((got.status.as_u16(), &got.json()["user"]["second_factor"]), (200, &json!(true)));
    shop.send(login_with(&code)).await.problem(401, "invalid_second_factor");
    let refreshed = shop.send(crate::members::refresh(&got.json()["refresh_token"])).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);

    // A browser is asked as well.
    app.wait(&shop, 2).await;
    let code = app.code(&shop, 0).await;
    let by_cookie = |code: Option<&str>| {
        let body = json!({ "email": EMAIL, "password": PASSWORD, "mode": "cookie", "second_factor": code });
        post("/v1/auth/login", &body).header("Origin", ORIGIN)
    };
    shop.send(by_cookie(None)).await.problem(401, "second_factor_required");
    let refused = shop.send(by_cookie(Some(&wrong(&code)))).await;
    refused.problem(401, "invalid_second_factor");
    assert_eq!(refused.header("set-cookie"), None);
    let got = shop.send(by_cookie(Some(&code))).await;
    assert!(got.status == 200 && got.header("set-cookie").is_some(), "{}", got.text);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_password_learns_of_the_second_factor() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let guess = |email: &str, code: Option<&str>| {
        let body = json!({ "email": email, "password": "wrong guess", "second_factor": code });
        post("/v1/auth/login", &body)
    };
    let (_, recovery) = set_up(&shop, access(&tokens)).await;
    let mut answers = Vec::new();
    for email in [EMAIL, "nobody@example.com"] {
        for code in [None, Some("123456"), Some(recovery[0].as_str())] {
            let got = shop.send(guess(email, code)).await;
            got.problem(401, "invalid_credentials");
            answers.push(got.json()["detail"].clone());
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    // A code that was shown with a wrong password is not used up.
    assert_eq!(shop.send(login_with(&recovery[0])).await.status, 200);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_a_step_early_or_late_and_once() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let (mut app, _) = set_up(&shop, access(&tokens)).await;
    for far in [-2, 2] {
        shop.send(login_with(&app.code(&shop, far).await)).await.problem(401, "invalid_second_factor");
    }
    for near in [-1, 0, 1] {
        let code = app.code(&shop, near).await;
        let answers = join_all((0..2).map(|_| shop.send(login_with(&code)))).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401], "{near}: {answers:?}");
    }
    // No code from before the last one is good any more.
    shop.send(login_with(&app.code(&shop, 0).await)).await.problem(401, "invalid_second_factor");
    app.wait(&shop, 2).await;
    assert_eq!(shop.send(login_with(&app.code(&shop, 0).await)).await.status, 200);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_is_good_once() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let (_, recovery) = set_up(&shop, access(&tokens)).await;
    let typed = recovery[0].to_lowercase().replace('-', " ");
    assert_eq!(shop.send(login_with(&typed)).await.status, 200);
    shop.send(login_with(&recovery[0])).await.problem(401, "invalid_second_factor");
    let at_once = join_all((0..4).map(|_| shop.send(login_with(&recovery[1])))).await;
    assert_eq!(at_once.iter().filter(|answer| answer.status == 200).count(), 1, "{at_once:?}");
    for code in &recovery[2..] {
        assert_eq!(shop.send(login_with(code)).await.status, 200);
    }
    shop.send(login_with(&recovery[9])).await.problem(401, "invalid_second_factor");
    shop.send(login_with("AAAA-AAAA-AAAA-AAAA")).await.problem(401, "invalid_second_factor");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_count_as_guesses_at_the_password_and_have_an_end() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let (app, recovery) = set_up(&shop, access(&tokens)).await;
    let right = app.code(&shop, 0).await;
    // Right passwords and codes cost nothing.
    for _ in 0..3 {
        shop.send(login(EMAIL, PASSWORD)).await.problem(401, "second_factor_required");
    }
    for _ in 0..5 {
        shop.send(login_with(&wrong(&right))).await.problem(401, "invalid_second_factor");
    }
    // Where a logged-in user is asked, the same guesses count.
    for _ in 0..15 {
        let got = shop.send(remove(access(&tokens), PASSWORD, &wrong(&right))).await;
        got.problem(422, "invalid_code");
    }
    shop.send(login_with(&right)).await.problem(429, "rate_limited");
    shop.send(remove(access(&tokens), PASSWORD, &right)).await.problem(429, "rate_limited");
    // Recovery codes are too long to be guessed, so the owner still gets in.
    assert_eq!(shop.send(login_with(&recovery[0])).await.status, 200);
    // Five wrong codes and one that came too late are six wrong passwords, of ten from one network.
    let mut left = 0;
    while shop.state.limits.count_guess(EMAIL, None).await.is_ok() {
        left += 1;
    }
    assert!((4..=5).contains(&left), "{left}");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_without_a_second_factor_can_only_set_one_up_if_the_shop_says_so() {
    let shop = TestShop::new().await;
    let strict = shop.with_second_factors_for_staff();
    let tokens = member(&shop).await;
    let token = access(&tokens);
    let list = || get("/v1/admin/users").bearer(token);
    let create = |title: &str| post("/v1/categories", &json!({ "title": title })).bearer(token);
    // Customers need none.
    assert_eq!(strict.send(get("/v1/me").bearer(token)).await.status, 200);
    strict.send(list()).await.problem(403, "permission_denied");
    for role in [Role::Support, Role::CatalogueManager, Role::Fulfilment, Role::Admin] {
        let (_, token) = shop.login(role).await;
        let read = strict.send(get("/v1/admin/products").bearer(&token)).await;
        read.problem(403, "second_factor_not_set_up");
        assert!(read.json()["detail"].as_str().unwrap().contains("POST /me/second-factor"), "{}", read.text);
        assert_eq!(strict.send(get("/v1/me").bearer(&token)).await.status, 200);
        assert_eq!(shop.send(get("/v1/admin/products").bearer(&token)).await.status, 200, "{role}");
    }
    give_role(&shop, Role::Admin).await;
    shop.state.sessions.forget_user(user(&tokens));
    let strict = shop.with_second_factors_for_staff();
    strict.send(list()).await.problem(403, "second_factor_not_set_up");
    strict.send(create("Mugs")).await.problem(403, "second_factor_not_set_up");
    // What staff see of the payments of others needs it as well.
    let world = crate::world::World::new(&shop).await;
    let payment = || get(&format!("/v1/payments/{}", world.customer.payment)).bearer(token);
    strict.send(payment()).await.problem(404, "not_found");

    let begun = strict.send(begin(token, PASSWORD)).await.json();
    strict.send(list()).await.problem(403, "second_factor_not_set_up");
    let mut app = App::new(begun["secret"].as_str().unwrap());
    recovery_codes(&strict.send(confirm(token, &app.code(&shop, 0).await)).await);
    assert_eq!(strict.send(list()).await.status, 200);
    assert_eq!(strict.send(create("Mugs")).await.status, 201);
    assert_eq!(strict.send(payment()).await.status, 200);
    app.wait(&shop, 3).await;
    assert_eq!(strict.send(remove(token, PASSWORD, &app.code(&shop, 0).await)).await.status, 204);
    strict.send(list()).await.problem(403, "second_factor_not_set_up");
    shop.database.finish().await;
}

fn user(tokens: &Value) -> UserId {
    tokens["user"]["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_removes_it_with_password_and_code() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let token = access(&tokens);
    shop.send(remove(token, PASSWORD, "123456")).await.problem(404, "not_found");
    let (app, recovery) = set_up(&shop, token).await;
    let code = app.code(&shop, 0).await;
    shop.send(remove(token, "another password", &code)).await.problem(403, "wrong_password");
    shop.send(remove(token, PASSWORD, &wrong(&code))).await.problem(422, "invalid_code");
    shop.send(remove(token, PASSWORD, "AAAA-AAAA-AAAA-AAAA")).await.problem(422, "invalid_code");
    assert_eq!(shop.send(remove(token, PASSWORD, &code)).await.status, 204);
    assert_eq!(told(&shop, EMAIL).await.last().unwrap(), "second_factor_removed");
    assert_eq!(me(&shop, &tokens).await.json()["second_factor"], false);
    logged_in(&shop, EMAIL, PASSWORD).await;
    // The former codes do not fit the next one.
    let (_, next) = set_up(&shop, token).await;
    shop.send(login_with(&recovery[0])).await.problem(401, "invalid_second_factor");
    assert_eq!(shop.send(remove(token, PASSWORD, &next[0])).await.status, 204);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_leaves_the_second_factor() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let (_, recovery) = set_up(&shop, access(&tokens)).await;
    shop.send(crate::members::forgot(EMAIL)).await;
    let reset = crate::members::reset_token(&shop, EMAIL).await;
    assert_eq!(shop.send(crate::members::reset_by_token(&reset, NEW_PASSWORD)).await.status, 204);
    shop.send(login(EMAIL, NEW_PASSWORD)).await.problem(401, "second_factor_required");
    let body = json!({ "email": EMAIL, "password": NEW_PASSWORD, "second_factor": recovery[0] });
    assert_eq!(shop.send(post("/v1/auth/login", &body)).await.status, 200);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_removes_that_of_a_user_who_lost_it() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    let (_, admin) = shop.login(Role::Admin).await;
    let (_, support) = shop.login(Role::Support).await;
    let path = format!("/v1/admin/users/{}/second-factor", user(&tokens));
    let remove = |token: &str| ask(Method::DELETE, &path).bearer(token);
    shop.send(remove(&admin)).await.problem(404, "not_found");
    set_up(&shop, access(&tokens)).await;
    let shown = async || shop.send(get(&format!("/v1/admin/users/{EMAIL}")).bearer(&admin)).await.json();
    assert_eq!(shown().await["second_factor"], true);
    shop.send(remove(&support)).await.problem(403, "permission_denied");
    assert_eq!(shop.send(remove(&admin)).await.status, 204);
    assert_eq!(shown().await["second_factor"], false);
    // Whoever found the phone may have a session on it.
    me(&shop, &tokens).await.problem(401, "unauthenticated");
    logged_in(&shop, EMAIL, PASSWORD).await;
    assert_eq!(told(&shop, EMAIL).await.last().unwrap(), "second_factor_removed");
    let log = "/v1/admin/audit-log?action=admin_remove_second_factor";
    let log = shop.send(get(log).bearer(&admin)).await.json();
    let entry = &log["data"][0];
    assert_eq!(
        (&entry["before"]["second_factor"], &entry["after"]["second_factor"]),
        (&json!(true), &json!(false))
    );
    shop.database.finish().await;
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_leaves_nothing_of_it() {
    let shop = TestShop::new().await;
    let tokens = member(&shop).await;
    set_up(&shop, access(&tokens)).await;
    let count = async || {
        let count = diesel::sql_query("SELECT count(*) FROM commerce.second_factors");
        count.get_result::<Count>(&mut shop.database.conn().await).await.unwrap().count
    };
    assert_eq!(count().await, 1);
    let body = json!({ "password": PASSWORD });
    let deleted = shop.send(ask(Method::DELETE, "/v1/me").json(&body).bearer(access(&tokens))).await;
    assert_eq!((deleted.status.as_u16(), count().await), (204, 0), "{}", deleted.text);
    shop.database.finish().await;
}
