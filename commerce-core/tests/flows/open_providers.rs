//! Providers that take another amount or currency, take their time, refuse, lose answers or are a host's own.

use std::sync::Arc;
use std::time::Duration;

use commerce_core::flows::{
    CancelledBy, RetryRefundError, SettleRefundByHandError, cancel_order, retry_refund, run_refund,
    settle_refund_by_hand, settle_webhook,
};
use commerce_core::ids::{OrderId, RefundId};
use commerce_core::jobs::{self, Failure, Job as _, kinds::RefundPayment};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{OrderStatus, PaymentStatus};
use commerce_core::page::Limit;
use commerce_core::payments::{
    self, AttemptStatus, MockProvider, Outcome, Payment, PaymentProvider, ProviderError, ProviderName,
    Providers, Refund, RefundStatus, WebhookDelivery, WebhookError, list_refunds,
};
use commerce_core::request::Origin;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, guest_origin};
use diesel_async::RunQueryDsl as _;
use serde_json::{Value, json};

use crate::payments::{begin, captured, order, settle, success, timeline, wish};

const SECRET: &[u8] = b"whsec";

fn shop() -> ShopSettings {
    ShopSettings { alert_email: Some("shop@example.com".parse().unwrap()), ..Default::default() }
}

fn mock() -> MockProvider {
    MockProvider::new("http://localhost").with_webhook_secret(SECRET)
}

/// The subjects of a mail are told when it is sent: what is enqueued for the shop, by template.
async fn alerts(db: &TestDatabase) -> Vec<String> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        template: String,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT template FROM commerce.emails WHERE recipient = 'shop@example.com' ORDER BY created_at, id",
    )
    .load(&mut *db.conn().await)
    .await
    .unwrap();
    rows.into_iter().map(|row| row.template).collect()
}

/// A paid order whose payment was begun with this request to the mock provider, cancelled by the shop: one refund is to be done.
async fn cancelled(db: &TestDatabase, request: Value) -> (OrderId, Payment) {
    let shop = shop();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let mut wish = wish(placed.order.id, owner, None);
    wish.request = request;
    let payment = commerce_core::flows::begin_payment(&mut *db.conn().await, wish).await.unwrap();
    settle(db, &shop, payment.id, success(&payment)).await;
    cancel_order(&mut *db.conn().await, placed.order.id, CancelledBy::Admin, &guest_origin()).await.unwrap();
    (placed.order.id, payment)
}

/// Makes one attempt at each refund job that is due, as a worker does; the errors of those that failed.
async fn run_refunds(db: &TestDatabase, provider: &MockProvider) -> Vec<Result<(), String>> {
    let providers = Providers::new([Arc::new(provider.clone()) as Arc<dyn PaymentProvider>]);
    let lease = Duration::from_secs(60);
    let claimed =
        jobs::claim(&mut *db.conn().await, "test", &[RefundPayment::KIND], 100, lease).await.unwrap();
    let mut done = Vec::new();
    for job in &claimed {
        let RefundPayment { refund_id } = serde_json::from_value(job.payload.clone()).unwrap();
        let ran = run_refund(db.pool(), &shop(), &providers, refund_id, job.lease()).await;
        if let Err(error) = &ran {
            let failure = Failure::Retry(error.to_string());
            jobs::fail(&mut *db.conn().await, job, &failure).await.unwrap();
        }
        done.push(ran.map_err(|error| error.to_string()));
    }
    done
}

async fn the_refund(db: &TestDatabase) -> Refund {
    let page = list_refunds(&mut *db.conn().await, None, Limit::default(), None).await.unwrap();
    assert_eq!(page.data.len(), 1);
    page.data.into_iter().next().unwrap().0
}

async fn bury_jobs(db: &TestDatabase) {
    diesel::sql_query("DELETE FROM commerce.jobs WHERE kind = 'refund_payment'")
        .execute(&mut *db.conn().await)
        .await
        .unwrap();
}

