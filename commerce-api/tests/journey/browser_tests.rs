//! The whole way of a payment, as a shopper goes it: from the cart of a storefront over the page of the provider and back,
//! in Chromium. The shop, its worker and the peers of both providers are processes.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};

use commerce_core::schema::payments;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use poem::IntoResponse as _;
use poem::endpoint::make_sync;
use poem::listener::TcpAcceptor;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::client::{Client, get, post};
use crate::program::{Program, peers_binary};
use crate::shop::{Shop, eventually};
use crate::webdriver::{Browser, browser};

const STOREFRONT: &str = include_str!("browser_tests/storefront.html");

/// What the shop and the peers have in common.
const KEYS: [(&str, &str); 5] = [
    ("STRIPE_SECRET_KEY", "sk_test_key"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_secret"),
    ("RAZORPAY_KEY_ID", "rzp_test_key"),
    ("RAZORPAY_KEY_SECRET", "key secret"),
    ("RAZORPAY_WEBHOOK_SECRET", "webhook secret"),
];

/// Two units.
const TOTAL: i64 = 2500;

#[derive(Debug, Clone, Copy)]
enum Vendor {
    Stripe,
    Razorpay,
}

/// The peers, in one process.
struct Peers {
    program: Program,
    stripe: SocketAddr,
    razorpay: SocketAddr,
}

struct Journey {
    vendor: Vendor,
    shop: Shop,
    peers: Peers,
    api: SocketAddr,
    storefront: String,
    server: JoinHandle<()>,
    browser: Browser,
    /// The order of the shopper, and the guest's token.
    order: String,
    token: String,
}

/// Where a program can listen that must be told before it starts. Other programs take their ports at 127.0.0.1, so nobody
/// takes this one meanwhile.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.2:0").or_else(|_| TcpListener::bind("127.0.0.1:0"));
    listener.unwrap().local_addr().unwrap()
}

impl Peers {
    async fn start(shop: SocketAddr) -> Self {
        let mut command = Command::new(peers_binary());
        command.env_clear().envs(KEYS).args([
            "--stripe-addr",
            "127.0.0.1:0",
            "--razorpay-addr",
            "127.0.0.1:0",
        ]);
        command.args(["--shop", &format!("http://{shop}")]);
        let mut program = Program::start("commerce-peers", command);
        let mut address = async |part: &str| {
            let line = program.says(part).await;
            line.rsplit('/').next().unwrap().parse().unwrap()
        };
        let (stripe, razorpay) = (address("of Stripe").await, address("of Razorpay").await);
        Self { program, stripe, razorpay }
    }

    fn client(&self, vendor: Vendor) -> Client {
        Client::new(match vendor {
            Vendor::Stripe => self.stripe,
            Vendor::Razorpay => self.razorpay,
        })
    }
}

/// Serves the storefront, which is on another origin than the shop's API.
fn serve(listener: TcpListener, page: String) -> JoinHandle<()> {
    let acceptor = TcpAcceptor::from_std(listener).unwrap();
    // So that nothing is left of it when it ends.
    let page = make_sync(move |_| poem::web::Html(page.clone()).with_header("Connection", "close"));
    tokio::spawn(async move { poem::Server::new_with_acceptor(acceptor).run(page).await.unwrap() })
}

impl Journey {
    /// `None` where there is no browser. With `back` Stripe sends the shopper back to the storefront.
    async fn begin(test: &str, vendor: Vendor, back: bool) -> Option<Self> {
        let browser = browser(test).await?;
        let api = free_address();
        let peers = Peers::start(api).await;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let storefront = format!("http://{}", listener.local_addr().unwrap());
        let shop = Shop::open_with(|mut settings| {
            for (name, value) in KEYS {
                settings = settings.with(name, value);
            }
            if back {
                let url = format!("{storefront}/?session={{CHECKOUT_SESSION_ID}}");
                settings = settings.with("COMMERCE_CHECKOUT_SUCCESS_URL", url);
            }
            settings
                .with("COMMERCE_HTTP_ADDR", api.to_string())
                .with("COMMERCE_PUBLIC_URL", format!("http://{api}"))
                .with("COMMERCE_CORS_ORIGINS", &storefront)
                .with("COMMERCE_PAYMENT_PROVIDERS", "stripe,razorpay")
                .with("STRIPE_API_BASE", format!("http://{}", peers.stripe))
                .with("RAZORPAY_API_BASE", format!("http://{}", peers.razorpay))
        })
        .await;
        let variant = shop.database.variant(TOTAL / 2, 100).await.to_string();
        let page = STOREFRONT
            .replace("%api%", &format!("http://{api}"))
            .replace("%razorpay%", &format!("http://{}", peers.razorpay))
            .replace("%variant%", &variant);
        let server = serve(listener, page);
        browser.open(&storefront).await;
        browser.press("#order").await;
        browser.until("document.querySelector('#order-status').innerText == 'pending_payment'").await;
        let kept = async |name: &str| {
            let kept = browser.run(&format!("return sessionStorage.getItem('{name}')")).await;
            kept.as_str().unwrap().to_owned()
        };
        let (order, token) = (kept("order").await, kept("token").await);
        Some(Self { vendor, shop, peers, api, storefront, server, browser, order, token })
    }

