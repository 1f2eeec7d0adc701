//! Money at Stripe and Razorpay over HTTP, against their peers: webhooks in every order, twice and not at all, and
//! providers that do what they were asked for and do not answer. In the end, the peer's books are those of the shop.

mod any_order;
mod authorized_in_any_order;
mod delivered;
mod lost;
mod races;
mod unanswered;

use std::sync::Arc;
use std::time::Duration;

use commerce_core::accounts::SecretKey;
use commerce_core::flows::{CheckPayment, EndPayment, ProcessWebhook, RefundPayment, expire_orders};
use commerce_core::ids::VariantId;
use commerce_core::jobs::{self, Job as _, Services};
use commerce_core::notifications::{FolderMailer, MailSettings, Sender};
use commerce_core::payments::{
    PaymentProvider, RazorpayProvider, RazorpaySettings, StripeProvider, StripeSettings,
};
use commerce_core::search::SearchIndex;
use commerce_core::settings::ShopSettings;
use commerce_peers::Hook;
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};

use crate::providers::{
    Peer, RAZORPAY_KEY, RAZORPAY_SECRET, RAZORPAY_WEBHOOKS, STRIPE_KEY, STRIPE_WEBHOOKS, Vendor,
};
use crate::shop::{Got, SECRET, TestShop, ask, get, post};

/// The price of every order.
const PRICE: i64 = 1250;

/// A shop that takes payments with one provider, at its peer.
struct Till {
    shop: TestShop,
    peer: Peer,
    variant: VariantId,
    services: Services,
    _mails: tempfile::TempDir,
}

/// An order that somebody pays.
#[derive(Debug, Clone)]
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
        let peer = Peer::start(vendor).await;
        let shop = TestShop::ruled_and_paid_by(rules.clone(), [provider(&peer, patience)]).await;
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
                templates: Default::default(),
            }),
            providers: shop.state.providers.clone(),
            media: shop.state.media.clone(),
            search_index: SearchIndex::none(),
        };
        Self { shop, peer, variant, services, _mails: mails }
    }

    /// A guest's order over [`PRICE`], with a token of its own. Returns the ids of the order and the guest's token.
    async fn order(&self) -> (String, String) {
        self.order_of(self.variant).await.expect("there is a unit")
    }

    /// An order of one unit of this variant, if there is still one.
    async fn order_of(&self, variant: VariantId) -> Option<(String, String)> {
        let item = json!({ "variant_id": variant.to_string(), "quantity": 1 });
        let cart = self.shop.send(post("/v1/cart/items", &item)).await;
        if cart.status != 200 {
            cart.problem(409, "out_of_stock");
            return None;
        }
        let token = cart.json()["token"].as_str().unwrap().to_owned();
        let address = json!({
            "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB",
        });
        let body = json!({ "email": "ada@example.com", "shipping_address": address });
        let checkout = post("/v1/orders/checkout", &body).header("Cart-Token", &token);
        let placed = self.shop.send(checkout.header("Idempotency-Key", "checkout")).await;
        if placed.status != 201 {
            placed.problem(409, "out_of_stock");
            return None;
        }
        Some((placed.json()["id"].as_str().unwrap().to_owned(), token))
    }

    /// `POST /orders/{id}/pay` with this key.
    async fn pay(&self, order: &str, token: &str, key: &str) -> Got {
        let path = format!("/v1/orders/{order}/pay");
        let pay = post(&path, &json!({ "provider": self.peer.vendor.name() })).header("Cart-Token", token);
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
        self.sale_of(self.order().await).await
    }

    async fn sale_of(&self, (order, token): (String, String)) -> Sale {
        let answer = self.pay(&order, &token, "pay").await;
        self.begun(order, token, &answer)
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

    /// Staff capture with this token and key.
    async fn capture(&self, sale: &Sale, admin: &str, key: &str) -> Got {
        let path = format!("/v1/payments/{}/capture", sale.payment);
        let capture = post(&path, &json!({})).bearer(admin).header("Idempotency-Key", key);
        self.shop.send(capture).await
    }

    /// A webhook arrives.
    async fn deliver(&self, hook: &Hook) {
        let path = format!("/v1/webhooks/{}", self.peer.vendor.name());
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
        self.peer.check_books(&mut *self.shop.database.conn().await).await;
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

fn provider(peer: &Peer, timeout: Duration) -> Arc<dyn PaymentProvider> {
    match peer.vendor {
        Vendor::Stripe => {
            let (back, cancelled) = ("https://shop.example/back", "https://shop.example/cancelled");
            let mut settings = StripeSettings::new(STRIPE_KEY, back, cancelled);
            settings.webhook_secrets = vec![STRIPE_WEBHOOKS.to_owned()];
            settings.api_base = peer.url.clone();
            settings.timeout = timeout;
            Arc::new(StripeProvider::new(settings).unwrap())
        }
        Vendor::Razorpay => {
            let mut settings = RazorpaySettings::new(RAZORPAY_KEY, RAZORPAY_SECRET);
            settings.webhook_secrets = vec![RAZORPAY_WEBHOOKS.to_owned()];
            settings.api_base = peer.url.clone();
            settings.timeout = timeout;
            Arc::new(RazorpayProvider::new(settings).unwrap())
        }
    }
}
