//! Every operation of the spec, met with input that nobody should send: never a 5xx, always a problem document, and only
//! statuses that the spec declares.

use commerce_api::openapi;
use commerce_core::accounts::Role;
use poem::http::Method;
use serde_json::{Map, Value, json};

use crate::shop::{Ask, TestShop, ask};

struct Operation {
    method: Method,
    path: String,
    spec: Value,
}

/// The document with every operation in it.
fn operations() -> (Value, Vec<Operation>) {
    let document: Value = serde_json::from_str(&openapi::document().json()).unwrap();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, spec) in operations.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            found.push(Operation { method, path: format!("/v1{path}"), spec: spec.clone() });
        }
    }
    assert!(found.len() > 30, "the spec has lost its operations");
    (document, found)
}

impl Operation {
    fn parameters(&self, place: &str) -> Vec<&Value> {
        let all = self.spec["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|parameter| parameter["in"] == place).collect()
    }

    /// The path with this in the place of its parameters.
    fn filled(&self, with: &str) -> String {
        let parts = self.path.split('/').map(|part| if part.starts_with('{') { with } else { part });
        parts.collect::<Vec<_>>().join("/")
    }

    fn ask(&self, path: &str) -> Ask {
        let asked = ask(self.method.clone(), path);
        match self.parameters("header").iter().any(|header| header["name"] == "Idempotency-Key") {
            true => asked.header("Idempotency-Key", &uuid::Uuid::now_v7().to_string()),
            false => asked,
        }
    }

    fn body_media(&self) -> Option<(&str, &Value)> {
        let content = self.spec["requestBody"]["content"].as_object()?;
        content.iter().next().map(|(media_type, media)| (media_type.as_str(), media))
    }
}

const UNKNOWN_ID: &str = "01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b1e";

/// Sends it and holds the answer against the spec.
async fn send(shop: &TestShop, operation: &Operation, asked: Ask, faults: &mut Vec<String>) {
    let shown = format!("{asked:?}").chars().take(300).collect::<String>();
    let got = shop.send(asked).await;
    let status = got.status.as_u16();
    let declared = operation.spec["responses"].get(status.to_string());
    let is_problem = got.header("content-type") == Some("application/problem+json");
    let mut complain = |what: &str| faults.push(format!("{what}: {shown} -> {status} {}", got.text));
    if status >= 500 {
        complain("5xx");
    } else if status >= 400 && !is_problem {
        complain("no problem document");
    } else if declared.is_none() {
        complain("undeclared status");
    } else if status >= 400 && got.json()["detail"].as_str().is_none_or(str::is_empty) {
        complain("a problem without detail");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_or_query_makes_the_server_fail() {
    let shop = TestShop::new().await;
    let (_, admin) = shop.login(Role::Admin).await;
    let (_, operations) = operations();
    let mut faults = Vec::new();
    let long = "9".repeat(2000);
    let words = [
        "x",
        "-1",
        "0",
        "99999999999999999999",
        "1e400",
        "%00",
        "%FF",
        "%F0%9F%A6%80",
        "%27%3B--",
        "..%2F",
        &long,
    ];
    for operation in &operations {
        // Logging out would end the test's own session.
        if operation.spec["operationId"] == "logout" {
            continue;
        }
        for word in words.iter().filter(|_| operation.path.contains('{')) {
            send(&shop, operation, operation.ask(&operation.filled(word)).bearer(&admin), &mut faults).await;
        }
        for parameter in operation.parameters("query") {
            let name = parameter["name"].as_str().unwrap();
            for word in words {
                let path = format!("{}?{name}={word}", operation.filled(UNKNOWN_ID));
                send(&shop, operation, operation.ask(&path).bearer(&admin), &mut faults).await;
            }
        }
    }
    assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), &faults[..faults.len().min(15)]);
    shop.database.finish().await;
}

/// The schema that a value refers to.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(target) = schema["$ref"].as_str() {
        return document.pointer(target.trim_start_matches('#')).unwrap();
    }
    match schema["allOf"].as_array().and_then(|parts| parts.first()) {
        Some(part) => resolve(document, part),
        None => schema,
    }
}

