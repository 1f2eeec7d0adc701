//! Many shoppers, or one who clicks many times, at the same moment.

use commerce_core::settings::{ReservationMode, ShopSettings};
use futures_util::future::join_all;
use serde_json::json;

use crate::shop::{Got, TestShop, get, post};
use crate::shopping::{address, checkout, fill_cart, pay};

#[tokio::test(flavor = "multi_thread")]
async fn six_payments_at_once_take_the_money_once() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 1).await;
    let order = shop.send(checkout(&token, "c")).await.json();
    let body = json!({ "provider": "mock" });
    let answers = join_all((0..6).map(|click| {
        let (shop, token, order, body) = (&shop, &token, &order, &body);
        async move { shop.send(pay(token, order, &format!("click-{click}"), body)).await }
    }))
    .await;
    let paid = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
    assert_eq!(paid, 1);
    for answer in answers.iter().filter(|answer| answer.status.as_u16() != 201) {
        let code = answer.json()["code"].clone();
        assert!(code == "payment_under_way" || code == "order_state", "{answer:?}");
    }
    let path = format!("/v1/payments?order_id={}", order["id"].as_str().unwrap());
    let payments = shop.send(get(&path).header("Cart-Token", &token)).await.json();
    let captured: Vec<_> =
        payments["data"].as_array().unwrap().iter().map(|payment| &payment["status"]).collect();
    assert_eq!(captured, ["succeeded"]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_fifty_times_at_once_makes_one_order() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 1).await;
    let answers = join_all((0..50).map(|_| shop.send(checkout(&token, "the-key")))).await;
    let mut orders = std::collections::HashSet::new();
    for answer in &answers {
        match answer.status.as_u16() {
            201 => drop(orders.insert(answer.json()["id"].to_string())),
            409 => drop(answer.problem(409, "idempotency_key_in_use")),
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!(orders.len(), 1);
    let again = shop.send(checkout(&token, "\"the-key\"")).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, Some("true")));
    let body = json!({ "email": "eve@example.com", "shipping_address": address() });
    let other =
        post("/v1/orders/checkout", &body).header("Cart-Token", &token).header("Idempotency-Key", "the-key");
    shop.send(other).await.problem(422, "idempotency_key_reused");
    let keyless = post("/v1/orders/checkout", &body).header("Cart-Token", &token);
    shop.send(keyless).await.problem(400, "idempotency_key_required");
    assert_eq!(shop.database.stock(variant).await, (5, 1));
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paying_with_the_same_key_charges_once() {
    let shop = TestShop::new().await;
    let variant = shop.database.variant(1250, 5).await;
    let token = fill_cart(&shop, variant, 1).await;
    let order = shop.send(checkout(&token, "c")).await.json();
    let body = json!({ "provider": "mock" });
    let answers = join_all((0..20).map(|_| shop.send(pay(&token, &order, "p", &body)))).await;
    let paid: std::collections::HashSet<_> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.json()["id"].to_string())
        .collect();
    assert_eq!(paid.len(), 1);
    let busy = |answer: &Got| answer.status == 409 && answer.json()["code"] == "idempotency_key_in_use";
    assert!(answers.iter().all(|answer| answer.status == 201 || busy(answer)), "{answers:?}");
    let partial = json!({ "provider": "mock", "amount": { "amount": 1, "currency": "USD" } });
    shop.send(pay(&token, &order, "p", &partial)).await.problem(422, "idempotency_key_reused");
    shop.database.finish().await;
}

async fn rush(rules: ShopSettings) {
    let shop = TestShop::ruled(rules.clone()).await;
    let variant = shop.database.variant(1250, 50).await;
    let shoppers = join_all((0..200).map(async |number| {
        let item = json!({ "variant_id": variant.to_string(), "quantity": 1 });
        let added = shop.send(post("/v1/cart/items", &item)).await;
        if added.status != 200 {
            return added;
        }
        let token = added.json()["token"].as_str().unwrap().to_owned();
        shop.send(checkout(&token, &format!("key-{number}"))).await
    }));
    let (mut placed, mut sold_out) = (0, 0);
    for answer in shoppers.await {
        if answer.status == 201 {
            placed += 1;
        } else {
            answer.problem(409, "out_of_stock");
            assert_eq!(answer.json()["lines"][0]["available"], 0);
            sold_out += 1;
        }
    }
    assert_eq!((placed, sold_out), (50, 150));
    assert_eq!(shop.database.stock(variant).await, (50, 50));
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_shoppers_for_fifty_units_reserving_at_checkout() {
    rush(ShopSettings::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_shoppers_for_fifty_units_holding_from_the_cart_on() {
    rush(ShopSettings { reservation_mode: ReservationMode::Cart, ..Default::default() }).await;
}
