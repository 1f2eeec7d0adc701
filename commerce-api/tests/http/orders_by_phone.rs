//! How staff enter orders, send links to pay, move orders on with a reason, and find and export them.

use commerce_core::accounts::Role;
use commerce_core::ids::VariantId;
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Ask, TestShop, ask, get, post};

fn address(name: &str) -> Value {
    json!({ "name": name, "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" })
}

fn by_phone(variant: VariantId, quantity: i64) -> Value {
    json!({
        "email": "bea@example.com", "shipping_address": address("Bea"),
        "items": [{ "variant_id": variant, "quantity": quantity }],
    })
}

fn place(body: &Value, key: &str, token: &str) -> Ask {
    post("/v1/admin/orders", body).bearer(token).header("Idempotency-Key", key)
}

#[tokio::test]
async fn staff_place_an_order_once_for_a_key() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 50).await;
    let (_, staff) = shop.login(Role::Support).await;
    let (customer_id, customer) = shop.login(Role::Customer).await;
    let body = by_phone(variant, 2);
    let placed = shop.send(place(&body, "1", &staff)).await;
    assert_eq!(placed.status, 201, "{}", placed.text);
    let order = placed.json();
    assert_eq!(order["source"], "staff", "{order}");
    assert_eq!((&order["status"], &order["total"]["amount"]), (&json!("pending_payment"), &json!(2500)));
    assert_eq!((&order["email"], &order["lines"][0]["quantity"]), (&json!("bea@example.com"), &json!(2)));
    assert!(
        order["expires_at"].is_string()
            && placed.header("location").unwrap().starts_with("/v1/admin/orders/")
            && placed.header("etag").is_some()
    );
    let again = shop.send(place(&body, "1", &staff)).await;
    assert_eq!((again.header("idempotent-replayed"), again.json()), (Some("true"), order.clone()));
    shop.send(place(&by_phone(variant, 3), "1", &staff)).await.problem(422, "idempotency_key_reused");
    assert_eq!(shop.database.stock(variant).await, (50, 2));

    shop.send(post("/v1/admin/orders", &body).bearer(&staff)).await.problem(400, "idempotency_key_required");
    shop.send(place(&body, "2", &customer)).await.problem(403, "permission_denied");
    shop.send(place(&by_phone(variant, 99), "3", &staff)).await.problem(409, "out_of_stock");
    for (field, value, pointer) in [
        ("email", json!("bea"), "/email"),
        ("email", Value::Null, "/email"),
        ("customer_id", json!(VariantId::new()), "/customer_id"),
        ("shipping_address", address(" "), "/shipping_address/name"),
        ("pay_within_hours", json!(721), "/pay_within_hours"),
        ("items", json!([]), "/items"),
        ("items", json!([{ "variant_id": VariantId::new(), "quantity": 1 }]), "/items"),
        ("items", json!([{ "variant_id": variant, "quantity": 0 }]), "/items/0/quantity"),
    ] {
        let mut wrong = body.clone();
        match value {
            Value::Null => drop(wrong.as_object_mut().unwrap().remove(field)),
            value => wrong[field] = value,
        }
        let refused = shop.send(place(&wrong, "4", &staff)).await;
        assert_eq!(refused.status, 422, "{field}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{}", refused.text);
    }
    let told = json!({ "amount": 1, "currency": "USD" });
    let mut another = body.clone();
    another["expected_total"] = told;
    shop.send(place(&another, "5", &staff)).await.problem(409, "price_changed");
    assert_eq!(shop.database.stock(variant).await, (50, 2));

    // An order for an account is in its list, and its owner can pay it.
    let mut own = by_phone(variant, 1);
    own["customer_id"] = json!(customer_id);
    own.as_object_mut().unwrap().remove("email");
    let own = shop.send(place(&own, "6", &staff)).await.json();
    let listed = shop.send(get("/v1/orders").bearer(&customer)).await.json();
    assert_eq!(listed["data"][0]["id"], own["id"], "{listed}");
    let pay =
        post(&format!("/v1/orders/{}/pay", own["id"].as_str().unwrap()), &json!({ "provider": "mock" }));
    let paid = shop.send(pay.bearer(&customer).header("Idempotency-Key", "pay")).await;
    assert_eq!(paid.json()["status"], "succeeded", "{}", paid.text);
    shop.database.finish().await;
}

