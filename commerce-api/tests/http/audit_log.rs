//! The audit log: every write by staff leaves an entry, and what can be read of it.

use commerce_core::accounts::Role;
use diesel_async::SimpleAsyncConnection as _;
use futures_util::future::join_all;
use image::ImageFormat;
use poem::http::Method;
use serde_json::{Value, json};

use crate::images::{encoded, picture};
use crate::shop::{Ask, TestShop, ask, get, post};
use crate::surface::{Operation, Surface};
use crate::world::World;

/// A request that the operation grants. One that changes something, not just any: an entry is to be left.
async fn granted(shop: &TestShop, operation: &Operation, world: &World) -> Ask {
    let by_admin = |ask: Ask| ask.header(world.admin.0, &world.admin.1);
    let create = async |path: &str, body: Value| {
        let made = shop.send(by_admin(post(path, &body))).await;
        made.json()["id"].as_str().unwrap().to_owned()
    };
    let id = operation.id.as_str();
    let mut world = world.clone();
    if ["create_variant", "create_variant_matrix"].contains(&id) {
        world.product = create("/v1/products", json!({ "title": "Shirt", "status": "draft" })).await;
    }
    if ["admin_refund_payment", "admin_refund_order"].contains(&id) {
        let confirm = ask(Method::POST, &format!("/v1/payments/{}/confirm", world.customer.payment));
        let (name, value) = &world.customer.credential;
        assert_eq!(shop.send(confirm.header(name, value)).await.json()["status"], "succeeded");
    }
    let path = world.path(&operation.path, Some(&world.admin), None);
    if id == "admin_move_return" {
        let reopen = format!(
            "UPDATE commerce.returns SET status = 'requested' WHERE position(id::text IN '{path}') > 0"
        );
        shop.database.conn().await.batch_execute(&reopen).await.unwrap();
    }
    if id == "admin_open_return" {
        let order = format!("/v1/admin/orders/{}", world.paid_order);
        let line = shop.send(by_admin(get(&order))).await.json()["lines"][0]["id"].clone();
        let arrived = format!("/v1/shipments/{}/status", world.parcel);
        let arrived = ask(Method::PATCH, &arrived).json(&json!({ "status": "delivered" }));
        assert_eq!(shop.send(by_admin(arrived)).await.status, 200);
        let lines = json!([{ "order_line_id": line, "quantity": 1, "reason": "other" }]);
        let open = post(&format!("{order}/returns"), &json!({ "lines": lines }));
        return by_admin(open).header("Idempotency-Key", "k");
    }
    let ask = by_admin(ask(operation.method.clone(), &path));
    let ask =
        if operation.has_parameter("Idempotency-Key") { ask.header("Idempotency-Key", "k") } else { ask };
    match (id, &operation.body) {
        ("admin_move_return", _) => ask.json(&json!({ "status": "rejected" })),
        ("move_shipment", _) => ask.json(&json!({ "status": "in_transit" })),
        ("admin_move_order", _) => ask.json(&json!({ "status": "cancelled" })),
        ("import_stock", _) => {
            ask.body("text/csv", format!("variant_id,delta\n{},5\n", world.variant).as_str())
        }
        ("import_products", _) => ask.body("text/csv", "slug,title,price\nmug,Mug,12.50\n"),
        ("update_product" | "replace_product", _) => ask.json(&json!({ "title": "Another title" })),
        ("reorder_categories", _) => {
            let second = create("/v1/categories", json!({ "title": "Second" })).await;
            ask.json(&json!({ "category_ids": [second, world.category] }))
        }
        (_, Some(body)) if body.is_json() => ask.json(&world.body(&body.example)),
        (_, Some(body)) if body.content_type == "multipart/form-data" => {
            ask.form("x", &[("file", Some("a.png"), &encoded(&picture(1, 1), ImageFormat::Png))])
        }
        _ => ask,
    }
}

