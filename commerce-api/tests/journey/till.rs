//! A shop that takes money at the peer of a provider: both programs, which can be killed at a certain step, and shoppers
//! and staff who send again what was not answered.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use commerce_core::testing::{SmtpPeer, TestDatabase};
use commerce_peers::Fault;
use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::bookkeeping;
use crate::client::{Ask, Client, Got, address, ask, get, post};
use crate::held::Hold;
use crate::program::Program;
use crate::providers::{
    Peer, RAZORPAY_KEY, RAZORPAY_SECRET, RAZORPAY_WEBHOOKS, STRIPE_KEY, STRIPE_WEBHOOKS, Vendor,
};
use crate::shop::{Settings, eventually};

/// The price of every order.
pub const PRICE: i64 = 1250;

const ADMIN: [&str; 2] = ["boss@shop.example", "a quiet corner of the shop"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Api,
    Worker,
}

/// Where the victim stands when it is killed.
#[derive(Debug, Clone, Copy)]
pub enum At {
    /// A statement of its transaction waits for a row of this table.
    Row(&'static str),
    /// A statement of its transaction waits to write this table.
    Write(&'static str),
    /// The provider has this request, and has not begun. It does what it was asked for when all else is over.
    Asked(&'static str),
    /// The provider has done what this request asks for, and has not answered.
    Done(&'static str),
    /// The provider has answered this request, and the transaction with its answer waits for the order.
    Answered(&'static str),
    /// There is such a row: the transaction is committed. Whoever asked for it does not hear of it.
    Committed(&'static str),
}

/// The shop, with one provider.
pub struct Till {
    pub database: TestDatabase,
    counter: Counter,
    settings: Settings,
    api: Option<Program>,
    worker: Option<Program>,
    /// The seconds by which the shop's clock is ahead.
    passed: AtomicU64,
    _smtp: SmtpPeer,
}

/// Where shoppers and staff stand. Cheap to clone.
#[derive(Clone)]
pub struct Counter {
    pub client: Client,
    pub peer: Arc<Peer>,
    variant: String,
}

impl Deref for Till {
    type Target = Counter;

    fn deref(&self) -> &Counter {
        &self.counter
    }
}

/// An order that somebody pays.
#[derive(Debug, Clone)]
pub struct Sale {
    pub order: String,
    pub token: String,
    pub payment: String,
    /// The provider's id of the session or order.
    pub reference: String,
}

/// How a sale stands: the statuses of its order and its attempt; paid and refunded.
pub type Standing = (String, String, i64, i64);

pub fn standing(order: &str, attempt: &str, paid: i64, refunded: i64) -> Standing {
    (order.to_owned(), attempt.to_owned(), paid, refunded)
}

impl Till {
    /// `capture` is `COMMERCE_CAPTURE`.
    pub async fn open(vendor: Vendor, capture: &str) -> Self {
        let database = TestDatabase::new().await;
        let smtp = SmtpPeer::start().await.unwrap();
        let peer = Peer::start(vendor).await;
        let settings = Settings::new(database.url())
            .with("SMTP_URL", smtp.url())
            .with("COMMERCE_PAYMENT_PROVIDERS", vendor.name())
            .with("COMMERCE_CAPTURE", capture)
            // However slow the machine is, no order expires unless the test lets it.
            .with("COMMERCE_ORDER_TTL", "6h")
            .with("COMMERCE_ADMIN_EMAIL", ADMIN[0])
            .with("COMMERCE_ADMIN_PASSWORD", ADMIN[1])
            .with("STRIPE_SECRET_KEY", STRIPE_KEY)
            .with("STRIPE_WEBHOOK_SECRET", STRIPE_WEBHOOKS)
            .with("STRIPE_API_BASE", &peer.url)
            .with("RAZORPAY_KEY_ID", RAZORPAY_KEY)
            .with("RAZORPAY_KEY_SECRET", RAZORPAY_SECRET)
            .with("RAZORPAY_WEBHOOK_SECRET", RAZORPAY_WEBHOOKS)
            .with("RAZORPAY_API_BASE", &peer.url);
        let variant = database.variant(PRICE, 1_000_000).await.to_string();
        let (api, address) = settings.start_api().await;
        let worker = settings.start_worker().await;
        let counter = Counter { client: Client::new(address), peer: Arc::new(peer), variant };
        let (api, worker) = (Some(api), Some(worker));
        let till = Self { database, counter, settings, api, worker, passed: AtomicU64::new(0), _smtp: smtp };
        till.webhooks_go_to(&address.to_string());
        till
    }

    fn webhooks_go_to(&self, address: &str) {
        let name = self.peer.vendor.name();
        self.peer.hooks().deliver_to(format!("http://{address}/v1/webhooks/{name}"));
    }

    /// kill -9. It is not started again yet.
    pub async fn kill(&mut self, victim: Victim) {
        let program = match victim {
            Victim::Api => self.api.take(),
            Victim::Worker => self.worker.take(),
        };
        program.expect("it runs").kill().await;
    }

    pub async fn start(&mut self, victim: Victim) {
        match victim {
            Victim::Api => {
                let (api, address) = self.settings.start_api().await;
                self.client.moved(address);
                self.webhooks_go_to(&address.to_string());
                self.api = Some(api);
            }
            Victim::Worker => self.worker = Some(self.settings.start_worker().await),
        }
    }

    /// kill -9, and a new one.
    pub async fn dies(&mut self, victim: Victim) {
        self.kill(victim).await;
        self.start(victim).await;
    }

    /// Begins something, and kills the victim when it stands there; then it is started again.
    pub async fn dies_at<T>(&mut self, victim: Victim, at: At, begin: impl AsyncFnOnce(&mut Self) -> T) -> T {
        match at {
            At::Row(table) | At::Write(table) => {
                let hold = match at {
                    At::Row(_) => Hold::on(&self.database, table).await,
                    _ => Hold::writers(&self.database, table).await,
                };
                let begun = begin(self).await;
                hold.awaited_by(&self.database, 1).await;
                self.kill(victim).await;
                hold.release().await;
                self.start(victim).await;
                begun
            }
            At::Asked(operation) => {
                let begun = self.hangs(operation, Fault::HangBefore, begin).await;
                self.dies(victim).await;
                begun
            }
            At::Done(operation) => {
                let begun = self.hangs(operation, Fault::HangAfter, begin).await;
                self.dies(victim).await;
                begun
            }
            At::Answered(operation) => {
                let begun = self.hangs(operation, Fault::HangAfter, begin).await;
                let hold = Hold::on(&self.database, "commerce.orders").await;
                self.peer.faults().release();
                hold.awaited_by(&self.database, 1).await;
                self.kill(victim).await;
                hold.release().await;
                self.start(victim).await;
                begun
            }
            At::Committed(row) => {
                let begun = begin(self).await;
                eventually("it is committed", async || {
                    (bookkeeping::count(self.database.url(), row).await > 0).then_some(())
                })
                .await;
                self.dies(victim).await;
                begun
            }
        }
    }

    /// Begins something, and waits until a request of this operation hangs at the peer.
    async fn hangs<T>(
        &mut self,
        operation: &str,
        fault: Fault,
        begin: impl AsyncFnOnce(&mut Self) -> T,
    ) -> T {
        self.peer.spoil(operation, fault, 1);
        let begun = begin(self).await;
        let hangs = async || (self.peer.faults().hanging() > 0).then_some(());
        eventually(operation, hangs).await;
        begun
    }

    /// So many seconds pass in the shop.
    pub async fn passes(&self, seconds: u64) {
        let passed = self.passed.fetch_add(seconds, Ordering::Relaxed) + seconds;
        self.database.shift_clock(Duration::from_secs(passed)).await;
    }

    /// Waits until the shop has every webhook so far, and no job is left to do.
    pub async fn quiet(&self) {
        eventually("the webhooks arrive", async || {
            let arrived = bookkeeping::count(self.database.url(), "commerce.inbound_webhooks").await;
            (arrived == self.peer.hooks().all().len()).then_some(())
        })
        .await;
        self.idle().await;
    }

    /// Waits until no job is due, and none is being done.
    async fn idle(&self) {
        let busy = "commerce.jobs WHERE state = 'leased' OR state = 'ready' AND run_at <= commerce.clock()";
        eventually("the jobs are done", async || {
            (bookkeeping::count(self.database.url(), busy).await == 0).then_some(())
        })
        .await;
    }

    /// All that follows by itself, and then what comes late.
    pub async fn settles(&self) {
        self.jobs_end().await;
        self.comes_late().await;
    }

    /// Runs the jobs to their end: those that are due, and those that look again after a minute. No money differs then.
    pub async fn jobs_end(&self) {
        for seconds in [0, 65, 65] {
            self.passes(seconds).await;
            self.idle().await;
        }
        self.peer.check_books(&mut *self.database.conn().await).await;
    }

    /// Whatever still hangs at the peer happens there, every webhook comes once more, and the jobs run again.
    pub async fn comes_late(&self) {
        self.peer.faults().clear();
        tokio::time::sleep(Duration::from_millis(50)).await;
        for hook in self.peer.hooks().all() {
            let path = format!("/v1/webhooks/{}", self.peer.vendor.name());
            let mut webhook = ask(Method::POST, path).bytes("application/json", hook.body.clone());
            for (name, value) in &hook.headers {
                let value = match *name {
                    // It is good for five minutes.
                    "stripe-signature" => self.peer.stripe.signature(&hook.body),
                    _ => value.clone(),
                };
                webhook = webhook.header(name, value);
            }
            self.client.insist(webhook).await.expect(200);
        }
        for seconds in [0, 65, 65] {
            self.passes(seconds).await;
            self.idle().await;
        }
    }

    /// The peer's books are those of the shop, the invariants hold, and no job has died.
    pub async fn close(mut self) {
        self.peer.check_books(&mut *self.database.conn().await).await;
        for program in [self.api.take(), self.worker.take()] {
            program.expect("it runs").stop().await;
        }
        self.database.finish().await;
    }

    /// The order's time has run out. The worker notices within a second.
    pub async fn expires(&self, sale: &Sale) {
        let late = format!(
            "UPDATE commerce.orders SET expires_at = commerce.clock() WHERE id = '{}' AND status = 'pending_payment'",
            sale.order
        );
        self.database.conn().await.batch_execute(&late).await.unwrap();
    }

    pub fn counter(&self) -> Counter {
        self.counter.clone()
    }
}

impl Counter {
    /// Sends a request until it is answered, beside the test.
    pub fn insists(&self, ask: Ask) -> JoinHandle<Got> {
        let client = self.client.clone();
        tokio::spawn(async move { client.insist(ask).await })
    }

    /// A guest's order. Returns its id and the guest's token.
    pub async fn order(&self) -> (String, String) {
        let item = json!({ "variant_id": self.variant, "quantity": 1 });
        let cart = self.client.insist(post("/v1/cart/items", &item)).await.expect(200);
        let token = cart["token"].as_str().unwrap().to_owned();
        let body = json!({ "email": "ada@example.com", "shipping_address": address() });
        let checkout = post("/v1/orders/checkout", &body).cart(&token).key("checkout");
        let order = self.client.insist(checkout).await.expect(201);
        (order["id"].as_str().unwrap().to_owned(), token)
    }

    /// The request to pay an order.
    pub fn pay(&self, (order, token): &(String, String)) -> Ask {
        let body = json!({ "provider": self.peer.vendor.name() });
        post(format!("/v1/orders/{order}/pay"), &body).cart(token).key("pay")
    }

    /// The sale that this answer to the request began.
    pub fn sale(&self, (order, token): (String, String), answer: &Got) -> Sale {
        let payment = answer.expect(201);
        assert_eq!(payment["status"], "requires_action", "{payment}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Sale { order, token, payment: text(&payment["id"]), reference: text(&payment["provider_reference"]) }
    }

    /// An order whose shopper has been sent to the provider.
    pub async fn sent(&self) -> Sale {
        let placed = self.order().await;
        let answer = self.client.insist(self.pay(&placed)).await;
        self.sale(placed, &answer)
    }

    /// The request of the shopper's browser when it comes back.
    pub fn confirm(&self, sale: &Sale, details: &Value) -> Ask {
        let path = format!("/v1/payments/{}/confirm", sale.payment);
        post(path, &json!({ "details": details })).cart(&sale.token)
    }

    /// An order whose shopper has paid, or has agreed to pay, and has come back.
    pub async fn paid(&self) -> Sale {
        let sale = self.sent().await;
        let details = self.peer.shopper_pays(&sale.reference);
        self.client.insist(self.confirm(&sale, &details)).await.expect(200);
        sale
    }

    /// Waits until the shop has heard that the shopper has paid. If no webhook gets through, the shopper's browser
    /// comes back in the end.
    pub async fn is_heard_of(&self, sale: &Sale, details: &Value) {
        let begun = Instant::now();
        loop {
            let path = format!("/v1/payments/{}", sale.payment);
            let payment = self.client.insist(get(path).cart(&sale.token)).await.expect(200);
            if matches!(payment["status"].as_str().unwrap(), "authorized" | "succeeded") {
                return;
            }
            if begun.elapsed() > Duration::from_secs(10) {
                self.client.insist(self.confirm(sale, details)).await.expect(200);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An admin's token.
    pub async fn admin(&self) -> String {
        let login = json!({ "email": ADMIN[0], "password": ADMIN[1] });
        let answer = self.client.insist(post("/v1/auth/login", &login)).await;
        answer.expect(200)["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn stands(&self, sale: &Sale) -> Standing {
        let read = async |path: String| self.client.insist(get(path).cart(&sale.token)).await.expect(200);
        let order = read(format!("/v1/orders/{}", sale.order)).await;
        let payment = read(format!("/v1/payments/{}", sale.payment)).await;
        let amount = |of: &Value| of["amount"].as_i64().unwrap();
        let (paid, refunded) = (amount(&order["amount_paid"]), amount(&order["amount_refunded"]));
        standing(order["status"].as_str().unwrap(), payment["status"].as_str().unwrap(), paid, refunded)
    }
}
