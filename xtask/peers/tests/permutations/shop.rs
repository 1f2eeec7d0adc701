//! A shop with one provider, and the steps that are permuted.

use std::sync::Arc;

use commerce_core::flows::{BeginPayment, begin_payment, expire_orders, settle_payment, settle_webhook};
use commerce_core::ids::{OrderId, PaymentId, VariantId};
use commerce_core::orders::{self, OrderStatus, PaymentStatus};
use commerce_core::payments::{
    self, AttemptStatus, CaptureMethod, Payment, PaymentProvider, Providers, WebhookDelivery, WebhookEvent,
};
use commerce_core::request::Origin;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, guest_origin};
use commerce_peers::Hook;
use diesel_async::SimpleAsyncConnection as _;
use http::{HeaderMap, HeaderName};
use serde_json::{Value, json};

/// The price of every order.
pub const PRICE: i64 = 1000;

pub struct Shop {
    pub db: TestDatabase,
    settings: ShopSettings,
    providers: Providers,
    provider: Arc<dyn PaymentProvider>,
    variant: VariantId,
}

/// What happens to an attempt.
#[derive(Debug, Clone)]
pub enum Step {
    /// A webhook arrives.
    Event(WebhookEvent),
    /// The shopper's browser comes back.
    Confirm(Value),
    /// The order's time has run out.
    Expire,
}

/// What must be the same in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub order: OrderStatus,
    pub payment_status: PaymentStatus,
    pub paid_minor: i64,
    pub refunded_minor: i64,
    pub attempt: AttemptStatus,
    pub captured_minor: i64,
}

impl End {
    /// The order is paid by this attempt.
    pub fn paid() -> Self {
        Self {
            order: OrderStatus::Paid,
            payment_status: PaymentStatus::Paid,
            paid_minor: PRICE,
            refunded_minor: 0,
            attempt: AttemptStatus::Succeeded,
            captured_minor: PRICE,
        }
    }

    /// The order was cancelled, and no money came in.
    pub fn cancelled(attempt: AttemptStatus) -> Self {
        Self {
            order: OrderStatus::Cancelled,
            payment_status: PaymentStatus::Unpaid,
            paid_minor: 0,
            refunded_minor: 0,
            attempt,
            captured_minor: 0,
        }
    }
}

impl Shop {
    pub async fn new(provider: Arc<dyn PaymentProvider>) -> Self {
        let db = TestDatabase::new().await;
        let variant = db.variant(PRICE, 100_000).await;
        let providers = Providers::new([Arc::clone(&provider)]);
        Self { db, settings: ShopSettings::default(), providers, provider, variant }
    }

    /// An order with an attempt that the shopper has been sent to.
    pub async fn started(&self, capture_method: CaptureMethod) -> Payment {
        let (owner, placed) = self.db.order(&self.settings, &[(self.variant, 1)]).await;
        let id = PaymentId::new();
        let mut request_key = [0; 32];
        request_key[..16].copy_from_slice(id.0.as_bytes());
        let wish = BeginPayment {
            order_id: placed.order.id,
            owner,
            provider: self.provider.name(),
            amount: None,
            capture_method,
            request: json!({}),
            request_key,
            origin: guest_origin(),
        };
        let payment = begin_payment(&mut *self.db.conn().await, wish).await.unwrap();
        let outcome = self.provider.start(&payment, &self.db.invoice(&payment).await).await.unwrap();
        let mut conn = self.db.conn().await;
        settle_payment(&mut conn, &self.settings, payment.id, outcome, &guest_origin()).await.unwrap()
    }

    /// The events that these webhooks tell, without those that are ignored.
    pub fn events(&self, hooks: &[Hook]) -> Vec<Step> {
        let read = hooks.iter().flat_map(|hook| {
            let headers = hook.headers.iter();
            let headers: HeaderMap = headers
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            let delivery = WebhookDelivery::new(&headers, hook.body.as_bytes(), chrono::Utc::now());
            self.provider.webhook(&delivery).unwrap()
        });
        read.filter(|event| !matches!(event, WebhookEvent::Ignored { .. })).map(Step::Event).collect()
    }

    /// Takes the steps in this order, then all events once more, and then waits until the order's time has run out. An
    /// order whose authorization was let go waits once more for another payment.
    pub async fn take(&self, payment: &Payment, steps: &[Step]) -> End {
        let again = steps.iter().filter(|step| matches!(step, Step::Event(_)));
        for step in steps.iter().chain(again).chain([&Step::Expire]) {
            self.step(payment, step).await;
        }
        let mut conn = self.db.conn().await;
        let order = orders::find(&mut conn, payment.order_id).await.unwrap().unwrap();
        let payment = payments::find(&mut conn, payment.id).await.unwrap().unwrap();
        End {
            order: order.status,
            payment_status: order.payment_status,
            paid_minor: order.paid_minor,
            refunded_minor: order.refunded_minor,
            attempt: payment.status,
            captured_minor: payment.captured_minor,
        }
    }

    async fn step(&self, payment: &Payment, step: &Step) {
        match step {
            Step::Event(event) => {
                let mut conn = self.db.conn().await;
                settle_webhook(&mut conn, &self.settings, &payment.provider, event).await.unwrap();
            }
            Step::Confirm(details) => self.confirm(payment.id, details).await,
            Step::Expire => self.expire(payment.order_id).await,
        }
    }

    /// As `POST /payments/{id}/confirm`.
    async fn confirm(&self, id: PaymentId, details: &Value) {
        let mut conn = self.db.conn().await;
        let payment = payments::find(&mut conn, id).await.unwrap().unwrap();
        let order = orders::find(&mut conn, payment.order_id).await.unwrap().unwrap();
        let outcome = if payment.status.is_open() && order.status != OrderStatus::PendingPayment {
            self.provider.expire(&payment).await.unwrap()
        } else {
            self.provider.confirm(&payment, details).await.unwrap()
        };
        settle_payment(&mut conn, &self.settings, id, outcome, &Origin::system()).await.unwrap();
    }

    async fn expire(&self, id: OrderId) {
        let late = format!(
            "UPDATE commerce.orders SET expires_at = commerce.clock() - interval '1 second'
             WHERE id = '{id}' AND status = 'pending_payment'"
        );
        self.db.conn().await.batch_execute(&late).await.unwrap();
        expire_orders(self.db.pool(), &self.settings, &self.providers, 100).await.unwrap();
    }

    /// The peer's books are those of the shop, to the cent.
    pub async fn compare_books(&self, ledger: &Value, attempts: &[PaymentId]) {
        for id in attempts {
            let payment = payments::find(&mut *self.db.conn().await, *id).await.unwrap().unwrap();
            let entry = &ledger[id.to_string()];
            let theirs = |what: &str| entry[what].as_i64().unwrap_or(0);
            assert_eq!(
                (theirs("captured"), theirs("refunded")),
                (payment.captured_minor, payment.refunded_minor),
                "{payment:?}"
            );
        }
    }
}

/// Every order of these steps.
pub fn permutations(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![Vec::new()];
    }
    let first = |place: usize| {
        let mut rest = steps.to_vec();
        let step = rest.remove(place);
        permutations(&rest).into_iter().map(move |mut tail| {
            tail.insert(0, step.clone());
            tail
        })
    };
    (0..steps.len()).flat_map(first).collect()
}
