//! Money that a provider holds before it is taken: captured in whole or in part, let go, lapsed, lost.

use std::sync::Arc;
use std::time::Duration;

use commerce_core::audit_log::Author;
use commerce_core::flows::{
    self, CancelledBy, CapturePaymentError, CheckPayment, EndPayment, OfAuthorized, begin_payment,
    cancel_order, expire_orders,
};
use commerce_core::ids::{OrderId, PaymentId};
use commerce_core::jobs::{self, Job};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{OrderStatus, PaymentStatus};
use commerce_core::payments::{
    AttemptStatus, Authorization, CaptureMethod, MockProvider, Outcome, Payment, PaymentProvider, Providers,
};
use commerce_core::request::Origin;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, email};
use futures_util::future::join_all;
use serde_json::json;

use crate::payments::{begin, order, settle, success, wish};

struct Shop {
    db: TestDatabase,
    settings: ShopSettings,
    mock: MockProvider,
    providers: Providers,
}

impl Shop {
    async fn new() -> Self {
        let settings =
            ShopSettings { alert_email: Some(email("shop@example.com")), ..ShopSettings::default() };
        let mock = MockProvider::new("http://localhost");
        let providers = Providers::new([Arc::new(mock.clone()) as Arc<dyn PaymentProvider>]);
        Self { db: TestDatabase::new().await, settings, mock, providers }
    }

    /// An order over 10.00 USD, and its attempt, as far as the provider's first answer.
    async fn authorized(&self, request: serde_json::Value) -> (OrderId, Payment) {
        let variant = self.db.variant(1000, 5).await;
        let (owner, placed) = self.db.order(&self.settings, &[(variant, 1)]).await;
        let mut wish = wish(placed.order.id, owner, None);
        (wish.capture_method, wish.request) = (CaptureMethod::Manual, request);
        let payment = begin_payment(&mut *self.db.conn().await, wish).await.unwrap();
        let invoice = self.db.invoice(&payment).await;
        let outcome = match self.mock.start(&payment, &invoice).await {
            Ok(outcome) => outcome,
            // The first answer was lost.
            Err(_) => self.mock.start(&payment, &invoice).await.unwrap(),
        };
        let payment = settle(&self.db, &self.settings, payment.id, outcome).await;
        assert_eq!(payment.status, AttemptStatus::Authorized);
        (placed.order.id, payment)
    }

    async fn capture(&self, id: PaymentId, amount: Option<i64>) -> Result<Payment, CapturePaymentError> {
        let amount = amount.map(|minor| Money::new(minor, Currency::USD));
        let (pool, author) = (self.db.pool(), author());
        let wish = OfAuthorized { payment_id: id, request_key: None, author: &author };
        flows::capture_payment(pool, &self.settings, &self.providers, wish, amount).await
    }

    async fn void(&self, id: PaymentId, key: Option<[u8; 32]>) -> Result<Payment, CapturePaymentError> {
        let author = author();
        let wish = OfAuthorized { payment_id: id, request_key: key.as_ref(), author: &author };
        flows::void_payment(self.db.pool(), &self.settings, &self.providers, wish).await
    }

    /// Claims a due job of this kind.
    async fn claim<J: Job + serde::de::DeserializeOwned>(&self) -> Option<(J, jobs::Lease)> {
        let kinds = [J::KIND];
        let mut conn = self.db.conn().await;
        let claimed = jobs::claim(&mut conn, "tester", &kinds, 1, Duration::from_secs(60)).await.unwrap();
        claimed
            .into_iter()
            .next()
            .map(|job| (serde_json::from_value(job.payload.clone()).unwrap(), job.lease()))
    }

    async fn check(&self) {
        let (CheckPayment { payment_id }, lease) = self.claim().await.expect("a check is due");
        flows::run_check(self.db.pool(), &self.settings, &self.providers, payment_id, lease).await.unwrap();
    }

    async fn end(&self) {
        let (EndPayment { payment_id }, lease) = self.claim().await.expect("an attempt is to be ended");
        flows::run_end(self.db.pool(), &self.settings, &self.providers, payment_id, lease).await.unwrap();
    }

    async fn expire(&self) -> usize {
        expire_orders(self.db.pool(), &self.settings, &self.providers, 100).await.unwrap()
    }
}

