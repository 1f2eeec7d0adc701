//! Webhooks: stored once, applied by a job in any order and any number of times, replayed by staff.

use std::time::Duration;

use commerce_core::audit_log::Author;
use commerce_core::flows::{
    ProcessWebhook, ProcessWebhookError, ReplayWebhookError, receive_webhook, replay_webhook, run_webhook,
};
use commerce_core::ids::WebhookId;
use commerce_core::jobs::{self, Job as _};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::OrderStatus;
use commerce_core::payments::{
    Capture, Dispute, InboundWebhook, Outcome, Payment, PaymentKey, ProviderName, WebhookEvent,
    WebhookStatus, find_webhook, list_webhooks,
};
use commerce_core::request::Origin;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use futures_util::future::join_all;

use crate::payments::{begin, order, timeline};

fn shop() -> ShopSettings {
    ShopSettings { alert_email: Some("shop@example.com".parse().unwrap()), ..Default::default() }
}

fn paid(event_id: &str, payment: &Payment) -> WebhookEvent {
    let reference = format!("mock_{}", payment.id.0.simple());
    WebhookEvent::Payment {
        event_id: event_id.to_owned(),
        payment: PaymentKey::Id(payment.id),
        outcome: Outcome::Succeeded(Capture::new(reference, Money::new(1000, Currency::USD))),
    }
}

async fn receive(db: &TestDatabase, events: &[WebhookEvent]) -> usize {
    receive_webhook(&mut *db.conn().await, &ProviderName::MOCK, events).await.unwrap()
}

/// Applies all events whose jobs are due. Returns the errors.
async fn process(db: &TestDatabase) -> Vec<ProcessWebhookError> {
    let kinds = [ProcessWebhook::KIND];
    let lease = Duration::from_secs(60);
    let claimed = jobs::claim(&mut *db.conn().await, "tester", &kinds, 100, lease).await.unwrap();
    let mut errors = Vec::new();
    for job in claimed {
        let ProcessWebhook { webhook_id } = serde_json::from_value(job.payload.clone()).unwrap();
        if let Err(error) = run_webhook(db.pool(), &shop(), webhook_id, job.lease()).await {
            jobs::fail(&mut *db.conn().await, &job, &jobs::Failure::Retry(error.to_string())).await.unwrap();
            errors.push(error);
        }
    }
    errors
}

async fn webhooks(db: &TestDatabase) -> Vec<InboundWebhook> {
    list_webhooks(&mut *db.conn().await, None, Default::default(), None).await.unwrap().data
}

fn author() -> Author {
    Author { origin: Origin::system(), role: Some("admin") }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_thirty_times_at_once_is_stored_and_applied_once() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop(), &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    let event = [paid("evt_1", &payment)];
    let new: usize = join_all((0..30).map(|_| receive(&db, &event))).await.into_iter().sum();
    assert_eq!(new, 1);
    assert!(process(&db).await.is_empty());
    // Another event tells the same.
    assert_eq!(receive(&db, &[paid("evt_2", &payment)]).await, 1);
    assert!(process(&db).await.is_empty());
    let paid_order = order(&db, placed.order.id).await;
    assert_eq!((paid_order.status, paid_order.paid_minor), (OrderStatus::Paid, 1000));
    let kept = webhooks(&db).await;
    assert!(kept.iter().all(|one| one.status == WebhookStatus::Processed && one.processed_at.is_some()));
    assert_eq!(kept.len(), 2);
    assert_eq!(timeline(&db, placed.order.id).await.iter().filter(|kind| **kind == "paid").count(), 1);
    db.finish().await;
}

#[tokio::test]
async fn events_of_no_interest_are_kept_and_not_applied() {
    let db = TestDatabase::new().await;
    let ignored = WebhookEvent::Ignored { event_id: "evt_1".to_owned(), kind: "customer.created".to_owned() };
    assert_eq!(receive(&db, &[ignored]).await, 1);
    assert!(process(&db).await.is_empty());
    let kept = webhooks(&db).await;
    assert_eq!((kept.len(), kept[0].status), (1, WebhookStatus::Ignored));
    assert_eq!(kept[0].event["kind"], "customer.created");
    let refused = replay_webhook(&mut *db.conn().await, kept[0].id, &author()).await;
    assert!(matches!(refused, Err(ReplayWebhookError::Ignored)), "{refused:?}");
    let unknown = replay_webhook(&mut *db.conn().await, WebhookId::new(), &author()).await;
    assert!(matches!(unknown, Err(ReplayWebhookError::NotFound)), "{unknown:?}");
    db.finish().await;
}

/// A webhook can be faster than the answer to the request that began the payment, and it can belong to another shop.
#[tokio::test]
async fn an_event_about_an_unknown_payment_waits_and_then_fails_until_it_is_replayed() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop(), &[(variant, 1)]).await;
    let event = |reference: &str| WebhookEvent::Payment {
        event_id: "evt_1".to_owned(),
        payment: PaymentKey::Reference(reference.to_owned()),
        outcome: Outcome::Succeeded(Capture::new(reference, Money::new(1000, Currency::USD))),
    };
    receive(&db, &[event("cs_1")]).await;
    assert_eq!(process(&db).await.len(), 1);
    let waits = webhooks(&db).await.remove(0);
    assert_eq!(waits.status, WebhookStatus::Received);
    assert!(waits.error.unwrap().contains("cs_1"));
    db.shift_clock(Duration::from_secs(11 * 60)).await;
    assert!(process(&db).await.is_empty());
    assert_eq!(webhooks(&db).await[0].status, WebhookStatus::Failed);

    // The payment is known by now.
    db.shift_clock(Duration::ZERO).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    let started = Outcome::Processing { reference: "cs_1".to_owned() };
    crate::payments::settle(&db, &shop(), payment.id, started).await;
    let replayed = replay_webhook(&mut *db.conn().await, waits.id, &author()).await.unwrap();
    assert_eq!((replayed.status, replayed.error), (WebhookStatus::Received, None));
    assert!(process(&db).await.is_empty());
    assert_eq!(order(&db, placed.order.id).await.status, OrderStatus::Paid);
    let processed = find_webhook(&mut *db.conn().await, waits.id).await.unwrap().unwrap();
    assert_eq!(processed.status, WebhookStatus::Processed);
    db.finish().await;
}

#[tokio::test]
async fn a_dispute_is_shown_on_the_order_and_told_to_the_shop() {
    let db = TestDatabase::new().await;
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop(), &[(variant, 1)]).await;
    let payment = begin(&db, placed.order.id, owner, None).await;
    let amount = Money::new(1000, Currency::USD);
    let dispute = |event_id: &str, state: &str| WebhookEvent::Dispute {
        event_id: event_id.to_owned(),
        payment: PaymentKey::Id(payment.id),
        dispute: Dispute::new("dp_1", amount, "fraudulent", state),
    };
    receive(&db, &[paid("evt_1", &payment), dispute("evt_2", "needs_response")]).await;
    receive(&db, &[dispute("evt_2", "needs_response"), dispute("evt_3", "lost")]).await;
    assert!(process(&db).await.is_empty());
    let disputed =
        timeline(&db, placed.order.id).await.iter().filter(|kind| **kind == "payment_disputed").count();
    assert_eq!(disputed, 2);
    let alerts = diesel::sql_query("SELECT 1 FROM commerce.emails WHERE template = 'dispute_alert'");
    assert_eq!(diesel_async::RunQueryDsl::execute(alerts, &mut *db.conn().await).await.unwrap(), 2);
    assert_eq!(order(&db, placed.order.id).await.paid_minor, 1000, "the bank has not decided");
    db.finish().await;
}
