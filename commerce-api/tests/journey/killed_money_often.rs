//! kill -9 of API and worker at random moments, while shoppers pay at a provider and staff give money back and capture.
//! Clients send again what was not answered. In the end every sale stands as its shopper and staff were told, and the
//! peer's books are those of the shop to the cent. `COMMERCE_KILLS_SEED` repeats the moments and the victims.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::client::post;
use crate::providers::Vendor;
use crate::till::{Counter, PRICE, Sale, Standing, Till, Victim, standing};

/// A sale, and how it must stand in the end.
type Sold = (Sale, Standing);

/// Pays, and what else happens to the sale with this number.
async fn sell(counter: &Counter, admin: &str, capture: &str, number: usize) -> Sold {
    let sale = counter.sent().await;
    if number % 5 == 4 {
        // The shopper does not come back. The order still waits in the end.
        return (sale, standing("pending_payment", "requires_action", 0, 0));
    }
    let details = counter.peer.shopper_pays(&sale.reference);
    // Every second shopper's browser comes back; otherwise a webhook must tell.
    if number.is_multiple_of(2) {
        counter.client.insist(counter.confirm(&sale, &details)).await.expect(200);
    }
    counter.is_heard_of(&sale, &details).await;
    let of_payment = |what: &str| format!("/v1/payments/{}/{what}", sale.payment);
    if capture == "manual" {
        let request = post(of_payment("capture"), &json!({})).bearer(admin).key("capture");
        counter.client.insist(request).await.expect(200);
    }
    let parts: &[i64] = match number % 3 {
        0 => &[],
        1 => &[400],
        _ => &[450, PRICE - 450],
    };
    for (index, part) in parts.iter().enumerate() {
        let body = json!({ "amount": { "amount": part, "currency": "USD" } });
        let request = post(of_payment("refunds"), &body).bearer(admin).key(&format!("refund-{index}"));
        counter.client.insist(request).await.expect(201);
    }
    let attempt = ["succeeded", "partially_refunded", "refunded"][number % 3];
    (sale, standing("paid", attempt, PRICE, parts.iter().sum()))
}

/// A number after another one, as random as is needed here.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn seed() -> u64 {
    let given = std::env::var("COMMERCE_KILLS_SEED").ok();
    let seed = given.map_or_else(
        || u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()),
        |seed| seed.parse().unwrap(),
    );
    println!("COMMERCE_KILLS_SEED={seed}");
    seed
}

/// So many orders are sold at four counters, while API and worker die again and again.
async fn kill_often(vendor: Vendor, capture: &'static str, orders: usize) {
    const COUNTERS: usize = 4;
    let (started, mut random, mut kills) = (Instant::now(), seed(), 0);
    let mut till = Till::open(vendor, capture).await;
    let admin = till.admin().await;
    let next_order = Arc::new(AtomicUsize::new(0));
    let mut counters = tokio::task::JoinSet::new();
    for _ in 0..COUNTERS {
        let (counter, admin, next_order) = (till.counter(), admin.clone(), Arc::clone(&next_order));
        counters.spawn(async move {
            let mut sold = Vec::new();
            loop {
                let number = next_order.fetch_add(1, Ordering::Relaxed);
                if number >= orders {
                    return sold;
                }
                sold.push(sell(&counter, &admin, capture, number).await);
            }
        });
    }
    while next_order.load(Ordering::Relaxed) < orders {
        tokio::time::sleep(Duration::from_millis(next(&mut random) % 1200)).await;
        let victim = if next(&mut random).is_multiple_of(2) { Victim::Api } else { Victim::Worker };
        till.dies(victim).await;
        kills += 1;
    }
    let sold: Vec<Sold> = counters.join_all().await.into_iter().flatten().collect();
    assert_eq!(sold.len(), orders);
    till.settles().await;
    for (sale, expected) in &sold {
        assert_eq!(till.stands(sale).await, *expected, "{sale:?}");
    }
    till.close().await;
    println!(
        "{vendor:?} {capture}: {orders} orders, {kills} kills, {:.1} s",
        started.elapsed().as_secs_f32()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn money_survives_deaths_at_any_moment() {
    for vendor in Vendor::BOTH {
        kill_often(vendor, "automatic", 8).await;
        kill_often(vendor, "manual", 8).await;
    }
}

mod long_tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn money_survives_many_deaths_at_any_moment() {
        for vendor in Vendor::BOTH {
            kill_often(vendor, "automatic", 150).await;
            kill_often(vendor, "manual", 150).await;
        }
    }
}
