//! Money at Stripe and Razorpay over HTTP, against their peers: webhooks in every order, twice and not at all, and
//! providers that do what they were asked for and do not answer. In the end, the peer's books are those of the shop.

mod any_order;
mod delivered;
mod lost;
mod unanswered;

use std::sync::Arc;
use std::time::Duration;

use commerce_core::accounts::SecretKey;
use commerce_core::flows::{CheckPayment, EndPayment, ProcessWebhook, RefundPayment, expire_orders};
use commerce_core::ids::{PaymentId, VariantId};
use commerce_core::jobs::{self, Job as _, Services};
use commerce_core::notifications::{FolderMailer, MailSettings, Sender};
use commerce_core::payments::{
    self, PaymentProvider, RazorpayProvider, RazorpaySettings, StripeProvider, StripeSettings,
};
use commerce_core::search::SearchIndex;
use commerce_core::settings::ShopSettings;
use commerce_peers::razorpay::RazorpayPeer;
use commerce_peers::stripe::StripePeer;
use commerce_peers::{Fault, Faults, Hook, Hooks, RunningPeer};
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};

use crate::shop::{Got, SECRET, TestShop, ask, get, post};

/// The price of every order.
const PRICE: i64 = 1250;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vendor {
    Stripe,
    Razorpay,
}

impl Vendor {
    fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Razorpay => "razorpay",
        }
    }
}

/// A shop that takes payments with one provider, at its peer.
struct Till {
    shop: TestShop,
    vendor: Vendor,
    stripe: StripePeer,
    razorpay: RazorpayPeer,
    /// The peer's URL.
    peer: String,
    variant: VariantId,
    services: Services,
    _running: RunningPeer,
    _mails: tempfile::TempDir,
}

/// An order that somebody pays.
struct Sale {
    order: String,
    payment: String,
    /// The provider's id of the session or order.
    reference: String,
    token: String,
}

/// What must be the same in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    order: String,
    payment_status: String,
    paid: i64,
    refunded: i64,
    attempt: String,
    captured: i64,
}

impl End {
    /// The order is paid by this attempt.
    fn paid() -> Self {
        let (order, payment_status, attempt) = ("paid".into(), "paid".into(), "succeeded".into());
        Self { order, payment_status, paid: PRICE, refunded: 0, attempt, captured: PRICE }
    }

    /// The order was cancelled, and no money came in.
    fn unpaid(attempt: &str) -> Self {
        let (order, payment_status) = ("cancelled".into(), "unpaid".into());
        Self { order, payment_status, paid: 0, refunded: 0, attempt: attempt.into(), captured: 0 }
    }

    /// The order was cancelled, and all the money that came in went back.
    fn refunded() -> Self {
        let (order, payment_status, attempt) = ("cancelled".into(), "refunded".into(), "refunded".into());
        Self { order, payment_status, paid: PRICE, refunded: PRICE, attempt, captured: PRICE }
    }
}

impl Till {
    async fn new(vendor: Vendor) -> Self {
        Self::selling(vendor, 1_000_000).await
    }

    /// With so many units to sell.
    async fn selling(vendor: Vendor, on_hand: i64) -> Self {
        Self::build(vendor, ShopSettings::default(), on_hand, Duration::from_secs(6)).await
    }

    /// With these rules. Nobody waits long for a provider that does not answer.
    async fn impatient(vendor: Vendor, rules: ShopSettings) -> Self {
        Self::build(vendor, rules, 10, Duration::from_secs(1)).await
    }

    async fn build(vendor: Vendor, rules: ShopSettings, on_hand: i64, patience: Duration) -> Self {
        let stripe = StripePeer::new("sk_test_key", "whsec_secret");
        let razorpay = RazorpayPeer::new("rzp_test_key", "key secret", "webhook secret");
        let running = match vendor {
            Vendor::Stripe => stripe.start(0).await.unwrap(),
            Vendor::Razorpay => razorpay.start(0).await.unwrap(),
        };
        let peer = running.url();
        let shop = TestShop::ruled_and_paid_by(rules.clone(), [provider(vendor, &peer, patience)]).await;
        let variant = shop.database.variant(PRICE, on_hand).await;
        let mails = tempfile::tempdir().unwrap();
        let services = Services {
            pool: shop.database.pool().clone(),
            shop: rules,
            mailer: Arc::new(FolderMailer::new(mails.path()).unwrap()),
            mails: Arc::new(MailSettings {
                sender: "Shop <shop@example.com>".parse::<Sender>().unwrap(),
                shop_url: None,
                password_reset_url: None,
                order_url: None,
                secret_key: SecretKey::parse(SECRET).unwrap(),
                carriers: Default::default(),
            }),
            providers: shop.state.providers.clone(),
            media: shop.state.media.clone(),
            search_index: SearchIndex::none(),
        };
        Self { shop, vendor, stripe, razorpay, peer, variant, services, _running: running, _mails: mails }
    }

