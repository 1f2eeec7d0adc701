//! Stock for staff: levels, thresholds, files, transfers, locations and the ledger, over HTTP.

use commerce_core::accounts::Role;
use commerce_core::inventory::MAIN_LOCATION;
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Ask, TestShop, ask, get, post};

struct Desk {
    shop: TestShop,
    token: String,
}

impl Desk {
    async fn new() -> Self {
        let shop = TestShop::new().await;
        let (_, token) = shop.login(Role::Fulfilment).await;
        Self { shop, token }
    }

    async fn read(&self, path: &str) -> Value {
        let got = self.shop.send(get(path).bearer(&self.token)).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text);
        got.json()
    }

    fn patch(&self, path: &str, body: &Value) -> Ask {
        ask(Method::PATCH, path).json(body).bearer(&self.token)
    }

    fn post(&self, path: &str, body: &Value) -> Ask {
        post(path, body).bearer(&self.token)
    }

    async fn location(&self, code: &str) -> String {
        let new = json!({ "code": code, "name": format!("Shelf {code}") });
        let made = self.shop.send(self.post("/v1/admin/stock-locations", &new)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(made.header("location"), Some(format!("/v1/admin/stock-locations/{id}").as_str()));
        id
    }

    /// A variant with this SKU and so many units.
    async fn variant(&self, sku: &str, units: i64) -> String {
        let variant = self.shop.database.variant(1250, units).await.to_string();
        let name = format!("UPDATE commerce.variants SET sku = '{sku}' WHERE id = '{variant}'");
        self.shop.database.conn().await.batch_execute(&name).await.unwrap();
        variant
    }

    /// Every item of a list, read by its links.
    async fn all(&self, path: &str) -> Vec<Value> {
        let (mut items, mut path) = (Vec::new(), path.to_owned());
        loop {
            let got = self.shop.send(get(&path).bearer(&self.token)).await;
            assert_eq!(got.status, 200, "{}", got.text);
            items.extend(got.json()["data"].as_array().unwrap().clone());
            let Some(link) = got.header("link") else { return items };
            let next = link.split(['<', '>']).nth(1).unwrap();
            path = next[next.find("/v1").unwrap()..].to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locations_are_made_changed_and_deleted() {
    let desk = Desk::new().await;
    let far = desk.location("far").await;
    let path = format!("/v1/admin/stock-locations/{far}");
    let taken = desk.post("/v1/admin/stock-locations", &json!({ "code": "far", "name": "Again" }));
    desk.shop.send(taken).await.problem(409, "location_code_taken");
    let wrong = desk.post("/v1/admin/stock-locations", &json!({ "code": "Far Away", "name": "x" }));
    assert_eq!(desk.shop.send(wrong).await.problem(422, "validation_failed"), ["/code"]);
    assert_eq!(desk.read(&path).await["priority"], 2);

    let got = desk.shop.send(get(&path).bearer(&desk.token)).await;
    let etag = got.header("etag").unwrap().to_owned();
    let rename = desk.patch(&path, &json!({ "name": "Far", "priority": 0 })).header("If-Match", &etag);
    let renamed = desk.shop.send(rename.clone()).await;
    assert_eq!(
        (renamed.status.as_u16(), renamed.json()["name"].as_str()),
        (200, Some("Far")),
        "{}",
        renamed.text
    );
    desk.shop.send(rename).await.problem(412, "version_mismatch");
    let codes = async |query: &str| -> Vec<Value> {
        let all = desk.all(&format!("/v1/admin/stock-locations?limit=1{query}")).await;
        all.into_iter().map(|location| location["code"].clone()).collect()
    };
    assert_eq!(codes("").await, ["far", "main"]);
    assert_eq!(codes("&sort=name").await, ["far", "main"]);
    desk.shop.send(desk.patch(&path, &json!({ "active": false }))).await;
    assert_eq!(codes("&sort=code&active=true").await, ["main"]);

    let variant = desk.variant("MUG", 5).await;
    let adjust = json!({ "delta": 3, "location_id": far });
    let adjusted =
        desk.shop.send(desk.post(&format!("/v1/admin/inventory/{variant}/adjustments"), &adjust)).await;
    assert_eq!(adjusted.status, 201, "{}", adjusted.text);
    let product = desk.read(&format!("/v1/admin/inventory/{variant}")).await;
    assert_eq!((&product["on_hand"], &product["available"]), (&json!(8), &json!(5)));
    let delete = |path: &str| ask(Method::DELETE, path).bearer(&desk.token);
    let refused = desk.shop.send(delete(&path)).await;
    refused.problem(409, "location_in_use");
    assert!(refused.json()["detail"].as_str().unwrap().contains("3 units"), "{}", refused.text);
    let main = format!("/v1/admin/stock-locations/{}", MAIN_LOCATION.0);
    desk.shop.send(delete(&main)).await.problem(409, "location_in_use");
    let back = json!({ "from_location_id": far, "to_location_id": MAIN_LOCATION.0,
                       "lines": [{ "variant_id": variant, "quantity": 3 }] });
    assert_eq!(desk.shop.send(desk.post("/v1/admin/inventory/transfers", &back)).await.status, 201);
    assert_eq!(desk.shop.send(delete(&path)).await.status, 204);
    desk.shop.send(delete(&path)).await.problem(404, "not_found");
    desk.shop.send(get(&path).bearer(&desk.token)).await.problem(404, "not_found");
    desk.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_made_once_for_its_key_and_says_what_is_short() {
    let desk = Desk::new().await;
    let far = desk.location("far").await;
    let variant = desk.variant("MUG", 10).await;
    let body = |quantity: i64| {
        json!({ "from_location_id": MAIN_LOCATION.0, "to_location_id": far, "reason": "market",
                "lines": [{ "variant_id": variant, "quantity": quantity }] })
    };
    let transfer = desk.post("/v1/admin/inventory/transfers", &body(4)).header("Idempotency-Key", "k");
    let first = desk.shop.send(transfer.clone()).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = desk.shop.send(transfer).await;
    assert_eq!((again.header("idempotent-replayed"), &again.text), (Some("true"), &first.text));
    let short = desk.shop.send(desk.post("/v1/admin/inventory/transfers", &body(7))).await;
    short.problem(409, "too_few_units");
    assert_eq!(short.json()["lines"], json!([{ "variant_id": variant, "requested": 7, "available": 6 }]));
    let stock = desk.read(&format!("/v1/admin/inventory/{variant}")).await;
    let on_hand: Vec<&Value> =
        stock["levels"].as_array().unwrap().iter().map(|level| &level["on_hand"]).collect();
    assert_eq!(on_hand, [6, 4]);
    let moved =
        desk.read(&format!("/v1/admin/inventory/{variant}/movements?kind=transfer&location_id={far}")).await;
    assert_eq!((moved["data"].as_array().unwrap().len(), &moved["data"][0]["on_hand_delta"]), (1, &json!(4)));
    desk.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_are_set_and_what_is_low_is_listed() {
    let desk = Desk::new().await;
    let mut variants = Vec::new();
    for (sku, units) in [("MUG", 5), ("CUP", 2), ("POT", 9), ("JAR", 2)] {
        let variant = desk.variant(sku, units).await;
        let path = format!("/v1/admin/inventory/{variant}");
        let set = desk.shop.send(desk.patch(&path, &json!({ "low_stock_threshold": 5 }))).await;
        assert_eq!(
            (set.status.as_u16(), &set.json()["low_stock_threshold"]),
            (200, &json!(5)),
            "{}",
            set.text
        );
        variants.push(path);
    }
    let skus = async |query: &str| -> Vec<Value> {
        let all = desk.all(&format!("/v1/admin/inventory/low?limit=1{query}")).await;
        all.into_iter().map(|low| low["sku"].clone()).collect()
    };
    assert_eq!(skus("").await, ["CUP", "JAR", "MUG"]);
    assert_eq!(skus("&sort=-available").await, ["MUG", "JAR", "CUP"]);
    assert_eq!(skus("&sort=-missing").await, ["JAR", "CUP", "MUG"]);
    assert_eq!(skus("&q=ug").await, ["MUG"]);
    desk.shop.send(desk.patch(&variants[0], &json!({ "low_stock_threshold": null }))).await;
    assert_eq!(skus("").await, ["CUP", "JAR"]);
    let levels = desk.all("/v1/admin/inventory?limit=1&sort=-available&available_max=8").await;
    let levels: Vec<&Value> = levels.iter().map(|level| &level["sku"]).collect();
    assert_eq!(levels, ["MUG", "JAR", "CUP"]);
    let found = desk.all("/v1/admin/inventory?q=pot&sort=available").await;
    assert_eq!((found.len(), &found[0]["sku"]), (1, &json!("POT")));
    let unknown = format!("/v1/admin/inventory/{}", Uuid::now_v7());
    desk.shop.send(get(&unknown).bearer(&desk.token)).await.problem(404, "not_found");
    let unknown = desk.patch(&unknown, &json!({ "low_stock_threshold": 1 }));
    desk.shop.send(unknown).await.problem(404, "not_found");
    for cursor in
        ["/v1/admin/inventory?sort=available", "/v1/admin/inventory/low", "/v1/admin/stock-locations"]
    {
        let path = format!("{cursor}{}cursor=x", if cursor.contains('?') { '&' } else { '?' });
        desk.shop.send(get(&path).bearer(&desk.token)).await.problem(400, "invalid_cursor");
    }
    desk.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_tried_applied_and_never_applied_twice() {
    let desk = Desk::new().await;
    let mug = desk.variant("MUG", 5).await;
    let send = |query: &str, file: &str, key: &str| {
        ask(Method::POST, &format!("/v1/admin/inventory/import{query}"))
            .body("text/csv", file)
            .header("Idempotency-Key", key)
            .bearer(&desk.token)
    };
    let on_hand = async || desk.read(&format!("/v1/admin/inventory/{mug}")).await["on_hand"].clone();
    let file = "sku,delta,reason\nMUG,4,delivery 4711\nCUP,1,\n";
    let tried = desk.shop.send(send("?dry_run=true", file, "a")).await.json();
    assert_eq!(
        (&tried["changed"], &tried["skipped"], &tried["errors"][0]["line"]),
        (&json!(1), &json!(1), &json!(3))
    );
    let refused = desk.shop.send(send("", file, "b")).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(refused.json()["errors"][0]["line"], 3);
    assert_eq!(refused.json()["errors"][0]["column"], "sku");
    assert_eq!(on_hand().await, 5);

    let skip = send("?on_error=skip", file, "c");
    let done = desk.shop.send(skip.clone()).await;
    assert_eq!((done.status.as_u16(), &done.json()["changed"]), (200, &json!(1)), "{}", done.text);
    let again = desk.shop.send(skip).await;
    assert_eq!((again.header("idempotent-replayed"), &again.text), (Some("true"), &done.text));
    assert_eq!(on_hand().await, 9);
    desk.shop.send(send("", file, "c")).await.problem(422, "idempotency_key_reused");
    let json = ask(Method::POST, "/v1/admin/inventory/import").json(&json!({})).bearer(&desk.token);
    desk.shop.send(json).await.problem(415, "unsupported_media_type");
    let large = "x".repeat(16 * 1024 * 1024 + 1);
    desk.shop.send(send("", &large, "d")).await.problem(413, "body_too_large");
    desk.shop.database.finish().await;
}

/// The same file with the same key, many times at once: it counts once.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_sent_at_once_counts_once() {
    let desk = Desk::new().await;
    let mug = desk.variant("MUG", 5).await;
    let send = || {
        let file = ask(Method::POST, "/v1/admin/inventory/import").body("text/csv", "sku,delta\nMUG,4\n");
        desk.shop.send(file.header("Idempotency-Key", "k").bearer(&desk.token))
    };
    let answers = futures_util::future::join_all((0..8).map(|_| send())).await;
    for answer in &answers {
        assert!([200, 409].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert_eq!(desk.read(&format!("/v1/admin/inventory/{mug}")).await["on_hand"], 9);
    desk.shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_a_file_and_stock_is_told_as_it_was() {
    let desk = Desk::new().await;
    let mug = desk.variant("=MUG", 5).await;
    desk.variant("CUP", 1).await;
    let path = format!("/v1/admin/inventory/{mug}/adjustments");
    let adjust = json!({ "delta": -2, "reason": "=cmd|' /C calc'!A0, \"broken\"" });
    let before = chrono::Utc::now();
    assert_eq!(desk.shop.send(desk.post(&path, &adjust)).await.status, 201);

    let export = format!("/v1/admin/inventory/movements/export?variant_id={mug}&bom=true");
    let file = desk.shop.send(get(&export).bearer(&desk.token)).await;
    assert_eq!(file.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"stock-movements.csv\""));
    assert!(file.text.starts_with("\u{feff}created_at,id,variant_id,sku,"), "{}", file.text);
    let mut reader = csv::Reader::from_reader(file.text.trim_start_matches('\u{feff}').as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let told = |row: &csv::StringRecord| [3, 4, 5, 6, 8].map(|at| row[at].to_owned());
    assert_eq!(told(&rows[0]), ["'=MUG", "main", "adjust", "5", "received"]);
    assert_eq!(told(&rows[1]), ["'=MUG", "main", "adjust", "-2", "'=cmd|' /C calc'!A0, \"broken\""]);
    assert_eq!(rows.len(), 2);
    let all = desk.shop.send(get("/v1/admin/inventory/movements/export").bearer(&desk.token)).await;
    assert_eq!(all.text.lines().count(), 4, "{}", all.text);
    let none = "/v1/admin/inventory/movements/export?before=2000-01-01T00:00:00Z";
    assert_eq!(desk.shop.send(get(none).bearer(&desk.token)).await.text.lines().count(), 1);

    let at = before.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let then = desk.read(&format!("/v1/admin/inventory/{mug}?as_of={at}")).await;
    let now = desk.read(&format!("/v1/admin/inventory/{mug}")).await;
    assert_eq!((&then["on_hand"], &now["on_hand"]), (&json!(5), &json!(3)));
    desk.shop
        .send(get(&format!("/v1/admin/inventory/{mug}?as_of=x")).bearer(&desk.token))
        .await
        .problem(400, "invalid_parameter");
    desk.shop.database.finish().await;
}