fn author() -> Author {
    Author { origin: Origin::system(), role: Some("admin") }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn authorized_money_holds_the_order_until_it_is_captured() {
    let shop = Shop::new().await;
    let (id, payment) = shop.authorized(json!({})).await;
    let held = order(&shop.db, id).await;
    assert_eq!((held.status, held.payment_status), (OrderStatus::PendingPayment, PaymentStatus::Authorized));
    assert_eq!((held.paid_minor, held.authorized_minor), (0, 1000));
    shop.db.shift_clock(DAY * 4).await;
    assert_eq!(shop.expire().await, 0, "it is not due before the authorization lapses");

    for (amount, what) in [(0, "nothing"), (1001, "more than is authorized")] {
        let refused = shop.capture(payment.id, Some(amount)).await;
        assert!(matches!(refused, Err(CapturePaymentError::AmountOutOfRange { .. })), "{what}: {refused:?}");
    }
    let captured = join_all((0..20).map(|_| shop.capture(payment.id, None))).await;
    for one in captured {
        match one {
            Ok(payment) => {
                assert_eq!((payment.status, payment.captured_minor), (AttemptStatus::Succeeded, 1000))
            }
            Err(CapturePaymentError::NotAuthorized(AttemptStatus::Succeeded)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    let paid = order(&shop.db, id).await;
    assert_eq!((paid.status, paid.payment_status), (OrderStatus::Paid, PaymentStatus::Paid));
    assert_eq!((paid.paid_minor, paid.authorized_minor), (1000, 0));
    shop.db.finish().await;
}

/// How many mails with this template there are.
async fn alerts(db: &TestDatabase, template: &str) -> usize {
    let rows = format!("SELECT 1 FROM commerce.emails WHERE template = '{template}'");
    diesel_async::RunQueryDsl::execute(diesel::sql_query(rows), &mut db.conn().await).await.unwrap()
}

#[tokio::test]
async fn the_rest_of_a_partial_capture_is_let_go_and_remains_due() {
    let shop = Shop::new().await;
    let variant = shop.db.variant(1000, 5).await;
    let (owner, placed) = shop.db.order(&shop.settings, &[(variant, 1)]).await;
    let id = placed.order.id;
    let mut first = wish(id, owner, None);
    first.capture_method = CaptureMethod::Manual;
    let payment = begin_payment(&mut *shop.db.conn().await, first).await.unwrap();
    let outcome = shop.mock.start(&payment, &shop.db.invoice(&payment).await).await.unwrap();
    settle(&shop.db, &shop.settings, payment.id, outcome).await;

    shop.capture(payment.id, Some(400)).await.unwrap();
    let part = order(&shop.db, id).await;
    assert_eq!((part.payment_status, part.authorized_minor), (PaymentStatus::PartiallyPaid, 0));
    assert_eq!(part.due_minor(), 600);
    let rest = begin(&shop.db, id, owner, None).await;
    assert_eq!(rest.amount_minor, 600);
    settle(&shop.db, &shop.settings, rest.id, success(&rest)).await;
    assert_eq!(order(&shop.db, id).await.status, OrderStatus::Paid);
    shop.db.finish().await;
}

#[tokio::test]
async fn what_is_let_go_can_be_paid_again_until_the_order_expires() {
    let shop = Shop::new().await;
    let (id, payment) = shop.authorized(json!({})).await;
    let key = Some([1; 32]);
    assert_eq!(shop.void(payment.id, key).await.unwrap().status, AttemptStatus::Expired);
    assert_eq!(shop.void(payment.id, key).await.unwrap().status, AttemptStatus::Expired, "the same request");
    let again = shop.void(payment.id, Some([2; 32])).await;
    assert!(matches!(again, Err(CapturePaymentError::NotAuthorized(AttemptStatus::Expired))), "{again:?}");
    let waits = order(&shop.db, id).await;
    assert_eq!((waits.payment_status, waits.authorized_minor), (PaymentStatus::Unpaid, 0));
    shop.db.shift_clock(shop.settings.order_ttl + Duration::from_secs(1)).await;
    assert_eq!(shop.expire().await, 1, "it had a quarter of an hour from then on");
    shop.db.finish().await;
}

#[tokio::test]
async fn an_authorization_is_let_go_when_its_order_is_cancelled_or_when_it_comes_too_late() {
    let shop = Shop::new().await;
    let (id, payment) = shop.authorized(json!({})).await;
    cancel_order(&mut *shop.db.conn().await, id, CancelledBy::Admin, &Origin::system()).await.unwrap();
    shop.end().await;
    let found = commerce_core::payments::find(&mut *shop.db.conn().await, payment.id).await.unwrap().unwrap();
    assert_eq!(found.status, AttemptStatus::Cancelled);

    // The shopper agreed while the order was being cancelled.
    let late = Authorization::new(format!("mock_{}", payment.id.0.simple()), Money::new(1000, Currency::USD));
    let after = settle(&shop.db, &shop.settings, payment.id, Outcome::Authorized(late)).await;
    assert_eq!(after.status, AttemptStatus::Cancelled);
    shop.end().await;
    let cancelled = order(&shop.db, id).await;
    assert_eq!((cancelled.status, cancelled.authorized_minor), (OrderStatus::Cancelled, 0));
    shop.db.finish().await;
}

#[tokio::test]
async fn the_shop_is_told_a_day_before_an_authorization_lapses_and_then_the_order_expires() {
    let shop = Shop::new().await;
    let (id, _) = shop.authorized(json!({})).await;
    for hours in [0, 2, 4] {
        shop.db.shift_clock(DAY * 4 + Duration::from_secs(60 + hours * 3600)).await;
        shop.check().await;
    }
    assert_eq!(alerts(&shop.db, "authorization_lapses_alert").await, 1, "once for the payment");
    assert_eq!(shop.expire().await, 0);
    shop.db.shift_clock(DAY * 5 + Duration::from_secs(60)).await;
    assert_eq!(shop.expire().await, 1);
    let lapsed = order(&shop.db, id).await;
    assert_eq!((lapsed.status, lapsed.authorized_minor), (OrderStatus::Cancelled, 0));
    shop.db.finish().await;
}

#[tokio::test]
async fn a_capture_whose_answer_was_lost_is_found_by_asking() {
    let shop = Shop::new().await;
    let (id, payment) = shop.authorized(json!({ "lose_answers": true })).await;
    let lost = shop.capture(payment.id, Some(700)).await;
    assert!(matches!(lost, Err(CapturePaymentError::Provider(_))), "{lost:?}");
    assert_eq!(order(&shop.db, id).await.paid_minor, 0);
    shop.db.shift_clock(Duration::from_secs(61)).await;
    shop.check().await;
    let found = order(&shop.db, id).await;
    assert_eq!((found.paid_minor, found.authorized_minor), (700, 0));
    shop.db.finish().await;
}