#[tokio::test]
async fn a_customer_gets_a_link_to_pay_an_order_by_phone() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 50).await;
    let (_, staff) = shop.login(Role::Support).await;
    let order = shop.send(place(&by_phone(variant, 2), "1", &staff)).await.json();
    let path = format!("/v1/admin/orders/{}/payment-link", order["id"].as_str().unwrap());
    let link = |key: &str| {
        let body = json!({ "provider": "mock", "outcome": "require_action" });
        post(&path, &body).bearer(&staff).header("Idempotency-Key", key)
    };
    let made = shop.send(link("l-1")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let payment = made.json();
    assert_eq!(
        (&payment["status"], &payment["action"]["type"]),
        (&json!("requires_action"), &json!("redirect"))
    );
    assert!(payment["action"]["url"].is_string(), "{payment}");
    assert_eq!(payment["amount"]["amount"], 2500);
    let again = shop.send(link("l-1")).await;
    assert_eq!((again.header("idempotent-replayed"), again.json()), (Some("true"), payment.clone()));
    // Another link takes the place of the first, so that no money is taken twice.
    let second = shop.send(link("l-2")).await.json();
    assert_ne!(second["id"], payment["id"]);
    let first = get(&format!("/v1/payments/{}", payment["id"].as_str().unwrap())).bearer(&staff);
    assert_eq!(shop.send(first).await.json()["status"], "expired");
    let nowhere = format!("/v1/admin/orders/{}/payment-link", VariantId::new());
    let nothing =
        post(&nowhere, &json!({ "provider": "mock" })).bearer(&staff).header("Idempotency-Key", "n");
    shop.send(nothing).await.problem(404, "not_found");

    // Money that comes by hand ends the link.
    let (_, admin) = shop.login(Role::Admin).await;
    let by_hand = format!("/v1/admin/orders/{}/payments", order["id"].as_str().unwrap());
    let by_hand =
        post(&by_hand, &json!({ "reference": "Transfer" })).bearer(&admin).header("Idempotency-Key", "m");
    assert_eq!(shop.send(by_hand).await.status, 201);
    shop.send(link("l-4")).await.problem(409, "order_state");
    shop.database.finish().await;
}

#[tokio::test]
async fn a_status_is_changed_along_the_machine_and_the_timeline_says_why() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 50).await;
    let (admin_id, admin) = shop.login(Role::Admin).await;
    let order = shop.send(place(&by_phone(variant, 1), "1", &admin)).await.json();
    let id = order["id"].as_str().unwrap();
    let moved = |status: &str, reason: &str| {
        let body = json!({ "status": status, "reason": reason });
        ask(Method::PATCH, &format!("/v1/admin/orders/{id}/status")).json(&body).bearer(&admin)
    };
    for wrong in ["processing", "shipped", "delivered"] {
        shop.send(moved(wrong, "It is not paid.")).await.problem(409, "order_state");
    }
    let cancelled = shop.send(moved("cancelled", "  Called back:\r\nwrong size. ")).await;
    assert_eq!(cancelled.json()["status"], "cancelled", "{}", cancelled.text);
    let note =
        post(&format!("/v1/admin/orders/{id}/notes"), &json!({ "text": "Sent a voucher." })).bearer(&admin);
    assert_eq!(shop.send(note).await.status, 201);

    let events = shop.send(get(&format!("/v1/admin/orders/{id}/events")).bearer(&admin)).await.json();
    let events = events["data"].as_array().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["placed", "cancelled", "stock_released", "status_changed", "note"]);
    let changed = &events[3];
    let expected =
        json!({ "from": "pending_payment", "to": "cancelled", "reason": "Called back:\nwrong size." });
    assert_eq!(changed["data"], expected);
    assert_eq!(changed["actor"], format!("user:{admin_id}"));
    assert_eq!(changed["request_id"].as_str(), cancelled.header("x-request-id"));
    shop.database.finish().await;
}