    fn hooks(&self) -> &Arc<Hooks> {
        match self.vendor {
            Vendor::Stripe => self.stripe.hooks(),
            Vendor::Razorpay => self.razorpay.hooks(),
        }
    }

    fn faults(&self) -> &Faults {
        match self.vendor {
            Vendor::Stripe => self.stripe.faults(),
            Vendor::Razorpay => self.razorpay.faults(),
        }
    }

    /// The next `times` requests of this operation have this fault.
    fn spoil(&self, operation: &str, fault: Fault, times: usize) {
        for _ in 0..times {
            self.faults().add(operation, fault);
        }
    }

    /// A guest's order over [`PRICE`], with a token of its own. Returns the ids of the order and the guest's token.
    async fn order(&self) -> (String, String) {
        let item = json!({ "variant_id": self.variant.to_string(), "quantity": 1 });
        let cart = self.shop.send(post("/v1/cart/items", &item)).await.json();
        let token = cart["token"].as_str().unwrap().to_owned();
        let address = json!({
            "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB",
        });
        let body = json!({ "email": "ada@example.com", "shipping_address": address });
        let checkout = post("/v1/orders/checkout", &body).header("Cart-Token", &token);
        let placed = self.shop.send(checkout.header("Idempotency-Key", "checkout")).await;
        assert_eq!(placed.status, 201, "{}", placed.text);
        (placed.json()["id"].as_str().unwrap().to_owned(), token)
    }

    /// `POST /orders/{id}/pay` with this key.
    async fn pay(&self, order: &str, token: &str, key: &str) -> Got {
        let path = format!("/v1/orders/{order}/pay");
        let pay = post(&path, &json!({ "provider": self.vendor.name() })).header("Cart-Token", token);
        self.shop.send(pay.header("Idempotency-Key", key)).await
    }

    /// The sale that this answer to a request to pay began.
    fn begun(&self, order: String, token: String, answer: &Got) -> Sale {
        assert_eq!(answer.status, 201, "{}", answer.text);
        let payment = answer.json();
        assert_eq!(payment["status"], "requires_action");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (payment, reference) = (text(&payment["id"]), text(&payment["provider_reference"]));
        Sale { order, payment, reference, token }
    }

    /// An order whose shopper has been sent to the provider.
    async fn sale(&self) -> Sale {
        let (order, token) = self.order().await;
        let answer = self.pay(&order, &token, "pay").await;
        self.begun(order, token, &answer)
    }

    /// The shopper pays, or agrees to pay if the shop takes the money later. Returns what the browser brings back.
    fn shopper_pays(&self, sale: &Sale) -> Value {
        match self.vendor {
            Vendor::Stripe => {
                assert!(self.stripe.pay(&sale.reference));
                Value::Null
            }
            Vendor::Razorpay => self.razorpay.pay(&sale.reference).unwrap(),
        }
    }

    /// The shopper's browser comes back.
    async fn confirm(&self, sale: &Sale, details: &Value) -> Got {
        let path = format!("/v1/payments/{}/confirm", sale.payment);
        let confirm = match details {
            Value::Null => ask(Method::POST, &path),
            details => post(&path, &json!({ "details": details })),
        };
        self.shop.send(confirm.header("Cart-Token", &sale.token)).await
    }

    /// A webhook arrives.
    async fn deliver(&self, hook: &Hook) {
        let path = format!("/v1/webhooks/{}", self.vendor.name());
        let mut webhook = ask(Method::POST, &path).body("application/json", &hook.body);
        for (name, value) in &hook.headers {
            webhook = webhook.header(name, value);
        }
        let got = self.shop.send(webhook).await;
        assert_eq!((got.status.as_u16(), got.json()), (200, json!({ "events": 1 })), "{}", hook.kind);
    }

