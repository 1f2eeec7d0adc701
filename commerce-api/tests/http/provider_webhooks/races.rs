//! Orders whose time runs out while their shoppers pay and others want the goods: each ends paid with its stock, or
//! cancelled with all its money back.

use std::sync::Arc;
use std::time::Duration;

use commerce_core::flows::expire_orders;
use commerce_core::jobs::Services;
use diesel_async::SimpleAsyncConnection as _;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{End, Sale, Till, Vendor};

/// So many orders race at once, for the last units of a variant.
const AT_ONCE: usize = 10;

/// The shopper pays after a moment, if the page is still open. The webhooks and the browser tell the shop.
async fn pays(till: &Till, sale: &Sale, pause: Duration) {
    tokio::time::sleep(pause).await;
    let details = match till.peer.vendor {
        Vendor::Stripe if till.peer.stripe.pay(&sale.reference) => Value::Null,
        Vendor::Stripe => return,
        Vendor::Razorpay => till.peer.razorpay.pay(&sale.reference).unwrap(),
    };
    let own = |body: &str| body.contains(&sale.reference) || body.contains(&sale.payment);
    for hook in till.peer.hooks().all().iter().filter(|hook| own(&hook.body)) {
        till.deliver(hook).await;
    }
    let confirmed = till.confirm(sale, &details).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
}

async fn sweeps(till: &Till) {
    let Services { pool, shop, providers, .. } = &till.services;
    for _ in 0..5 {
        expire_orders(pool, shop, providers, 100).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// All at once, and each a moment later than the other in every round.
async fn round(till: &Arc<Till>, number: usize) -> Vec<Sale> {
    let variant = till.shop.database.variant(super::PRICE, AT_ONCE.try_into().unwrap()).await;
    let mut sales = Vec::new();
    for _ in 0..AT_ONCE {
        let order = till.order_of(variant).await.expect("there is a unit for each");
        sales.push(till.sale_of(order).await);
    }
    let orders: Vec<String> = sales.iter().map(|sale| format!("'{}'", sale.order)).collect();
    let late = format!(
        "UPDATE commerce.orders SET expires_at = commerce.clock() WHERE id IN ({})",
        orders.join(", ")
    );
    till.shop.database.conn().await.batch_execute(&late).await.unwrap();
    let mut racers = JoinSet::new();
    for (place, sale) in sales.iter().cloned().enumerate() {
        let till = Arc::clone(till);
        let pause = Duration::from_millis((place * 7 + number * 3) as u64 % 60);
        racers.spawn(async move { pays(&till, &sale, pause).await });
    }
    for _ in 0..2 {
        let (sweeper, worker) = (Arc::clone(till), Arc::clone(till));
        racers.spawn(async move { sweeps(&sweeper).await });
        racers.spawn(async move { worker.work().await });
    }
    for _ in 0..AT_ONCE / 2 {
        let till = Arc::clone(till);
        racers.spawn(async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            till.order_of(variant).await;
        });
    }
    racers.join_all().await;
    till.work().await;
    sales
}

async fn expiry_races_payment(vendor: Vendor, orders: usize) {
    let till = Arc::new(Till::new(vendor).await);
    let mut sales = Vec::new();
    for number in 0..orders / AT_ONCE {
        sales.extend(round(&till, number).await);
    }
    // Whatever was asked for at the wrong moment is asked for again.
    for seconds in [61, 200, 3600, 7200] {
        till.shop.database.shift_clock(Duration::from_secs(seconds)).await;
        sweeps(&till).await;
        till.work().await;
    }
    let (mut paid, mut refunded) = (0, 0);
    for sale in &sales {
        let end = till.end(sale).await;
        match (end.order.as_str(), end.paid) {
            ("paid", _) => {
                assert_eq!(end, End::paid());
                paid += 1;
            }
            ("cancelled", 0) => assert_eq!(end, End::unpaid(&end.attempt)),
            _ => {
                assert_eq!(end, End::refunded());
                refunded += 1;
            }
        }
    }
    println!("{vendor:?}: {orders} orders, {paid} paid, {refunded} refunded");
    Arc::into_inner(till).expect("nobody races any more").close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_races_payment_a_hundred_times_at_stripe() {
    expiry_races_payment(Vendor::Stripe, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_races_payment_a_hundred_times_at_razorpay() {
    expiry_races_payment(Vendor::Razorpay, 100).await;
}
