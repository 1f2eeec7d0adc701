//! All attacks at once on a shop that runs, while honest shoppers buy.
//!
//! The clients use different addresses of this machine (127.0.1.x, 127.0.2.x), so that the server tells them apart.
#![allow(clippy::indexing_slicing, reason = "an answer without the field gives null")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, connect};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the shop listens
    #[arg(long, default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// An admin of the shop, who gives the honest shoppers something to buy
    #[arg(long, default_value = "admin@example.com")]
    admin_email: String,
    #[arg(long, default_value = "correct-horse-battery")]
    admin_password: String,
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// 67 bytes of Brotli that are 70 MB of spaces.
const BROTLI_BOMB: &str = "cfffff7ff82540e2b14020f7fe9ffffffff04b00c4610180eefd3fffffffe1970088c32200ddfb7ffeffffc32f\
                           0110870500baf7fff9d7c1825f02200e0b00742a5800";

/// Counts answers of one kind of attack by what they mean for the shop.
#[derive(Default)]
struct Told {
    done: AtomicU64,
    refused: AtomicU64,
}

impl Told {
    fn count(&self, status: u16) {
        let counter = if status < 400 { &self.done } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Attacks {
    bombs: Told,
    orders_of_everything: Told,
    orders_to_one_address: Told,
    searches: Told,
    slow_connections: Told,
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    let address = arguments.address;
    let variant = stock_shelf(arguments).await.context("the shop cannot be prepared")?;
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let attacks = Arc::new(Attacks::default());
    for n in 0..4 {
        spawn(end, Ipv4Addr::new(127, 0, 1, 1 + n), address, Arc::clone(&attacks), bomb);
    }
    spawn(end, Ipv4Addr::new(127, 0, 1, 10), address, Arc::clone(&attacks), order_everything);
    spawn(end, Ipv4Addr::new(127, 0, 1, 20), address, Arc::clone(&attacks), order_in_anothers_name);
    for n in 0..40 {
        spawn(end, Ipv4Addr::new(127, 0, 1, 30 + n), address, Arc::clone(&attacks), search);
    }
    for n in 0..900_u16 {
        let from = Ipv4Addr::new(127, 0, 3, u8::try_from(n % 250)?);
        tokio::spawn(hold_connection(end, from, address, Arc::clone(&attacks)));
    }
    let mut purchases = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut number = 0_u32;
    while Instant::now() < end {
        tick.tick().await;
        let from = Ipv4Addr::new(127, 0, 2, u8::try_from(number % 250)?);
        number += 1;
        purchases.push(tokio::spawn(buy(from, address, variant.clone())));
    }
    let (mut times, mut failures) = (Vec::new(), Vec::new());
    for purchase in purchases {
        match purchase.await? {
            Ok(time) => times.push(time),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    times.sort_unstable();
    report(&attacks, &times, &failures);
    ensure!(failures.is_empty(), "{} purchases failed: {:?}", failures.len(), failures.first());
    let slowest = times.last().copied().unwrap_or_default();
    ensure!(slowest <= Duration::from_secs(2), "the slowest purchase took {} ms", slowest.as_millis());
    Ok(())
}

fn report(attacks: &Attacks, times: &[Duration], failures: &[String]) {
    println!("\n| attack | went through | refused |\n|---|--:|--:|");
    for (name, told) in [
        ("bodies of 67 bytes that are 70 MB", &attacks.bombs),
        ("orders of everything in stock", &attacks.orders_of_everything),
        ("orders in another's name, cancelled at once", &attacks.orders_to_one_address),
        ("searches", &attacks.searches),
        ("connections that say too little", &attacks.slow_connections),
    ] {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        println!("| {name} | {} | {} |", of(&told.done), of(&told.refused));
    }
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0, Duration::as_millis);
    println!(
        "\nHonest purchases (cart, checkout, payment): {}, failed {}; p50 {} ms, p99 {} ms, slowest {} ms.",
        times.len(),
        failures.len(),
        at(0.5),
        at(0.99),
        times.last().map_or(0, Duration::as_millis)
    );
}

/// One purchase; how long it took.
async fn buy(from: Ipv4Addr, address: SocketAddr, variant: String) -> Result<Duration> {
    let begin = Instant::now();
    let mut client = Client::connect(from, address).await?;
    let items = json!({ "items": [{ "variant_id": variant, "quantity": 1 }] });
    let cart = client.send(Method::PUT, "/v1/cart", &[], &items).await?.expect(200)?;
    let token = cart["token"].as_str().unwrap_or_default().to_owned();
    let order = client.check_out(&token, "honest@example.com").await?.expect(201)?;
    let path = format!("/v1/orders/{}/pay", order["id"].as_str().unwrap_or_default());
    let headers = [("cart-token", token.as_str()), ("idempotency-key", "pay")];
    let paid =
        client.send(Method::POST, &path, &headers, &json!({ "provider": "mock" })).await?.expect(201)?;
    ensure!(paid["status"] == "succeeded", "the payment is {}", paid["status"]);
    Ok(begin.elapsed())
}

/// Something that the honest shoppers can buy for as long as they like.
async fn stock_shelf(arguments: &Arguments) -> Result<String> {
    let mut client = Client::connect(Ipv4Addr::LOCALHOST, arguments.address).await?;
    let login = json!({ "email": arguments.admin_email, "password": arguments.admin_password });
    let session = client.send(Method::POST, "/v1/auth/login", &[], &login).await?.expect(200)?;
    let bearer = format!("Bearer {}", session["access_token"].as_str().unwrap_or_default());
    let product = json!({
        "title": "Bread", "status": "active", "stock": 100_000,
        "price": { "amount": 450, "currency": "USD" },
    });
    let headers = [("authorization", bearer.as_str())];
    let product = client.send(Method::POST, "/v1/products", &headers, &product).await?.expect(201)?;
    Ok(product["variants"][0]["id"].as_str().context("the product has no variant")?.to_owned())
}

async fn bomb(client: &mut Client, attacks: &Attacks) -> Result<()> {
    let body = (0..BROTLI_BOMB.len() / 2)
        .map(|at| u8::from_str_radix(&BROTLI_BOMB[at * 2..at * 2 + 2], 16))
        .collect::<Result<Vec<u8>, _>>()?;
    let headers = [("content-encoding", "br")];
    let answer = client.send_bytes(Method::POST, "/v1/cart/items", &headers, body).await?;
    attacks.bombs.count(answer.status);
    Ok(())
}

async fn order_everything(client: &mut Client, attacks: &Attacks) -> Result<()> {
    let path = "/v1/products?in_stock=true&limit=100";
    let products = client.send(Method::GET, path, &[], &Value::Null).await?.body;
    let products = products["data"].as_array().cloned().unwrap_or_default();
    let variants = products.iter().flat_map(|product| product["variants"].as_array().into_iter().flatten());
    let items: Vec<Value> = variants
        .filter(|variant| variant["available"].as_i64().is_some_and(|available| available > 0))
        .take(100)
        .map(|variant| {
            let quantity = variant["available"].as_i64().unwrap_or(1).min(100);
            json!({ "variant_id": variant["id"], "quantity": quantity })
        })
        .collect();
    let cart = client.send(Method::PUT, "/v1/cart", &[], &json!({ "items": items })).await?.body;
    let token = cart["token"].as_str().unwrap_or_default().to_owned();
    let ordered = client.check_out(&token, "somebody@example.com").await?;
    attacks.orders_of_everything.count(ordered.status);
    Ok(())
}

async fn order_in_anothers_name(client: &mut Client, attacks: &Attacks) -> Result<()> {
    let path = "/v1/products?in_stock=true&limit=1&sort=price";
    let products = client.send(Method::GET, path, &[], &Value::Null).await?.body;
    let variant = &products["data"][0]["variants"][0]["id"];
    let items = json!({ "items": [{ "variant_id": variant, "quantity": 1 }] });
    let cart = client.send(Method::PUT, "/v1/cart", &[], &items).await?.body;
    let token = cart["token"].as_str().unwrap_or_default().to_owned();
    let ordered = client.check_out(&token, "victim@example.com").await?;
    attacks.orders_to_one_address.count(ordered.status);
    let path = format!("/v1/orders/{}/cancel", ordered.body["id"].as_str().unwrap_or("none"));
    client.send(Method::POST, &path, &[("cart-token", &token)], &Value::Null).await?;
    Ok(())
}

async fn search(client: &mut Client, attacks: &Attacks) -> Result<()> {
    let path = "/v1/products/search?q=a+o&option=Color:red&option=Size:M&option=Material:oak&in_stock=true";
    let answer = client.send(Method::GET, path, &[], &Value::Null).await?;
    attacks.searches.count(answer.status);
    Ok(())
}

/// Sends half the head of a request and waits, over and over.
async fn hold_connection(end: Instant, from: Ipv4Addr, address: SocketAddr, attacks: Arc<Attacks>) {
    while Instant::now() < end {
        let held = async {
            let mut stream = connect(from, address).await?;
            stream.write_all(b"POST /v1/cart HTTP/1.1\r\nHost: shop\r\n").await?;
            attacks.slow_connections.count(200);
            while stream.read(&mut [0; 512]).await? > 0 {}
            anyhow::Ok(())
        };
        if held.await.is_err() {
            attacks.slow_connections.count(500);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Attacks again and again, fifty times a second at most, on a new connection whenever the old one breaks.
fn spawn(
    end: Instant,
    from: Ipv4Addr,
    address: SocketAddr,
    attacks: Arc<Attacks>,
    attack: impl AsyncFn(&mut Client, &Attacks) -> Result<()> + Send + 'static,
) {
    // Not every attack's future can move between threads, so each has a thread of its own.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            while Instant::now() < end {
                let Ok(mut client) = Client::connect(from, address).await else {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                };
                while Instant::now() < end && attack(&mut client, &attacks).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
    });
}