    /// Runs the jobs about money that are due, as a worker does, until none is due.
    async fn work(&self) {
        let kinds = [ProcessWebhook::KIND, CheckPayment::KIND, EndPayment::KIND, RefundPayment::KIND];
        loop {
            let lease = Duration::from_secs(60);
            let due = {
                let mut conn = self.shop.database.conn().await;
                jobs::claim(&mut conn, "worker", &kinds, 10, lease).await.unwrap()
            };
            if due.is_empty() {
                return;
            }
            for job in due {
                if let Err(failure) = jobs::run(&job, &self.services).await {
                    jobs::fail(&mut *self.shop.database.conn().await, &job, &failure).await.unwrap();
                }
            }
        }
    }

    /// The time of the order has run out `ago`, and the sweep runs.
    async fn expire(&self, order: &str, ago: Duration) {
        let late = format!(
            "UPDATE commerce.orders SET expires_at = commerce.clock() - interval '{} seconds'
             WHERE id = '{order}' AND status = 'pending_payment'",
            ago.as_secs()
        );
        self.shop.database.conn().await.batch_execute(&late).await.unwrap();
        let Services { pool, shop, providers, .. } = &self.services;
        expire_orders(pool, shop, providers, 100).await.unwrap();
    }

    /// How the sale stands, over HTTP.
    async fn end(&self, sale: &Sale) -> End {
        let read =
            async |path: String| self.shop.send(get(&path).header("Cart-Token", &sale.token)).await.json();
        let order = read(format!("/v1/orders/{}", sale.order)).await;
        let payment = read(format!("/v1/payments/{}", sale.payment)).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        End {
            order: text(&order["status"]),
            payment_status: text(&order["payment_status"]),
            paid: order["amount_paid"]["amount"].as_i64().unwrap(),
            refunded: order["amount_refunded"]["amount"].as_i64().unwrap(),
            attempt: text(&payment["status"]),
            captured: payment["amount_captured"]["amount"].as_i64().unwrap(),
        }
    }

    /// The peer's books are those of the shop to the cent, the invariants hold, and no job has died.
    async fn close(self) {
        let ledger = match self.vendor {
            Vendor::Stripe => self.stripe.ledger(),
            Vendor::Razorpay => self.razorpay.ledger(),
        };
        for (id, theirs) in ledger.as_object().unwrap() {
            let id = PaymentId(id.parse().unwrap());
            let ours = payments::find(&mut *self.shop.database.conn().await, id).await.unwrap().unwrap();
            assert_eq!(
                (&theirs["captured"], &theirs["refunded"]),
                (&json!(ours.captured_minor), &json!(ours.refunded_minor)),
                "{ours:?}"
            );
            assert!(theirs["currency"].as_str().unwrap().eq_ignore_ascii_case(ours.currency.code()));
        }
        let missing = count(&self.shop, "commerce.payments WHERE captured_minor > 0").await;
        let known = ledger.as_object().unwrap().values();
        let known = known.filter(|theirs| theirs["captured"].as_i64().unwrap() > 0).count();
        assert_eq!(missing, i64::try_from(known).unwrap(), "payments that captured money");
        self.shop.database.finish().await;
    }
}

/// The number of rows.
async fn count(shop: &TestShop, what: &str) -> i64 {
    use diesel_async::RunQueryDsl as _;
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let query = diesel::sql_query(format!("SELECT count(*) AS count FROM {what}"));
    query.get_result::<Count>(&mut *shop.database.conn().await).await.unwrap().count
}

fn provider(vendor: Vendor, peer: &str, timeout: Duration) -> Arc<dyn PaymentProvider> {
    match vendor {
        Vendor::Stripe => {
            let (back, cancelled) = ("https://shop.example/back", "https://shop.example/cancelled");
            let mut settings = StripeSettings::new("sk_test_key", back, cancelled);
            settings.webhook_secrets = vec!["whsec_secret".to_owned()];
            settings.api_base = peer.to_owned();
            settings.timeout = timeout;
            Arc::new(StripeProvider::new(settings).unwrap())
        }
        Vendor::Razorpay => {
            let mut settings = RazorpaySettings::new("rzp_test_key", "key secret");
            settings.webhook_secrets = vec!["webhook secret".to_owned()];
            settings.api_base = peer.to_owned();
            settings.timeout = timeout;
            Arc::new(RazorpayProvider::new(settings).unwrap())
        }
    }
}