#[tokio::test]
async fn less_than_was_asked_for_counts_as_what_it_is() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop(), &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    for _ in 0..3 {
        settle(&db, &shop(), payment.id, captured(&payment, Money::new(900, Currency::USD))).await;
    }
    let part = order(&db, placed.order.id).await;
    assert_eq!(
        (part.status, part.payment_status),
        (OrderStatus::PendingPayment, PaymentStatus::PartiallyPaid)
    );
    assert_eq!((part.paid_minor, part.due_minor()), (900, 100));
    assert_eq!(
        timeline(&db, placed.order.id).await,
        ["placed", "payment_started", "payment_succeeded", "payment_mismatch"]
    );
    assert_eq!(alerts(&db).await, ["payment_mismatch_alert"]);
    db.finish().await;
}

#[tokio::test]
async fn more_than_was_asked_for_pays_the_order_and_the_rest_goes_back() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop(), &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    settle(&db, &shop(), payment.id, captured(&payment, Money::new(1250, Currency::USD))).await;
    assert_eq!(run_refunds(&db, &mock()).await, [Ok(())]);
    let paid = order(&db, placed.order.id).await;
    assert_eq!((paid.status, paid.paid_minor, paid.refunded_minor), (OrderStatus::Paid, 1250, 250));
    assert_eq!(alerts(&db).await, ["payment_mismatch_alert"]);
    db.finish().await;
}

#[tokio::test]
async fn another_currency_pays_nothing_and_a_person_is_told_once() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop(), &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    for wrong in
        [Money::new(1000, Currency::EUR), Money::new(1000, Currency::EUR), Money::new(0, Currency::USD)]
    {
        let told = settle(&db, &shop(), payment.id, captured(&payment, wrong)).await;
        assert_eq!((told.status, told.captured_minor), (AttemptStatus::Failed, 0));
    }
    let unpaid = order(&db, placed.order.id).await;
    assert_eq!((unpaid.status, unpaid.payment_status), (OrderStatus::PendingPayment, PaymentStatus::Unpaid));
    assert_eq!(timeline(&db, placed.order.id).await, ["placed", "payment_started", "payment_mismatch"]);
    assert_eq!(alerts(&db).await, ["payment_mismatch_alert"]);
    db.finish().await;
}

#[tokio::test]
async fn a_refund_that_takes_time_is_asked_about_until_it_ends() {
    let db = TestDatabase::new().await;
    let (order_id, _) = cancelled(&db, json!({ "refund": "pend" })).await;
    assert_eq!(run_refunds(&db, &mock()).await, [Ok(())]);
    assert_eq!(the_refund(&db).await.status, RefundStatus::Processing);
    assert_eq!(order(&db, order_id).await.refunded_minor, 0);
    assert_eq!(run_refunds(&db, &mock()).await, [], "it is left in peace for a while");
    db.shift_clock(Duration::from_secs(60)).await;
    assert_eq!(run_refunds(&db, &mock()).await, [Ok(())]);
    assert_eq!(order(&db, order_id).await.refunded_minor, 1000);
    let events = timeline(&db, order_id).await;
    assert!(events.ends_with(&["refund_processing", "refund_succeeded"]), "{events:?}");
    db.finish().await;
}

#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_asked_about_before_it_is_asked_for_again() {
    let db = TestDatabase::new().await;
    let (order_id, _) = cancelled(&db, json!({ "lose_answers": true })).await;
    let provider = mock();
    let lost = run_refunds(&db, &provider).await;
    assert!(matches!(lost.as_slice(), [Err(error)] if error.contains("the answer was lost")), "{lost:?}");
    assert_eq!(the_refund(&db).await.status, RefundStatus::Processing, "it may have been done");
    db.shift_clock(Duration::from_secs(60)).await;
    assert_eq!(run_refunds(&db, &provider).await, [Ok(())]);
    assert_eq!(order(&db, order_id).await.refunded_minor, 1000);
    db.finish().await;
}