/// Copies of an example in which one field after the other is something else, also in nested objects and arrays.
fn spoilt(document: &Value, schema: &Value, example: &Value) -> Vec<Value> {
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(18_446_744_073_709_551_615u64),
        json!(1e300),
        json!(""),
        json!("x".repeat(70_000)),
        json!("\0"),
        json!("\u{202e}🦀"),
        json!([null]),
        json!({ "\0": {} }),
    ];
    let schema = resolve(document, schema);
    let mut all = wrong.to_vec();
    if let (Some(properties), Some(fields)) = (schema["properties"].as_object(), example.as_object()) {
        let with = |name: &str, value: Option<Value>| {
            let mut changed: Map<String, Value> = fields.clone();
            match value {
                Some(value) => changed.insert(name.to_owned(), value),
                None => changed.remove(name),
            };
            Value::Object(changed)
        };
        for (name, property) in properties {
            all.push(with(name, None));
            let inner = fields.get(name).cloned().unwrap_or(Value::Null);
            all.extend(spoilt(document, property, &inner).into_iter().map(|value| with(name, Some(value))));
        }
        all.push(with("not_a_field", Some(json!(1))));
    }
    if let Some(first) = example.as_array().and_then(|items| items.first()) {
        let items = spoilt(document, &schema["items"], first);
        all.extend(items.into_iter().map(|item| json!([item])));
        all.push(Value::Array(vec![first.clone(); 2000]));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_makes_the_server_fail() {
    let shop = TestShop::new().await;
    let (_, admin) = shop.login(Role::Admin).await;
    let (document, operations) = operations();
    let mut faults = Vec::new();
    for operation in &operations {
        let Some((media_type, media)) = operation.body_media() else { continue };
        let path = operation.filled(UNKNOWN_ID);
        let with = |body: &str| operation.ask(&path).bearer(&admin).body(media_type, body);
        for body in ["", "{", "[", "nul", "\"", "\u{feff}{}", "{\"a\":1,}", "\\", "1 2"] {
            send(&shop, operation, with(body), &mut faults).await;
        }
        send(&shop, operation, with(&format!("{}{}", "[".repeat(50_000), "]".repeat(50_000))), &mut faults)
            .await;
        send(&shop, operation, operation.ask(&path).bearer(&admin), &mut faults).await;
        send(&shop, operation, operation.ask(&path).bearer(&admin).body("text/plain", "{}"), &mut faults)
            .await;
        let example = &media["example"];
        for body in spoilt(&document, &media["schema"], example) {
            send(&shop, operation, with(&body.to_string()), &mut faults).await;
        }
    }
    assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), &faults[..faults.len().min(15)]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_past_the_permission_that_the_spec_names() {
    let shop = TestShop::new().await;
    let (_, customer) = shop.login(Role::Customer).await;
    let (_, operations) = operations();
    let mut guarded = 0;
    for operation in &operations {
        let path = operation.filled("not-an-id");
        let secured = operation.spec["security"].as_array();
        let optional = secured.is_some_and(|schemes| schemes.iter().any(|scheme| scheme == &json!({})));
        if secured.is_some() && !optional {
            // The order of checks: who is it, before path, key and body are looked at.
            shop.send(ask(operation.method.clone(), &path)).await.problem(401, "unauthenticated");
        }
        let Some(permission) = operation.spec["x-permission"].as_str() else { continue };
        guarded += 1;
        shop.send(ask(operation.method.clone(), &path).bearer(&customer))
            .await
            .problem(403, "permission_denied");
        for role in Role::ALL {
            let (_, token) = shop.login(*role).await;
            let got = shop.send(ask(operation.method.clone(), &path).bearer(&token)).await;
            let may = role.permissions().iter().any(|allowed| allowed.as_str() == permission);
            assert_eq!(got.status != 403, may, "{role} at {} {path}: {}", operation.method, got.text);
        }
    }
    assert!(guarded > 10, "the spec names too few permissions: {guarded}");
    shop.database.finish().await;
}
