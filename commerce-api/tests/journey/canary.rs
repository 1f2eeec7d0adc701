//! Secrets in logs: both programs at their most talkative, and nothing that opens a door among what they say.

use serde_json::{Value, json};

use crate::client::{Ask, address, get, post};
use crate::purchase::admin;
use crate::shop::Shop;

/// Words of a mail that open something: a code of six digits, a token.
fn secrets_of(mail: &str) -> Vec<String> {
    let words = mail.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    let opens =
        |word: &&str| (word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit())) || word.len() >= 32;
    words.filter(opens).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_code_or_token_is_in_the_logs() {
    let shop = Shop::open_with(|settings| settings.with("RUST_LOG", "debug")).await;
    let client = &shop.client;
    let staff = admin(&shop).await;
    let email = "canary@example.com";
    let (password, second, wrong) = ("canary-yellow-one", "canary-yellow-two", "canary-yellow-wrong");
    let mut secrets = vec![password, second, wrong, "a quiet corner of the shop"];
    let mut found: Vec<String> = vec![staff.clone()];

    let wish = json!({ "email": email, "password": password, "display_name": "Canary" });
    client.send(post("/v1/auth/register", &wish)).await.expect(202);
    let mail = shop.mail(email, "is your code for Corner Shop").await;
    let code = mail.subject().split(' ').next().unwrap().to_owned();
    assert_eq!(
        client.send(post("/v1/auth/verify-email", &json!({ "email": email, "code": code }))).await.status,
        204
    );
    found.push(code);

    let login = |password: &str| post("/v1/auth/login", &json!({ "email": email, "password": password }));
    client.send(login(wrong)).await.expect(401);
    let tokens = client.send(login(password)).await.expect(200);
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let refreshed = client.send(post("/v1/auth/refresh", &refresh)).await.expect(200);
    for held in [&tokens, &refreshed] {
        found.extend(["access_token", "refresh_token"].map(|name| held[name].as_str().unwrap().to_owned()));
    }

    client.send(post("/v1/auth/password/forgot", &json!({ "email": email }))).await.expect(202);
    let mail = shop.mail(email, "password").await;
    let mailed = secrets_of(&mail.text);
    let code = mailed.iter().find(|secret| secret.len() == 6).expect("a code in the mail");
    let reset = json!({ "email": email, "code": code, "new_password": second });
    assert_eq!(client.send(post("/v1/auth/password/reset", &reset)).await.status, 204);
    found.extend(mailed);

    // A browser that logs in, and moves the account to another address.
    let by_cookie = json!({ "email": email, "password": second, "mode": "cookie" });
    let session =
        client.send(post("/v1/auth/login", &by_cookie).header("sec-fetch-site", "same-origin")).await;
    assert_eq!(session.status, 200);
    let cookie = session.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let from_page = |ask: Ask| ask.header("cookie", &cookie).header("sec-fetch-site", "same-origin");
    let moved = "canary.moved@example.com";
    let change = json!({ "new_email": moved, "password": second });
    client.send(from_page(post("/v1/auth/email/change", &change))).await.expect(202);
    let mail = shop.mail(moved, "").await;
    let mailed = secrets_of(&format!("{} {}", mail.subject(), mail.text));
    let code = mailed.iter().find(|secret| secret.len() == 6).expect("a code in the mail");
    client.send(from_page(post("/v1/auth/email/confirm", &json!({ "code": code })))).await.expect(200);
    found.extend(mailed);
    found.push(cookie.split_once('=').unwrap().1.to_owned());

    // A guest's purchase, with a payment.
    let price = json!({ "amount": 900, "currency": "USD" });
    let product = json!({ "title": "Seed", "status": "active", "price": price, "stock": 3 });
    let product: Value = client.send(post("/v1/products", &product).bearer(&staff)).await.expect(201);
    let item = json!({ "variant_id": product["variants"][0]["id"], "quantity": 1 });
    let cart = client.send(post("/v1/cart/items", &item)).await.expect(200);
    let cart_token = cart["token"].as_str().unwrap();
    let order = json!({ "email": email, "shipping_address": address() });
    let order =
        client.send(post("/v1/orders/checkout", &order).cart(cart_token).key("checkout")).await.expect(201);
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let pay = json!({ "provider": "mock", "outcome": "succeed" });
    client.send(post(format!("{path}/pay"), &pay).cart(cart_token).key("pay")).await.expect(201);
    assert_eq!(client.send(get(&path).cart(cart_token)).await.expect(200)["status"], "paid");
    found.push(cart_token.to_owned());
    secrets.extend(found.iter().map(String::as_str));

    let logs = [shop.api.said(), shop.worker.said()];
    for log in &logs {
        assert!(log.iter().any(|line| line.contains("DEBUG")), "nothing was said at debug level");
        for secret in &secrets {
            let leak = log.iter().find(|line| contains(line, secret));
            assert!(leak.is_none(), "{secret} is in the logs: {leak:?}");
        }
    }
    shop.close().await;
}

/// Six digits are looked for as a word: they occur within ids and times as well.
fn contains(line: &str, secret: &str) -> bool {
    let around = |at: usize| {
        let before = line[..at].chars().next_back();
        let after = line[at + secret.len()..].chars().next();
        [before, after].into_iter().flatten().all(|c| !c.is_ascii_alphanumeric() && c != '.')
    };
    line.match_indices(secret).any(|(at, _)| secret.len() > 6 || around(at))
}