#[tokio::test]
async fn the_list_and_its_export_take_the_same_filters_and_no_cell_is_a_formula() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 50).await;
    let (_, staff) = shop.login(Role::Support).await;
    let (customer_id, _) = shop.login(Role::Customer).await;
    let mut orders = Vec::new();
    for (number, name) in ["=HYPERLINK(\"http://x\")", "@SUM(A1)", "Cyd, \"the\" +1"].into_iter().enumerate()
    {
        let mut body = by_phone(variant, 1 + i64::try_from(number).unwrap());
        body["shipping_address"] = address(name);
        if number == 2 {
            body["customer_id"] = json!(customer_id);
        }
        orders.push(shop.send(place(&body, name, &staff)).await.json());
    }
    let cancel = format!("/v1/admin/orders/{}/status", orders[1]["id"].as_str().unwrap());
    let cancel = ask(Method::PATCH, &cancel).json(&json!({ "status": "cancelled" })).bearer(&staff);
    assert_eq!(shop.send(cancel).await.status, 200);
    let day = "UPDATE commerce.orders SET placed_at = placed_at - interval '1 day' WHERE number = 1001";
    shop.database.conn().await.batch_execute(day).await.unwrap();
    let today =
        (chrono::Utc::now() - chrono::Duration::hours(12)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    for (query, expected) in [
        (String::new(), "1001 1002 1003"),
        ("?status=cancelled".into(), "1002"),
        ("?payment_status=unpaid&fulfillment_status=unfulfilled".into(), "1001 1002 1003"),
        ("?fulfillment_status=fulfilled".into(), ""),
        ("?cancel_reason=admin".into(), "1002"),
        ("?cancel_reason=expired".into(), ""),
        ("?stock_released=true".into(), "1002"),
        ("?stock_released=false".into(), "1001 1003"),
        (format!("?user_id={customer_id}"), "1003"),
        (format!("?placed_from={today}"), "1002 1003"),
        (format!("?placed_before={today}"), "1001"),
        ("?total_min=2500&total_max=2500".into(), "1002"),
        ("?q=cyd".into(), "1003"),
        ("?q=%231002".into(), "1002"),
        ("?q=hyperlink+bea".into(), "1001"),
    ] {
        let file = shop.send(get(&format!("/v1/admin/orders/export{query}")).bearer(&staff)).await;
        assert_eq!(file.status, 200, "{query}: {}", file.text);
        let rows: Vec<&str> = file.text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!(rows.join(" "), expected, "{query}");
        for sort in ["placed_at", "-placed_at", "total", "-total"] {
            let sorted =
                format!("/v1/admin/orders{query}{}sort={sort}", if query.is_empty() { "?" } else { "&" });
            let list = shop.send(get(&sorted).bearer(&staff)).await.json();
            let mut numbers: Vec<&str> = list["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|order| order["number"].as_str().unwrap())
                .collect();
            // The totals grow with the dates.
            if sort.starts_with('-') {
                numbers.reverse();
            }
            assert_eq!(numbers.join(" "), expected, "{sorted}");
        }
    }
    let file = shop.send(get("/v1/admin/orders/export").bearer(&staff)).await.text;
    for cell in ["\"'=HYPERLINK(\"\"http://x\"\")\"", "\"'@SUM(A1)\"", "\"Cyd, \"\"the\"\" +1\"", ",staff,"] {
        assert!(file.contains(cell), "{cell}: {file}");
    }
    shop.database.finish().await;
}