#[tokio::test]
async fn a_refused_refund_alerts_and_can_be_retried() {
    let db = TestDatabase::new().await;
    let (order_id, _) = cancelled(&db, json!({ "refund": "refuse_once" })).await;
    assert_eq!(run_refunds(&db, &mock()).await, [Ok(())]);
    let failed = the_refund(&db).await;
    assert_eq!(
        (failed.status, failed.failure_code.as_deref()),
        (RefundStatus::Failed, Some("insufficient_funds"))
    );
    assert_eq!(alerts(&db).await, ["refund_failed_alert"]);
    let kept = commerce_core::audit::verify(&mut *db.conn().await).await.unwrap();
    assert!(
        kept.iter().any(|breach| breach.detail.contains("keeps 1000")),
        "a failed refund is not under way: {kept:?}"
    );

    retry_refund(&mut *db.conn().await, failed.id, &Origin::system()).await.unwrap();
    let again = retry_refund(&mut *db.conn().await, failed.id, &Origin::system()).await;
    assert!(matches!(again, Err(RetryRefundError::UnderWay)), "{again:?}");
    assert_eq!(run_refunds(&db, &mock()).await, [Ok(())]);
    let ended = the_refund(&db).await;
    assert_eq!((ended.status, ended.attempt), (RefundStatus::Succeeded, 2));
    assert_eq!(order(&db, order_id).await.refunded_minor, 1000);
    let events = timeline(&db, order_id).await;
    assert!(events.ends_with(&["refund_failed", "refund_retried", "refund_succeeded"]), "{events:?}");
    let late = retry_refund(&mut *db.conn().await, failed.id, &Origin::system()).await;
    assert!(matches!(late, Err(RetryRefundError::Succeeded)), "{late:?}");
    db.finish().await;
}

#[tokio::test]
async fn a_refused_refund_can_be_paid_by_hand_and_then_counts() {
    let db = TestDatabase::new().await;
    let (order_id, _) = cancelled(&db, json!({ "refund": "refuse" })).await;
    let under_way = the_refund(&db).await;
    let refused = by_hand(&db, under_way.id).await;
    assert!(matches!(refused, Err(SettleRefundByHandError::UnderWay)), "{refused:?}");
    run_refunds(&db, &mock()).await;
    let paid = by_hand(&db, under_way.id).await.unwrap();
    assert_eq!(
        (paid.status, paid.by_hand_note.as_deref()),
        (RefundStatus::Succeeded, Some("transfer of 27 November"))
    );
    assert_eq!(order(&db, order_id).await.payment_status, PaymentStatus::Refunded);
    assert!(matches!(by_hand(&db, under_way.id).await, Err(SettleRefundByHandError::Succeeded)));

    // And should the provider have done it all the same, it counts once and the shop is told.
    let told = json!({ "type": "refund_succeeded", "id": "e1", "refund_id": under_way.id, "reference": "r" });
    for _ in 0..2 {
        hear(&db, &told).await;
    }
    assert_eq!(order(&db, order_id).await.refunded_minor, 1000);
    assert_eq!(alerts(&db).await, ["refund_failed_alert", "refund_mismatch_alert"]);
    let events = timeline(&db, order_id).await;
    assert!(events.ends_with(&["refund_failed", "refund_paid_by_hand", "refund_mismatch"]), "{events:?}");
    db.finish().await;
}

async fn by_hand(db: &TestDatabase, id: RefundId) -> Result<Refund, SettleRefundByHandError> {
    settle_refund_by_hand(&mut *db.conn().await, id, "transfer of 27 November", &Origin::system()).await
}