    fn name(&self) -> &'static str {
        match self.vendor {
            Vendor::Stripe => "stripe",
            Vendor::Razorpay => "razorpay",
        }
    }

    /// Begins a payment in the storefront and goes to the page of the provider. Returns the storefront's window.
    async fn go_to_the_provider(&self) -> String {
        let storefront = self.browser.windows().await.remove(0);
        self.browser.press(&format!("#{}", self.name())).await;
        if matches!(self.vendor, Vendor::Razorpay) {
            let page = eventually("the checkout opens", async || {
                self.browser.windows().await.into_iter().find(|window| *window != storefront)
            })
            .await;
            self.browser.go_to_window(&page).await;
        }
        self.browser.until("document.querySelector('h1')?.innerText == 'Pay 25.00 USD'").await;
        storefront
    }

    /// The provider's page closes itself, and the storefront is there again.
    async fn back_from_the_checkout(&self, storefront: &str) {
        eventually("the checkout closes", async || (self.browser.windows().await.len() == 1).then_some(()))
            .await;
        self.browser.go_to_window(storefront).await;
    }

    /// Webhooks are lost from now on, so whatever is settled is settled by the shopper's browser.
    async fn lose_webhooks(&self) {
        let lose = post("/_peer/webhooks", &json!({ "delivery": "lose" }));
        self.peers.client(self.vendor).send(lose).await.expect(200);
    }

    /// The page that says thank you, and then the storefront with the paid order.
    async fn thanks(&self) {
        self.browser.until("location.pathname == '/payment-return'").await;
        self.browser.until("document.querySelector('h1')?.innerText == 'Thank you'").await;
    }

    /// Pays on the provider's page, comes back, and finds the order paid.
    async fn pay_there(&self, storefront: &str) {
        self.browser.press("#pay").await;
        if matches!(self.vendor, Vendor::Razorpay) {
            self.back_from_the_checkout(storefront).await;
        }
        self.thanks().await;
        self.order_becomes("paid").await;
    }

    /// Looks at the order in the storefront until it has this status.
    async fn order_becomes(&self, status: &str) {
        let address = self.browser.run("return location.href").await;
        if !address.as_str().unwrap().starts_with(&self.storefront) {
            self.browser.open(&self.storefront).await;
        }
        let shown = "document.querySelector('#order-status').innerText";
        eventually(&format!("the order becomes {status}"), async || {
            self.browser.until(shown).await;
            if self.browser.run(&format!("return {shown}")).await == status {
                return Some(());
            }
            self.browser.run("show().catch(error => tell(String(error)))").await;
            None
        })
        .await;
    }

    async fn storefront_tells(&self, text: &str) {
        self.browser.until(&format!("document.querySelector('#told').innerText == {}", json!(text))).await;
    }

    /// Of the attempts to pay, the oldest first.
    async fn attempts(&self) -> Vec<String> {
        let path = format!("/v1/payments?order_id={}", self.order);
        let listed = self.shop.client.send(get(path).cart(&self.token)).await.expect(200);
        let status = |payment: &Value| payment["status"].as_str().unwrap().to_owned();
        listed["data"].as_array().unwrap().iter().rev().map(status).collect()
    }

    /// What is seen fits the screen, and is left where a person can look at it.
    async fn look_at(&self, name: &str) {
        for (device, width, height) in [("phone", 360, 740), ("desk", 1280, 800)] {
            self.browser.on_a_screen_of(width, height).await;
            let shown = self.browser.run("return document.documentElement.scrollWidth").await;
            assert!(shown.as_u64() <= Some(u64::from(width)), "{name} on a {device}: {shown} pixels wide");
            self.browser.keep_picture(&format!("payment-{name}-{device}.png")).await;
        }
    }

    /// The order becomes paid although no browser asks for anything.
    async fn paid_while_nobody_looks(&self) {
        eventually("the order is paid", async || {
            let order = get(format!("/v1/orders/{}", self.order)).cart(&self.token);
            let order = self.shop.client.send(order).await.expect(200);
            (order["status"] == "paid").then_some(())
        })
        .await;
    }

    /// Nobody but the shop, the storefront and the peers was asked for anything. The books of the shop are those of the peer,
    /// with so many payments, and the invariants hold.
    async fn end(self, payments_made: usize) {
        let known = [
            self.storefront.clone(),
            format!("http://{}", self.api),
            format!("http://{}", self.peers.stripe),
            format!("http://{}", self.peers.razorpay),
        ];
        let requested = self.browser.requested().await;
        let is_known = |address: &&String| {
            address.starts_with("data:") || known.iter().any(|known| address.starts_with(known))
        };
        let others: Vec<&String> = requested.iter().filter(|address| !is_known(address)).collect();
        assert!(others.is_empty() && !requested.is_empty(), "{others:?}");
        self.browser.quit().await;

        let books = self.peers.client(self.vendor).send(get("/_peer/books")).await.expect(200);
        let sums = |sums: &Value| (sums["captured"].as_i64().unwrap(), sums["refunded"].as_i64().unwrap());
        let theirs: BTreeMap<String, (i64, i64)> = books
            .as_object()
            .unwrap()
            .iter()
            .map(|(payment, told)| (payment.clone(), sums(told)))
            .filter(|(_, moved)| *moved != (0, 0))
            .collect();
        let ours: Vec<(commerce_core::ids::PaymentId, i64, i64)> = payments::table
            .filter(payments::captured_minor.gt(0))
            .select((payments::id, payments::captured_minor, payments::refunded_minor))
            .load(&mut self.shop.database.conn().await)
            .await
            .unwrap();
        let ours = ours.into_iter().map(|(id, captured, refunded)| (id.to_string(), (captured, refunded)));
        assert_eq!(ours.collect::<BTreeMap<_, _>>(), theirs, "ours and theirs");
        assert_eq!(theirs.values().copied().collect::<Vec<_>>(), vec![(TOTAL, 0); payments_made]);
        self.shop.close().await;
        self.peers.program.stop().await;
        self.server.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_pays_on_stripes_page_after_a_declined_card() {
    let test = "a_shopper_pays_on_stripes_page_after_a_declined_card";
    let Some(journey) = Journey::begin(test, Vendor::Stripe, false).await else { return };
    let storefront = journey.go_to_the_provider().await;
    journey.browser.press("#decline").await;
    journey.browser.until("document.querySelector('#declined')").await;
    journey.pay_there(&storefront).await;
    assert_eq!(journey.attempts().await, ["succeeded"]);
    journey.end(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storefront_shows_stripes_result_at_once_without_a_webhook() {
    let test = "a_storefront_shows_stripes_result_at_once_without_a_webhook";
    let Some(journey) = Journey::begin(test, Vendor::Stripe, true).await else { return };
    journey.lose_webhooks().await;
    journey.go_to_the_provider().await;
    journey.browser.press("#pay").await;
    journey.storefront_tells("succeeded").await;
    journey.order_becomes("paid").await;
    journey.end(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_leaves_stripes_page_and_pays_later() {
    let test = "a_shopper_leaves_stripes_page_and_pays_later";
    let Some(journey) = Journey::begin(test, Vendor::Stripe, false).await else { return };
    journey.go_to_the_provider().await;
    journey.browser.press("#cancel").await;
    journey.browser.until("location.pathname == '/payment-return/cancelled'").await;
    journey.browser.until("document.querySelector('h1')?.innerText == 'The payment was cancelled'").await;
    journey.order_becomes("pending_payment").await;
    // The first page can no longer be used.
    let storefront = journey.go_to_the_provider().await;
    assert_eq!(journey.attempts().await, ["expired", "requires_action"]);
    journey.pay_there(&storefront).await;
    journey.end(1).await;
}

/// The shopper's way back is cut, and nobody confirms anything.
#[tokio::test(flavor = "multi_thread")]
async fn stripes_webhook_alone_pays_the_order_of_a_closed_browser() {
    let test = "stripes_webhook_alone_pays_the_order_of_a_closed_browser";
    let Some(mut journey) = Journey::begin(test, Vendor::Stripe, true).await else { return };
    journey.go_to_the_provider().await;
    journey.server.abort();
    assert!((&mut journey.server).await.unwrap_err().is_cancelled());
    journey.browser.press("#pay").await;
    journey.paid_while_nobody_looks().await;
    journey.end(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_pays_in_razorpays_checkout_and_the_storefront_confirms_it() {
    let test = "a_shopper_pays_in_razorpays_checkout_and_the_storefront_confirms_it";
    let Some(journey) = Journey::begin(test, Vendor::Razorpay, false).await else { return };
    // What the checkout returns is enough.
    journey.lose_webhooks().await;
    let storefront = journey.go_to_the_provider().await;
    journey.pay_there(&storefront).await;
    assert_eq!(journey.attempts().await, ["succeeded"]);
    journey.end(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_whose_payment_failed_in_razorpays_checkout_pays_again() {
    let test = "a_shopper_whose_payment_failed_in_razorpays_checkout_pays_again";
    let Some(journey) = Journey::begin(test, Vendor::Razorpay, false).await else { return };
    let storefront = journey.go_to_the_provider().await;
    journey.browser.press("#decline").await;
    journey.back_from_the_checkout(&storefront).await;
    journey.storefront_tells("failed: BAD_REQUEST_ERROR").await;
    eventually("the shop hears of the failure", async || {
        (journey.attempts().await == ["failed"]).then_some(())
    })
    .await;
    journey.order_becomes("pending_payment").await;
    let storefront = journey.go_to_the_provider().await;
    journey.pay_there(&storefront).await;
    assert_eq!(journey.attempts().await, ["failed", "succeeded"]);
    journey.end(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_closes_razorpays_checkout_and_pays_later() {
    let test = "a_shopper_closes_razorpays_checkout_and_pays_later";
    let Some(journey) = Journey::begin(test, Vendor::Razorpay, false).await else { return };
    let storefront = journey.go_to_the_provider().await;
    journey.browser.close_window().await;
    journey.back_from_the_checkout(&storefront).await;
    journey.storefront_tells("dismissed").await;
    journey.order_becomes("pending_payment").await;
    let storefront = journey.go_to_the_provider().await;
    journey.pay_there(&storefront).await;
    assert_eq!(journey.attempts().await, ["expired", "succeeded"]);
    journey.end(1).await;
}

/// The storefront is gone before the shopper pays, and nobody confirms anything.
#[tokio::test(flavor = "multi_thread")]
async fn razorpays_webhook_alone_pays_the_order_of_a_closed_storefront() {
    let test = "razorpays_webhook_alone_pays_the_order_of_a_closed_storefront";
    let Some(journey) = Journey::begin(test, Vendor::Razorpay, false).await else { return };
    let storefront = journey.go_to_the_provider().await;
    let checkout = journey.browser.windows().await.into_iter().find(|window| *window != storefront).unwrap();
    journey.browser.go_to_window(&storefront).await;
    journey.browser.close_window().await;
    journey.browser.go_to_window(&checkout).await;
    journey.browser.press("#pay").await;
    journey.browser.until("document.querySelector('#paid')").await;
    journey.paid_while_nobody_looks().await;
    assert_eq!(journey.attempts().await, ["succeeded"]);
    journey.end(1).await;
}

/// The pages as they are seen on a phone and on a desk, left where a person can look at them.
#[tokio::test(flavor = "multi_thread")]
async fn the_pages_fit_a_phone_and_a_desk() {
    let test = "the_pages_fit_a_phone_and_a_desk";
    let Some(journey) = Journey::begin(test, Vendor::Stripe, false).await else { return };
    let browser = &journey.browser;
    journey.go_to_the_provider().await;
    journey.look_at("stripe").await;
    browser.press("#decline").await;
    browser.until("document.querySelector('#declined')").await;
    journey.look_at("stripe-declined").await;
    browser.press("#cancel").await;
    browser.until("location.pathname == '/payment-return/cancelled'").await;
    journey.look_at("return-cancelled").await;
    journey.order_becomes("pending_payment").await;

    let at_razorpay = Journey { vendor: Vendor::Razorpay, ..journey };
    let browser = &at_razorpay.browser;
    let storefront = at_razorpay.go_to_the_provider().await;
    let page = browser.run("return location.href").await.as_str().unwrap().to_owned();
    browser.close_window().await;
    at_razorpay.back_from_the_checkout(&storefront).await;
    // As a person does who has no storefront.
    browser.open(&page).await;
    at_razorpay.look_at("razorpay").await;
    browser.press("#decline").await;
    browser.until("document.querySelector('#declined')").await;
    at_razorpay.look_at("razorpay-declined").await;
    browser.press("#pay").await;
    browser.until("document.querySelector('#paid')").await;
    at_razorpay.look_at("razorpay-paid").await;
    browser.open(&format!("http://{}/payment-return", at_razorpay.api)).await;
    at_razorpay.look_at("return").await;
    at_razorpay.paid_while_nobody_looks().await;
    at_razorpay.end(1).await;
}
