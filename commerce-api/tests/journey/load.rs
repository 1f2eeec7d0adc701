//! Shoppers who buy all the time, and send again what was not answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{Ask, Client, Got, address, ask, post};
use crate::program::PATIENCE;
use crate::shop::eventually;

/// How a shopper goes about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    Pays,
    /// The first card is declined.
    PaysAtTheSecondTry,
    /// Pays, and thinks better of it.
    Cancels,
    NeverPays,
}

/// An order as the API acknowledged it.
#[derive(Debug, Clone)]
pub struct Purchase {
    pub order_id: String,
    pub email: String,
    pub total_minor: i64,
    pub habit: Habit,
}

/// What everybody has done so far.
#[derive(Debug, Default)]
struct Tally {
    stop: AtomicBool,
    purchases: AtomicUsize,
    refused: AtomicUsize,
    answers_lost: AtomicUsize,
    unavailable: AtomicUsize,
    in_use: AtomicUsize,
    replayed: AtomicUsize,
}

/// How often something had to be sent again, and why.
#[derive(Debug)]
#[expect(dead_code, reason = "some are only shown")]
pub struct Troubles {
    /// Nobody listened.
    pub refused: usize,
    /// A connection broke before the answer came.
    pub answers_lost: usize,
    /// 503.
    pub unavailable: usize,
    /// The same request was still being worked on.
    pub in_use: usize,
    /// It had been done already, and its answer came again.
    pub replayed: usize,
}

/// Shoppers at work.
pub struct Load {
    tally: Arc<Tally>,
    shoppers: JoinSet<Vec<Purchase>>,
    started: Instant,
}

impl Load {
    /// Each of the shoppers buys some of these variants again and again.
    pub fn start(client: &Client, shoppers: usize, variants: &[String]) -> Self {
        let tally = Arc::new(Tally::default());
        let mut tasks = JoinSet::new();
        for index in 0..shoppers {
            let (client, tally, variants) = (client.clone(), Arc::clone(&tally), variants.to_vec());
            tasks.spawn(async move {
                let shopper = Shopper { client, tally, index };
                let mut purchases = Vec::new();
                while !shopper.tally.stop.load(Ordering::Relaxed) {
                    purchases.push(shopper.buy(purchases.len(), &variants).await);
                    shopper.tally.purchases.fetch_add(1, Ordering::Relaxed);
                }
                purchases
            });
        }
        Self { tally, shoppers: tasks, started: Instant::now() }
    }

    /// Waits until so many more purchases are done.
    pub async fn goes_on_for(&self, purchases: usize) {
        let goal = self.tally.purchases.load(Ordering::Relaxed) + purchases;
        eventually("the shoppers buy", async || {
            (self.tally.purchases.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    /// Everybody ends the purchase they are at. Returns all that was acknowledged.
    pub async fn end(self) -> (Vec<Purchase>, Troubles) {
        self.tally.stop.store(true, Ordering::Relaxed);
        let purchases: Vec<Purchase> = self.shoppers.join_all().await.into_iter().flatten().collect();
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let troubles = Troubles {
            refused: count(&self.tally.refused),
            answers_lost: count(&self.tally.answers_lost),
            unavailable: count(&self.tally.unavailable),
            in_use: count(&self.tally.in_use),
            replayed: count(&self.tally.replayed),
        };
        let seconds = self.started.elapsed().as_secs_f32();
        println!("{} purchases in {seconds:.1} s; {troubles:?}", purchases.len());
        (purchases, troubles)
    }
}

struct Shopper {
    client: Client,
    tally: Arc<Tally>,
    index: usize,
}

impl Shopper {
    async fn buy(&self, number: usize, variants: &[String]) -> Purchase {
        let email = format!("shopper-{}-{number}@example.com", self.index);
        let habit = match (self.index + number) % 8 {
            1 => Habit::PaysAtTheSecondTry,
            3 => Habit::Cancels,
            5 => Habit::NeverPays,
            _ => Habit::Pays,
        };
        let token = self.fill_cart(number, variants).await;

        let body = json!({ "email": email, "shipping_address": address() });
        let checkout = post("/v1/orders/checkout", &body).cart(&token).key("checkout");
        let order = self.insist(checkout).await.expect(201);
        let order_id = order["id"].as_str().unwrap().to_owned();
        let total_minor = order["total"]["amount"].as_i64().unwrap();
        let pay = |outcome: &str| {
            let body = json!({ "provider": "mock", "outcome": outcome });
            post(format!("/v1/orders/{order_id}/pay"), &body).cart(&token).key(outcome)
        };
        if habit == Habit::PaysAtTheSecondTry {
            let declined = self.insist(pay("fail")).await.expect(201);
            assert_eq!(declined["status"], "failed", "{declined}");
        }
        if habit != Habit::NeverPays {
            let paid = self.insist(pay("succeed")).await.expect(201);
            assert_eq!(paid["status"], "succeeded", "{paid}");
            assert_eq!(paid["amount"]["amount"], total_minor, "{paid}");
        }
        if habit == Habit::Cancels {
            let cancel = ask(Method::POST, format!("/v1/orders/{order_id}/cancel"));
            let cancel = cancel.cart(&token).key("cancel");
            assert_eq!(self.insist(cancel).await.expect(200)["status"], "cancelled");
        }
        Purchase { order_id, email, total_minor, habit }
    }

    /// A guest's token with one or two variants in the cart, in whatever order.
    async fn fill_cart(&self, number: usize, variants: &[String]) -> String {
        let first = (self.index * 7 + number * 3) % variants.len();
        let second = (self.index + number * 5) % variants.len();
        let add = |variant: usize, quantity: usize| {
            let item = json!({ "variant_id": variants[variant], "quantity": quantity });
            post("/v1/cart/items", &item)
        };
        // A cart whose token was never told is nobody's: a guest without a token has nothing to lose by asking again.
        let cart = self.insist(add(first, 1 + number % 2)).await.expect(200);
        let token = cart["token"].as_str().unwrap().to_owned();
        if second != first {
            self.insist(add(second, 1).cart(&token).key("second")).await.expect(200);
        }
        token
    }

    /// Sends the same request until it is answered.
    async fn insist(&self, ask: Ask) -> Got {
        let started = Instant::now();
        loop {
            let count = match self.client.try_send(ask.clone()).await {
                Err(error) if error.is_connect() => &self.tally.refused,
                Err(_) => &self.tally.answers_lost,
                Ok(got) if got.status == 503 => {
                    assert!(got.header("retry-after").is_some(), "{}", got.text);
                    &self.tally.unavailable
                }
                Ok(got) if got.status == 409 && got.json()["code"] == "idempotency_key_in_use" => {
                    &self.tally.in_use
                }
                Ok(got) => {
                    let replays = usize::from(got.header("idempotent-replayed").is_some());
                    self.tally.replayed.fetch_add(replays, Ordering::Relaxed);
                    return got;
                }
            };
            count.fetch_add(1, Ordering::Relaxed);
            assert!(started.elapsed() < PATIENCE, "no answer, however often it is sent: {ask:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