#[tokio::test]
async fn a_refund_without_a_job_is_a_breach_and_gets_a_new_one() {
    let db = TestDatabase::new().await;
    let (order_id, _) = cancelled(&db, json!({})).await;
    bury_jobs(&db).await;
    let breaches = commerce_core::audit::verify(&mut *db.conn().await).await.unwrap();
    assert!(breaches.iter().any(|breach| breach.detail.contains("no job sees to it")), "{breaches:?}");
    let refund =
        retry_refund(&mut *db.conn().await, the_refund(&db).await.id, &Origin::system()).await.unwrap();
    assert_eq!(refund.attempt, 1, "it is the same request to the provider");
    assert_eq!(run_refunds(&db, &mock()).await, [Ok(())]);
    assert_eq!(order(&db, order_id).await.refunded_minor, 1000);
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_retries_at_once_begin_one_attempt() {
    let db = TestDatabase::new().await;
    let (order_id, _) = cancelled(&db, json!({ "refund": "refuse_once" })).await;
    run_refunds(&db, &mock()).await;
    let id = the_refund(&db).await.id;
    let retries: Vec<_> = (0..20)
        .map(|_| {
            let pool = db.pool().clone();
            tokio::spawn(async move {
                retry_refund(&mut pool.get().await.unwrap(), id, &Origin::system()).await.is_ok()
            })
        })
        .collect();
    let mut begun = 0;
    for retry in retries {
        begun += usize::from(retry.await.unwrap());
    }
    assert_eq!(begun, 1);
    assert_eq!(run_refunds(&db, &mock()).await, [Ok(())]);
    assert_eq!(order(&db, order_id).await.refunded_minor, 1000);
    db.finish().await;
}

/// Verifies a webhook of the mock provider, and applies what it tells.
async fn hear(db: &TestDatabase, told: &Value) {
    let body = serde_json::to_vec(told).unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert(MockProvider::SIGNATURE_HEADER, MockProvider::sign(SECRET, &body).parse().unwrap());
    let delivery = WebhookDelivery::new(&headers, &body, chrono::Utc::now());
    for event in mock().webhook(&delivery).unwrap() {
        settle_webhook(&mut *db.conn().await, &shop(), &ProviderName::MOCK, &event).await.unwrap();
    }
}

#[tokio::test]
async fn a_webhook_settles_a_payment_in_any_order_and_any_number_of_times() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop(), &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    let money = Money::new(1000, Currency::USD);
    let failed =
        json!({ "type": "payment_failed", "id": "e1", "payment_id": payment.id, "code": "card_declined" });
    let succeeded =
        json!({ "type": "payment_succeeded", "id": "e2", "payment_id": payment.id, "captured": money });
    for told in [&json!({ "type": "ping", "id": "e0" }), &failed, &succeeded, &failed, &succeeded] {
        hear(&db, told).await;
    }
    let paid = order(&db, placed.order.id).await;
    assert_eq!((paid.status, paid.paid_minor), (OrderStatus::Paid, 1000));

    let (headers, at) = (http::HeaderMap::new(), chrono::Utc::now());
    let unsigned = mock().webhook(&WebhookDelivery::new(&headers, b"{}", at));
    assert!(matches!(unsigned, Err(WebhookError::Unverified)), "{unsigned:?}");
    let no_secret = MockProvider::new("").webhook(&WebhookDelivery::new(&headers, b"{}", at));
    assert!(matches!(no_secret, Err(WebhookError::NotExpected)), "{no_secret:?}");

    // Another provider does not speak of this one's payments.
    let event = commerce_core::payments::WebhookEvent::Payment {
        event_id: "e3".into(),
        payment: payments::PaymentKey::Id(payment.id),
        outcome: Outcome::Expired,
    };
    let other = settle_webhook(&mut *db.conn().await, &shop(), &ProviderName::STRIPE, &event).await;
    assert!(other.is_err(), "{other:?}");
    db.finish().await;
}

#[tokio::test]
async fn an_attempt_whose_answer_was_lost_is_found_by_asking() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop(), &[(variant, 1)]).await;
    let mut wish = wish(placed.order.id, owner, None);
    wish.request = json!({ "lose_answers": true });
    let payment = commerce_core::flows::begin_payment(&mut *db.conn().await, wish).await.unwrap();
    let provider = mock();
    assert_eq!(provider.attempt_status(&payment).await.unwrap(), None, "nobody has asked for it yet");
    let lost = provider.start(&payment, &db.invoice(&payment).await).await;
    assert!(matches!(lost, Err(ProviderError::Unreachable { .. })), "{lost:?}");
    let stands = provider.attempt_status(&payment).await.unwrap().unwrap();
    settle(&db, &shop(), payment.id, stands).await;
    settle(&db, &shop(), payment.id, provider.start(&payment, &db.invoice(&payment).await).await.unwrap())
        .await;
    assert_eq!(order(&db, placed.order.id).await.paid_minor, 1000);
    db.finish().await;
}