async fn entries(shop: &TestShop, credential: &(&'static str, String), query: &str) -> Vec<Value> {
    let got =
        shop.send(get(&format!("/v1/admin/audit-log{query}")).header(credential.0, &credential.1)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    assert!(!got.text.contains("argon2") && !got.text.contains("token"), "{}", got.text);
    got.json()["data"].as_array().unwrap().clone()
}

/// What is wrong with the entry that the operation leaves.
async fn faults_of_entry(operation: &Operation) -> Vec<String> {
    let shop = TestShop::new().await;
    let world = World::new(&shop).await;
    let id = operation.id.as_str();
    let request = granted(&shop, operation, &world).await;
    let got = shop.send(request.clone()).await;
    if !got.status.is_success() {
        return vec![format!("{id}: was not granted, so nothing is known: {} {}", got.status, got.text)];
    }
    let query = format!("?action={id}");
    let all = entries(&shop, &world.admin, &query).await;
    let mine = |entry: &&Value| entry["request_id"].as_str() == got.header("x-request-id");
    let left: Vec<&Value> = all.iter().filter(mine).collect();
    let [entry] = left.as_slice() else {
        return vec![format!("{id}: left {} entries with its operationId and request id", left.len())];
    };
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!("{id}: {what}: {entry:#}"));
        }
    };
    let creates = ["create_product", "create_category", "import_products", "admin_note_order"].contains(&id)
        || ["create_stock_location", "transfer_stock", "import_stock", "retry_jobs", "cancel_jobs"]
            .contains(&id)
        || ["admin_refund_payment", "admin_refund_order", "admin_record_payment"].contains(&id)
        || ["admin_place_order", "admin_create_payment_link", "create_shipment"].contains(&id)
        || id == "admin_open_return";
    let deletes = [
        "delete_category",
        "admin_delete_user",
        "delete_stock_location",
        "delete_contact_message",
        "cancel_job",
    ]
    .contains(&id);
    let tells = |side: &str| entry.get(side).is_some_and(|fields| !fields.is_null());
    must(tells("before") != creates && tells("after") != deletes, "does not tell before and after");
    must(entry.get("before") != entry.get("after"), "tells no change");
    must(entry["actor_role"] == "admin", "does not tell the role");
    must(entry["actor"].as_str().is_some_and(|actor| actor.starts_with("user:")), "does not tell who");
    // The same request again is answered from what was stored: it did nothing, and leaves nothing.
    if operation.has_parameter("Idempotency-Key") {
        let again = shop.send(request).await;
        must(again.header("idempotent-replayed") == Some("true"), "was not replayed");
        must(entries(&shop, &world.admin, &query).await.len() == all.len(), "was left again by a replay");
    }
    shop.database.finish().await;
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_by_staff_leaves_an_entry() {
    let writes = |operation: &Operation| operation.permission.is_some() && operation.method != Method::GET;
    let operations: Vec<Operation> = Surface::read().operations().into_iter().filter(writes).collect();
    assert!(operations.len() > 20, "only {} operations were found", operations.len());
    let mut faults = Vec::new();
    for some in operations.chunks(6) {
        faults.extend(join_all(some.iter().map(faults_of_entry)).await.concat());
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing() {
    let shop = TestShop::new().await;
    let world = World::new(&shop).await;
    let before = entries(&shop, &world.admin, "").await.len();
    let adjust = |delta: i64| {
        let path = format!("/v1/admin/inventory/{}/adjustments", world.variant);
        ask(Method::POST, &path).json(&json!({ "delta": delta })).header(world.admin.0, &world.admin.1)
    };
    shop.send(adjust(-900_000_000)).await.problem(409, "stock_reserved");
    assert_eq!(entries(&shop, &world.admin, "").await.len(), before);
    assert_eq!(shop.send(adjust(5)).await.status, 201);
    let after = entries(&shop, &world.admin, "").await;
    assert_eq!(after.len(), before + 1);
    let on_hand = |side: &str| after[0][side][0]["on_hand"].as_i64().unwrap();
    assert_eq!(on_hand("after") - on_hand("before"), 5);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_who_what_and_when() {
    let shop = TestShop::new().await;
    let (admin, admin_token) = shop.login(Role::Admin).await;
    let (manager, manager_token) = shop.login(Role::CatalogueManager).await;
    let reader = ("Authorization", format!("Bearer {admin_token}"));
    let create = |title: &str, token: &str| {
        ask(Method::POST, "/v1/categories").json(&json!({ "title": title })).bearer(token)
    };
    let first = shop.send(create("One", &admin_token)).await.json();
    for title in ["Two", "Three", "Four"] {
        assert_eq!(shop.send(create(title, &manager_token)).await.status, 201);
    }
    let rename = ask(Method::PATCH, &format!("/v1/categories/{}", first["id"].as_str().unwrap()));
    let rename = rename.json(&json!({ "title": "First" })).bearer(&manager_token);
    assert_eq!(shop.send(rename).await.status, 200);

    let all = entries(&shop, &reader, "").await;
    assert_eq!(all.len(), 5);
    assert_eq!((&all[0]["before"]["title"], &all[0]["after"]["title"]), (&json!("One"), &json!("First")));
    assert_eq!(all[0]["actor_role"], "catalogue_manager");
    let count = async |query: String| entries(&shop, &reader, &query).await.len();
    assert_eq!(count(format!("?actor={manager}")).await, 4);
    assert_eq!(count(format!("?actor={admin}&action=create_category")).await, 1);
    assert_eq!(count("?action=update_category".to_owned()).await, 1);
    assert_eq!(count("?subject_kind=product".to_owned()).await, 0);
    let subject = first["id"].as_str().unwrap();
    assert_eq!(count(format!("?subject_kind=category&subject_id={subject}")).await, 2);
    let third = all[2]["at"].as_str().unwrap().replace('+', "%2B");
    assert_eq!(count(format!("?from={third}")).await + count(format!("?before={third}")).await, 5);
    assert_eq!(count(format!("?before={third}")).await, 2);

    let (mut seen, mut path) = (Vec::new(), "/v1/admin/audit-log?limit=2".to_owned());
    loop {
        let page = shop.send(get(&path).bearer(&admin_token)).await.json();
        seen.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/admin/audit-log?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, all);
    shop.send(get("/v1/admin/audit-log?cursor=x").bearer(&admin_token)).await.problem(400, "invalid_cursor");
    shop.send(get("/v1/admin/audit-log").bearer(&manager_token)).await.problem(403, "permission_denied");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_a_file_too() {
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::Admin).await;
    let create =
        |title: &str| ask(Method::POST, "/v1/categories").json(&json!({ "title": title })).bearer(&token);
    let first = shop.send(create("=1+1")).await.json();
    for number in 0..120 {
        assert_eq!(shop.send(create(&format!("Category {number}"))).await.status, 201);
    }
    let read = async |query: &str| -> Vec<csv::StringRecord> {
        let file = shop.send(get(&format!("/v1/admin/audit-log/export{query}")).bearer(&token)).await;
        assert_eq!(file.header("content-type"), Some("text/csv; charset=utf-8"), "{}", file.text);
        csv::Reader::from_reader(file.text.as_bytes()).records().map(Result::unwrap).collect()
    };
    let rows = read("?action=create_category").await;
    assert_eq!(rows.len(), 121);
    let subject = format!("?subject_kind=category&subject_id={}", first["id"].as_str().unwrap());
    let rows = read(&subject).await;
    assert_eq!((rows.len(), &rows[0][5]), (1, "create_category"));
    let after: Value = serde_json::from_str(&rows[0][9]).unwrap();
    assert_eq!(after["title"], "=1+1");
    // That the file was read is in the log.
    assert_eq!(read("?action=read").await.len(), 3);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_who_read_data_of_customers_are_recorded() {
    let shop = TestShop::new().await;
    let (support, token) = shop.login(Role::Support).await;
    let (_, admin) = shop.login(Role::Admin).await;
    let admin = ("Authorization", format!("Bearer {admin}"));
    for path in ["/v1/admin/users?q=ada@example.com&limit=5", "/v1/admin/orders/export", "/v1/products"] {
        assert_eq!(shop.send(get(path).bearer(&token)).await.status, 200, "{path}");
    }
    let read = entries(&shop, &admin, "?action=read").await;
    let of_support: Vec<&Value> =
        read.iter().filter(|entry| entry["actor"] == format!("user:{support}")).collect();
    let places: Vec<&Value> = of_support.iter().map(|entry| &entry["after"]).collect();
    assert_eq!(
        places,
        [
            &json!({ "path": "/v1/admin/orders/export", "filters": [] }),
            &json!({ "path": "/v1/admin/users", "filters": ["q", "limit"] }),
        ]
    );
    assert!(of_support.iter().all(|entry| entry["subject_kind"] == "personal_data"), "{read:?}");
    shop.database.finish().await;
}
