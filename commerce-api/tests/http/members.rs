//! People with an account, and what they do with it: for the tests of identity.

use commerce_core::accounts::one_time_code::derive_code;
use commerce_core::accounts::{SecretKey, derive_reset_token};
use commerce_core::ids::CodeId;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use serde_json::{Value, json};

use crate::shop::{Ask, Got, SECRET, TestShop, get, post};

pub const EMAIL: &str = "ada@example.com";
pub const PASSWORD: &str = "correct horse battery";
pub const NEW_PASSWORD: &str = "staple battery correct";

pub fn register(email: &str, password: &str) -> Ask {
    post("/v1/auth/register", &json!({ "email": email, "password": password, "display_name": "Ada" }))
}

pub fn verify(email: &str, code: &str) -> Ask {
    post("/v1/auth/verify-email", &json!({ "email": email, "code": code }))
}

pub fn login(email: &str, password: &str) -> Ask {
    post("/v1/auth/login", &json!({ "email": email, "password": password }))
}

pub fn refresh(token: &Value) -> Ask {
    post("/v1/auth/refresh", &json!({ "refresh_token": token }))
}

pub fn forgot(email: &str) -> Ask {
    post("/v1/auth/password/forgot", &json!({ "email": email }))
}

pub fn reset_by_code(email: &str, code: &str, password: &str) -> Ask {
    post("/v1/auth/password/reset", &json!({ "email": email, "code": code, "new_password": password }))
}

pub fn reset_by_token(token: &str, password: &str) -> Ask {
    post("/v1/auth/password/reset", &json!({ "token": token, "new_password": password }))
}

/// Templates and data of the mails to an address, oldest first.
pub async fn mails(shop: &TestShop, to: &str) -> Vec<(String, Value)> {
    use commerce_core::schema::emails;
    emails::table
        .filter(emails::recipient.eq(to))
        .order(emails::id)
        .select((emails::template, emails::data))
        .load(&mut shop.database.conn().await)
        .await
        .unwrap()
}

/// The templates of the mails to an address, oldest first.
pub async fn told(shop: &TestShop, to: &str) -> Vec<String> {
    mails(shop, to).await.into_iter().map(|mail| mail.0).collect()
}

async fn mailed_code(shop: &TestShop, to: &str, template: &str) -> CodeId {
    let mails = mails(shop, to).await;
    let (_, data) = mails.iter().rfind(|mail| mail.0 == template).expect("such a mail was sent");
    data["code_id"].as_str().unwrap().parse().unwrap()
}

/// The six digits in the newest mail of this kind.
pub async fn code_in(shop: &TestShop, to: &str, template: &str) -> String {
    derive_code(&SecretKey::parse(SECRET).unwrap(), mailed_code(shop, to, template).await)
}

/// The six digits that verify an address.
pub async fn code(shop: &TestShop, to: &str) -> String {
    code_in(shop, to, "verify_email_code").await
}

/// What the link in the newest mail about a forgotten password carries.
pub async fn reset_token(shop: &TestShop, to: &str) -> String {
    derive_reset_token(&SecretKey::parse(SECRET).unwrap(), mailed_code(shop, to, "password_reset").await)
}

/// Another code than this one.
pub fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

/// Registers, verifies and logs in; returns the answer of the login.
pub async fn member(shop: &TestShop) -> Value {
    member_called(shop, EMAIL).await
}

/// As [`member`], with another address.
pub async fn member_called(shop: &TestShop, email: &str) -> Value {
    assert_eq!(shop.send(register(email, PASSWORD)).await.status, 202);
    let right = code(shop, email).await;
    assert_eq!(shop.send(verify(email, &right)).await.status, 204);
    logged_in(shop, email, PASSWORD).await
}

/// The tokens of a new login.
pub async fn logged_in(shop: &TestShop, email: &str, password: &str) -> Value {
    let got = shop.send(login(email, password)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    got.json()
}

/// The access token of a login.
pub fn access(tokens: &Value) -> &str {
    tokens["access_token"].as_str().unwrap()
}

pub async fn me(shop: &TestShop, tokens: &Value) -> Got {
    shop.send(get("/v1/me").bearer(access(tokens))).await
}
