//! Shoppers who order and pay, half with each provider, and some of whom change their mind.
#![allow(clippy::indexing_slicing, reason = "an answer without the field gives null")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use commerce_peers::razorpay::RazorpayPeer;
use commerce_peers::stripe::StripePeer;
use hyper::Method;
use serde_json::{Value, json};

use super::tally::{Event, Tally, Vendor};
use crate::client::{Answer, Client};
use crate::goods::SKUS;

/// What all shoppers share.
#[derive(Clone)]
pub struct Town {
    pub api: SocketAddr,
    pub stripe: StripePeer,
    pub razorpay: RazorpayPeer,
    pub tally: Arc<Tally>,
    /// The provider that dies.
    pub dead: Vendor,
    /// Whether it has died; it may be alive again.
    pub has_died: Arc<AtomicBool>,
}

/// How often a shopper asks a provider that is not available, before leaving.
const TRIES: u32 = 3;

/// As the shop says in `Retry-After`.
const PAUSE: Duration = Duration::from_secs(2);

/// A shopper who has come back from the provider waits so long for the order to be paid.
const PATIENCE: Duration = Duration::from_secs(30);

/// The shopper with this number comes, and has gone when this ends.
pub async fn shop(town: Town, number: u32) {
    let vendor = if number.is_multiple_of(2) { Vendor::Stripe } else { Vendor::Razorpay };
    if let Err(error) = buy(&town, number, vendor).await {
        town.tally.fail(format!("{vendor:?}, shopper {number}: {error:#}"));
    }
}

async fn buy(town: &Town, number: u32, vendor: Vendor) -> Result<()> {
    // One of five hundred homes: each has its own share of connections.
    let home = Ipv4Addr::new(127, 0, 4 + u8::try_from(number / 250 % 2)?, u8::try_from(1 + number % 250)?);
    let mut client = Client::connect(home, town.api).await?;
    let token = fill_cart(town, &mut client, number).await?;
    let begun = Instant::now();
    let order = client.check_out(&token, &format!("shopper{number}@example.com")).await?.expect(201)?;
    town.tally.count(Event::Order, begun.elapsed());
    let order = order["id"].as_str().context("an order has an id")?.to_owned();

    let begun = Instant::now();
    let Some(payment) = begin(town, &mut client, &order, &token, vendor).await? else { return Ok(()) };
    let beginning = begun.elapsed();
    // The connection is not kept while the shopper is at the provider's page.
    drop(client);
    tokio::time::sleep(Duration::from_millis(u64::from(200 + number * 37 % 800))).await;
    let reference = payment["provider_reference"].as_str().context("a payment has a reference")?;
    let details = match vendor {
        Vendor::Stripe => town.stripe.pay(reference).then_some(Value::Null),
        Vendor::Razorpay => town.razorpay.pay(reference),
    };
    // The shop may have ended the attempt meanwhile.
    let Some(details) = details else { return Ok(()) };
    let paid_at = Instant::now();
    let mut client = Client::connect(home, town.api).await?;
    let comes_back = !number.is_multiple_of(4) && number % 4 != 3;
    if comes_back {
        let id = payment["id"].as_str().context("a payment has an id")?;
        if !confirm(town, &mut client, id, &token, vendor, &details).await? {
            return Ok(());
        }
        town.tally.count(Event::Paid(vendor), beginning + paid_at.elapsed());
    } else {
        if !becomes_paid(town, &mut client, &order, &token, vendor).await? {
            return Ok(());
        }
        town.tally.count(Event::PaidByWebhook(vendor), paid_at.elapsed());
    }
    if number % 9 == 4 {
        drop(client);
        tokio::time::sleep(Duration::from_secs(u64::from(number % 20))).await;
        cancel(&mut Client::connect(home, town.api).await?, &order, &token).await?;
    }
    Ok(())
}

/// Three changes of a cart. Returns the guest's token.
async fn fill_cart(town: &Town, client: &mut Client, number: u32) -> Result<String> {
    let variant = |step: i64| {
        let sku = (i64::from(number) * 7 + step * 311) % SKUS;
        format!("01900002-0000-7000-8000-{sku:012x}")
    };
    let mut token = String::new();
    for step in 0..3 {
        let item = json!({ "variant_id": variant(step % 2), "quantity": 1 });
        let headers = [("cart-token", token.as_str())];
        let headers = if token.is_empty() { &headers[..0] } else { &headers[..] };
        let begun = Instant::now();
        let cart = client.send(Method::POST, "/v1/cart/items", headers, &item).await?.expect(200)?;
        town.tally.count(Event::CartChange, begun.elapsed());
        if let Some(new) = cart["token"].as_str() {
            token = new.to_owned();
        }
    }
    Ok(token)
}

fn is_unavailable(answer: &Answer) -> bool {
    answer.status == 502 && answer.body["code"] == "provider_unavailable"
}

/// `None` if the provider is not available, and the shopper leaves.
async fn begin(
    town: &Town,
    client: &mut Client,
    order: &str,
    token: &str,
    vendor: Vendor,
) -> Result<Option<Value>> {
    let headers = [("cart-token", token), ("idempotency-key", "pay")];
    let wish = json!({ "provider": vendor.name() });
    for _ in 0..TRIES {
        let begun = Instant::now();
        let answer = client.send(Method::POST, &format!("/v1/orders/{order}/pay"), &headers, &wish).await?;
        if !is_unavailable(&answer) {
            let payment = answer.expect(201)?;
            ensure!(payment["status"] == "requires_action", "the payment is {}", payment["status"]);
            return Ok(Some(payment));
        }
        town.tally.count(Event::Unavailable(vendor), begun.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(None)
}

/// Whether the payment has succeeded. The provider may not be available.
async fn confirm(
    town: &Town,
    client: &mut Client,
    payment: &str,
    token: &str,
    vendor: Vendor,
    details: &Value,
) -> Result<bool> {
    let headers = [("cart-token", token)];
    let body = if details.is_null() { Value::Null } else { json!({ "details": details }) };
    for _ in 0..TRIES {
        let begun = Instant::now();
        let answer =
            client.send(Method::POST, &format!("/v1/payments/{payment}/confirm"), &headers, &body).await?;
        if !is_unavailable(&answer) {
            let payment = answer.expect(200)?;
            ensure!(payment["status"] == "succeeded", "the payment is {}", payment["status"]);
            return Ok(true);
        }
        town.tally.count(Event::Unavailable(vendor), begun.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}

/// Whether the order becomes paid without the shopper's browser. While the provider is dead, its webhooks wait.
async fn becomes_paid(
    town: &Town,
    client: &mut Client,
    order: &str,
    token: &str,
    vendor: Vendor,
) -> Result<bool> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let path = format!("/v1/orders/{order}");
        let shown =
            client.send(Method::GET, &path, &[("cart-token", token)], &Value::Null).await?.expect(200)?;
        if shown["status"] == "paid" {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let is_excused = vendor == town.dead && town.has_died.load(Ordering::Relaxed);
    ensure!(is_excused, "no webhook has paid the order within {PATIENCE:?}");
    Ok(false)
}

async fn cancel(client: &mut Client, order: &str, token: &str) -> Result<()> {
    let headers = [("cart-token", token), ("idempotency-key", "cancel")];
    let path = format!("/v1/orders/{order}/cancel");
    let order = client.send(Method::POST, &path, &headers, &Value::Null).await?.expect(200)?;
    ensure!(order["status"] == "cancelled", "the order is {}", order["status"]);
    Ok(())
}
