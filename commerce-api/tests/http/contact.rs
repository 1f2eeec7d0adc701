//! Messages to the shop, over HTTP.

use commerce_core::accounts::Role;
use commerce_core::schema::contact_messages;
use diesel::QueryDsl as _;
use diesel_async::RunQueryDsl as _;
use poem::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{TestShop, ask, get, post};

/// So many seconds ago.
fn ago(seconds: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now() - chrono::TimeDelta::seconds(seconds)
}

fn message(name: &str, text: &str) -> Value {
    json!({ "name": name, "email": "ada@example.com", "phone": "+44 20 7946 0018", "message": text,
            "opened_at": ago(5) })
}

async fn stored(shop: &TestShop) -> i64 {
    contact_messages::table.count().get_result(&mut shop.database.conn().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_writes_and_staff_find_handle_and_delete() {
    let shop = TestShop::new().await;
    let (_, support) = shop.login(Role::Support).await;
    for (name, text) in [("Ada", "Is it wool?"), ("Bob", "Where is my parcel?"), ("Cem", "Wool, please.")] {
        let sent = shop.send(post("/v1/contact-messages", &message(name, text))).await;
        assert_eq!(sent.status, 201, "{}", sent.text);
        assert!(sent.json().get("message").is_none(), "{}", sent.text);
    }
    let list = async |query: &str| -> Vec<Value> {
        let (mut found, mut path) = (Vec::new(), format!("/v1/contact-messages?limit=1{query}"));
        loop {
            let page = shop.send(get(&path).bearer(&support)).await;
            assert_eq!(page.status, 200, "{}", page.text);
            found.extend(page.json()["data"].as_array().unwrap().clone());
            let Some(cursor) = page.json()["next_cursor"].as_str().map(str::to_owned) else { return found };
            assert!(page.header("link").is_some_and(|link| link.contains("rel=\"next\"")));
            path = format!("/v1/contact-messages?limit=1{query}&cursor={cursor}");
        }
    };
    let names = async |query: &str| -> Vec<Value> {
        list(query).await.into_iter().map(|message| message["name"].clone()).collect()
    };
    assert_eq!(names("").await, ["Cem", "Bob", "Ada"]);
    assert_eq!(names("&q=wool&sort=created_at").await, ["Ada", "Cem"]);
    assert_eq!(names("&q=bo").await, ["Bob"]);
    assert_eq!(names("&q=7946%200018").await.len(), 3);

    let bob = list("&q=parcel").await.remove(0);
    let path = format!("/v1/contact-messages/{}", bob["id"].as_str().unwrap());
    let etag = shop.send(get(&path).bearer(&support)).await.header("etag").unwrap().to_owned();
    let handle =
        ask(Method::PATCH, &path).json(&json!({ "handled": true, "note": "sent the link" })).bearer(&support);
    let handled = shop.send(handle.clone().header("If-Match", &etag)).await;
    assert_eq!(handled.status, 200, "{}", handled.text);
    assert_eq!(
        (&handled.json()["handled"], &handled.json()["note"]),
        (&json!(true), &json!("sent the link"))
    );
    shop.send(handle.header("If-Match", &etag)).await.problem(412, "version_mismatch");
    assert_eq!(names("&handled=false").await, ["Cem", "Ada"]);
    let delete = ask(Method::DELETE, &path).bearer(&support);
    assert_eq!(shop.send(delete.clone()).await.status, 204);
    shop.send(delete).await.problem(404, "not_found");

    // The audit log knows who read and wrote, and not what was written.
    let (_, admin) = shop.login(Role::Admin).await;
    let log = shop.send(get("/v1/admin/audit-log?limit=100").bearer(&admin)).await;
    assert!(
        log.text.contains("update_contact_message") && log.text.contains("/v1/contact-messages"),
        "{}",
        log.text
    );
    for secret in ["parcel", "sent the link", "ada@example.com"] {
        assert!(!log.text.contains(secret), "{secret}: {}", log.text);
    }
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_fill_in_everything_at_once_get_nowhere() {
    let shop = TestShop::new().await;
    let mut trapped = message("Bot", "Buy now");
    trapped["website"] = json!("https://spam.example");
    let answer = shop.send(post("/v1/contact-messages", &trapped)).await;
    // It looks like success.
    assert_eq!(answer.status, 201);
    assert!(answer.json()["id"].as_str().unwrap().parse::<Uuid>().is_ok());
    let mut hasty = message("Bot", "Buy now");
    // In no time, in the future, longer than anybody takes, and by a program that leaves it out.
    for opened_at in [json!(ago(0)), json!(ago(-3600)), json!(ago(25 * 3600)), Value::Null] {
        hasty["opened_at"] = opened_at;
        if hasty["opened_at"].is_null() {
            hasty.as_object_mut().unwrap().remove("opened_at");
        }
        let refused = shop.send(post("/v1/contact-messages", &hasty)).await;
        assert_eq!(refused.problem(422, "validation_failed"), ["/opened_at"]);
    }
    assert_eq!(stored(&shop).await, 0);
    hasty["opened_at"] = json!(ago(5));
    hasty["website"] = json!("");
    assert_eq!(shop.send(post("/v1/contact-messages", &hasty)).await.status, 201);
    for (field, wrong) in [
        ("email", json!("a@b.example\r\nBcc: c@d.example")),
        ("name", json!(" ")),
        ("message", json!("x".repeat(5001))),
        ("phone", json!("call me")),
    ] {
        let mut body = message("Ada", "Hello");
        body[field] = wrong;
        let pointers = shop.send(post("/v1/contact-messages", &body)).await.problem(422, "validation_failed");
        assert_eq!(pointers, [format!("/{field}")]);
    }
    assert_eq!(stored(&shop).await, 1);
    shop.database.finish().await;
}
