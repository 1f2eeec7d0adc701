use std::time::Duration;

use chrono::{TimeDelta, Utc};
use commerce_core::money::{Currency, Money};
use commerce_core::payments::{
    CaptureMethod, Outcome, Payment, PaymentKey, PaymentProvider as _, ProviderError, ProviderName,
    RazorpayProvider, RazorpaySettings, RefundKey, RefundOutcome, RequiredAction, WebhookDelivery,
    WebhookError, WebhookEvent,
};
use commerce_peers::razorpay::RazorpayPeer;
use commerce_peers::{Fault, RunningPeer};
use serde_json::{Value, json};

use crate::given::{captured, delivery, headers, invoice, payment, refund, settle};

const KEY_ID: &str = "rzp_test_1DP5mmOlF5G5ag";
const KEY_SECRET: &str = "thisissecret";
const WEBHOOK_SECRET: &str = "webhook secret";
const CREATE: &str = "POST /v1/orders";

struct World {
    peer: RazorpayPeer,
    provider: RazorpayProvider,
    running: RunningPeer,
}

fn settings(base: &str) -> RazorpaySettings {
    let mut settings = RazorpaySettings::new(KEY_ID, KEY_SECRET);
    settings.webhook_secrets = vec!["former".to_owned(), WEBHOOK_SECRET.to_owned()];
    settings.api_base = base.to_owned();
    settings.timeout = Duration::from_millis(500);
    settings
}

async fn world() -> World {
    let peer = RazorpayPeer::new(KEY_ID, KEY_SECRET, WEBHOOK_SECRET);
    let running = peer.start(0).await.unwrap();
    let provider = RazorpayProvider::new(settings(&running.url())).unwrap();
    World { peer, provider, running }
}

fn inr() -> Currency {
    "INR".parse().unwrap()
}

impl World {
    /// An attempt whose order nobody has paid.
    async fn started(&self, method: CaptureMethod) -> (Payment, String) {
        let invoice = invoice(inr());
        let mut payment = payment(ProviderName::RAZORPAY, &invoice);
        payment.capture_method = method;
        let outcome = self.provider.start(&payment, &invoice).await.unwrap();
        settle(&mut payment, &outcome);
        let order = payment.provider_reference.clone().unwrap();
        (payment, order)
    }

    async fn paid(&self) -> (Payment, String) {
        let (mut payment, order) = self.started(CaptureMethod::Automatic).await;
        let details = self.peer.pay(&order).unwrap();
        let outcome = self.provider.confirm(&payment, &details).await.unwrap();
        settle(&mut payment, &outcome);
        (payment, order)
    }

    async fn status(&self, payment: &Payment) -> Option<Outcome> {
        self.provider.attempt_status(payment).await.unwrap()
    }

    fn books(&self, payment: &Payment) -> (i64, i64) {
        let ledger = self.peer.ledger();
        let entry = &ledger[payment.id.to_string()];
        (entry["captured"].as_i64().unwrap_or(0), entry["refunded"].as_i64().unwrap_or(0))
    }

    fn events(&self) -> Vec<WebhookEvent> {
        let hooks = self.peer.hooks().all();
        let read = hooks.iter().map(|hook| self.provider.webhook(&delivery(&headers(hook), hook)).unwrap());
        read.flatten().collect()
    }
}

#[tokio::test]
async fn the_browser_gets_what_the_checkout_needs() {
    let world = world().await;
    let invoice = invoice(inr());
    let payment = payment(ProviderName::RAZORPAY, &invoice);
    let outcome = world.provider.start(&payment, &invoice).await.unwrap();
    let Outcome::RequiresAction { reference, action: RequiredAction::Client { data } } = outcome else {
        panic!("{outcome:?}");
    };
    let ids = json!({ "order_id": payment.order_id.to_string(), "payment_id": payment.id.to_string() });
    assert_eq!(
        (&data["key"], &data["order_id"], &data["amount"], &data["currency"], &data["notes"]),
        (&json!(KEY_ID), &json!(reference), &json!(4150), &json!("INR"), &ids)
    );
    assert_eq!(data["prefill"]["email"], "ada@example.com");
    assert!(!data.to_string().contains(KEY_SECRET));
    assert!(world.peer.refusals().is_empty(), "{:?}", world.peer.refusals());
    let again = world.provider.start(&payment, &invoice).await.unwrap();
    assert!(matches!(again, Outcome::RequiresAction { reference: same, .. } if same == reference));
    assert_eq!(world.peer.orders().len(), 1, "the order is found by its receipt");
}

#[tokio::test]
async fn what_the_browser_brings_back_is_checked() {
    let world = world().await;
    let (payment, order) = world.started(CaptureMethod::Automatic).await;
    let (_, other_order) = world.started(CaptureMethod::Automatic).await;
    let details = world.peer.pay(&order).unwrap();
    let others = world.peer.pay(&other_order).unwrap();
    let with = |field: &str, value: Value| {
        let mut wrong = details.clone();
        wrong[field] = value;
        wrong
    };
    for wrong in [
        with("razorpay_signature", json!("00")),
        with("razorpay_payment_id", json!("pay_another")),
        with("razorpay_order_id", others["razorpay_order_id"].clone()),
        others,
        json!({}),
    ] {
        let refused = world.provider.confirm(&payment, &wrong).await;
        assert!(matches!(refused, Err(ProviderError::InvalidDetails { .. })), "{wrong}: {refused:?}");
        assert!(!refused.unwrap_err().to_string().contains(KEY_SECRET));
    }
    for right in [details, Value::Null] {
        let outcome = world.provider.confirm(&payment, &right).await.unwrap();
        assert_eq!(captured(&outcome), Money::new(4150, inr()));
    }
}

#[tokio::test]
async fn of_several_payments_of_an_order_the_best_counts() {
    let world = world().await;
    let (payment, order) = world.started(CaptureMethod::Automatic).await;
    assert!(matches!(world.status(&payment).await, Some(Outcome::RequiresAction { .. })));
    let declined = world.peer.decline(&order).unwrap();
    let Some(Outcome::Failed { code, .. }) = world.status(&payment).await else { panic!("not failed") };
    assert_eq!(code, "payment_failed");
    let slow = world.peer.pay_slowly(&order).unwrap();
    assert_eq!(world.status(&payment).await, Some(Outcome::Processing { reference: order.clone() }));
    assert_eq!(
        world.provider.expire(&payment).await.unwrap(),
        Outcome::Processing { reference: order.clone() },
        "the bank may still agree"
    );
    world.peer.settle_slow(&slow, false);
    let failed = world.status(&payment).await.unwrap();
    assert!(matches!(failed, Outcome::Failed { .. }));
    assert_eq!(world.provider.expire(&payment).await.unwrap(), failed);
    // A bank that agrees late: the failed payment succeeds.
    assert!(world.peer.settle_slow(&declined, true));
    let paid = world.status(&payment).await.unwrap();
    let Outcome::Succeeded(capture) = &paid else { panic!("{paid:?}") };
    assert_eq!((capture.captured, capture.fee), (Money::new(4150, inr()), Some(Money::new(236, inr()))));
    assert_eq!(world.provider.expire(&payment).await.unwrap(), paid);
}

#[tokio::test]
async fn authorized_money_is_captured_as_a_whole_or_left_alone() {
    let world = world().await;
    let (mut payment, order) = world.started(CaptureMethod::Manual).await;
    world.peer.pay(&order).unwrap();
    let outcome = world.status(&payment).await.unwrap();
    let Outcome::Authorized(authorization) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(authorization.authorized, Money::new(4150, inr()));
    let lapses_in = authorization.lapses_at.unwrap() - Utc::now();
    assert!(lapses_in > TimeDelta::days(2) && lapses_in <= TimeDelta::days(3));
    settle(&mut payment, &outcome);
    let part = world.provider.capture(&payment, Money::new(4000, inr())).await;
    assert!(matches!(part, Err(ProviderError::Refused { .. })), "{part:?}");
    let whole = world.provider.capture(&payment, Money::new(4150, inr())).await.unwrap();
    assert_eq!(captured(&whole), Money::new(4150, inr()));
    assert_eq!(world.provider.capture(&payment, Money::new(4150, inr())).await.unwrap(), whole);
    assert_eq!(world.books(&payment), (4150, 0));

    let (mut payment, order) = world.started(CaptureMethod::Manual).await;
    world.peer.pay(&order).unwrap();
    let outcome = world.status(&payment).await.unwrap();
    settle(&mut payment, &outcome);
    assert_eq!(world.provider.expire(&payment).await.unwrap(), Outcome::Expired);
    assert_eq!(world.books(&payment), (0, 0));
}

#[tokio::test]
async fn refunds_are_done_once_and_never_above_what_was_captured() {
    let world = world().await;
    let (payment, _) = world.paid().await;
    let mut wish = refund(&payment, 1000);
    world.peer.set_refunds_pending(true);
    assert_eq!(world.provider.refund_status(&payment, &wish).await.unwrap(), None);
    let first = world.provider.refund(&payment, &wish).await.unwrap();
    let RefundOutcome::Pending { reference } = &first else { panic!("{first:?}") };
    assert_eq!(world.provider.refund(&payment, &wish).await.unwrap(), first, "the same key refunds once");
    world.peer.settle_refund(reference, false);
    let failed = world.provider.refund_status(&payment, &wish).await.unwrap();
    assert!(matches!(failed, Some(RefundOutcome::Failed { .. })), "{failed:?}");
    wish.attempt = 2;
    world.peer.set_refunds_pending(false);
    let second = world.provider.refund(&payment, &wish).await.unwrap();
    assert!(matches!(second, RefundOutcome::Succeeded { .. }), "{second:?}");
    assert_eq!(world.provider.refund_status(&payment, &wish).await.unwrap(), Some(second));
    let too_much = world.provider.refund(&payment, &refund(&payment, 4000)).await;
    assert!(matches!(too_much, Err(ProviderError::Refused { .. })), "{too_much:?}");
    assert_eq!(world.books(&payment), (4150, 1000));
    for _ in 0..15 {
        world.provider.refund(&payment, &refund(&payment, 100)).await.unwrap();
    }
    let status = world.provider.refund_status(&payment, &wish).await.unwrap();
    assert!(
        matches!(status, Some(RefundOutcome::Succeeded { .. })),
        "it is behind fifteen others: {status:?}"
    );
}

#[tokio::test]
async fn a_lost_answer_is_found_again_and_nothing_is_done_twice() {
    let world = world().await;
    let invoice = invoice(inr());
    for fault in [Fault::HangAfter, Fault::ErrorAfter] {
        let mut lost = payment(ProviderName::RAZORPAY, &invoice);
        let orders = world.peer.orders().len();
        world.peer.faults().add(CREATE, fault);
        let unknown = world.provider.start(&lost, &invoice).await;
        assert!(matches!(unknown, Err(ProviderError::Unreachable { .. })), "{unknown:?}");
        let outcome = world.status(&lost).await.unwrap();
        assert!(matches!(outcome, Outcome::RequiresAction { .. }), "{outcome:?}");
        let outcome = world.provider.start(&lost, &invoice).await.unwrap();
        settle(&mut lost, &outcome);
        assert_eq!(world.peer.orders().len(), orders + 1, "{fault:?}");
    }
    for fault in [Fault::HangBefore, Fault::ErrorBefore, Fault::TooMany { retry_after: 1 }] {
        let lost = payment(ProviderName::RAZORPAY, &invoice);
        world.peer.faults().add(CREATE, fault);
        world.provider.start(&lost, &invoice).await.unwrap_err();
        assert_eq!(world.status(&lost).await, None, "{fault:?}");
        assert_eq!(world.provider.expire(&lost).await.unwrap(), Outcome::Expired);
    }
    for fault in [Fault::HangAfter, Fault::ErrorAfter, Fault::HangBefore, Fault::ErrorBefore, Fault::Conflict]
    {
        let (payment, _) = world.paid().await;
        let wish = refund(&payment, 4150);
        world.peer.faults().add("POST /v1/payments/{id}/refund", fault);
        let answer = world.provider.refund(&payment, &wish).await;
        assert!(matches!(answer, Ok(RefundOutcome::Succeeded { .. })), "{fault:?}: {answer:?}");
        let status = world.provider.refund_status(&payment, &wish).await.unwrap();
        assert!(matches!(status, Some(RefundOutcome::Succeeded { .. })), "{status:?}");
        assert_eq!(world.books(&payment), (4150, 4150), "{fault:?}");

        let (mut payment, order) = world.started(CaptureMethod::Manual).await;
        world.peer.pay(&order).unwrap();
        let outcome = world.status(&payment).await.unwrap();
        settle(&mut payment, &outcome);
        world.peer.faults().add("POST /v1/payments/{id}/capture", fault);
        // A second request may be refused because the first one was heard: the shop then asks how it stands.
        let _ = world.provider.capture(&payment, Money::new(4150, inr())).await;
        assert_eq!(captured(&world.status(&payment).await.unwrap()).amount_minor, 4150, "{fault:?}");
    }
}

#[tokio::test]
async fn webhooks_say_what_happened() {
    let world = world().await;
    let (payment, order) = world.paid().await;
    let by_order = PaymentKey::Reference(order.clone());
    let told: Vec<Outcome> = world
        .events()
        .into_iter()
        .filter_map(|event| match event {
            WebhookEvent::Payment { payment, outcome, .. } if payment == by_order => Some(outcome),
            _ => None,
        })
        .collect();
    let [Outcome::Processing { .. }, one, other] = &told[..] else { panic!("{told:?}") };
    assert_eq!((captured(one), one), (Money::new(4150, inr()), other));
    assert_eq!(world.status(&payment).await.as_ref(), Some(one), "webhooks and the API say the same");

    let wish = refund(&payment, 1000);
    world.provider.refund(&payment, &wish).await.unwrap();
    world.peer.dispute(&order, "created");
    let (_, failing) = world.started(CaptureMethod::Automatic).await;
    world.peer.decline(&failing);
    let events = world.events();
    let refunds = events.iter().filter(|event| {
        matches!(event, WebhookEvent::Refund { refund: RefundKey::Id(id), outcome: RefundOutcome::Succeeded { .. }, .. } if *id == wish.id)
    });
    assert_eq!(refunds.count(), 2);
    let dispute = events.iter().find_map(|event| match event {
        WebhookEvent::Dispute { payment, dispute, .. } => Some((payment, dispute)),
        _ => None,
    });
    let (key, dispute) = dispute.unwrap();
    assert_eq!((key, dispute.state.as_str(), dispute.amount.amount_minor), (&by_order, "open", 4150));
    let Some(WebhookEvent::Payment { payment, outcome: Outcome::Failed { .. }, .. }) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(*payment, PaymentKey::Reference(failing));
    let ids: std::collections::BTreeSet<&str> = events.iter().map(WebhookEvent::event_id).collect();
    assert_eq!(ids.len(), events.len());
}

#[tokio::test]
async fn only_what_razorpay_signed_is_believed() {
    let world = world().await;
    world.paid().await;
    let hook = world.peer.hooks().all().pop().unwrap();
    let good = headers(&hook);
    let read = |headers: &http::HeaderMap, body: &str| {
        world.provider.webhook(&WebhookDelivery::new(headers, body.as_bytes(), Utc::now()))
    };
    assert_eq!(read(&good, &hook.body).unwrap()[0].event_id(), hook.id);
    assert!(matches!(read(&good, &format!("{} ", hook.body)), Err(WebhookError::Unverified)));
    assert!(matches!(read(&http::HeaderMap::new(), &hook.body), Err(WebhookError::Unverified)));
    let mut wrong = good.clone();
    wrong.insert("x-razorpay-signature", "00".parse().unwrap());
    assert!(matches!(read(&wrong, &hook.body), Err(WebhookError::Unverified)));
    let mut nameless = good.clone();
    nameless.remove("x-razorpay-event-id");
    let first = read(&nameless, &hook.body).unwrap()[0].event_id().to_owned();
    assert_eq!((first.len(), read(&nameless, &hook.body).unwrap()[0].event_id()), (64, first.as_str()));
}

#[tokio::test]
async fn a_wrong_key_ends_nothing_and_is_told_to_nobody() {
    let world = world().await;
    let (payment, _) = world.started(CaptureMethod::Automatic).await;
    let mut wrong = settings(&world.running.url());
    wrong.key_secret = "wrong and secret".to_owned();
    let provider = RazorpayProvider::new(wrong.clone()).unwrap();
    let error = provider.expire(&payment).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unreachable { .. }), "{error:?}");
    for shown in [format!("{error}"), format!("{error:?}"), format!("{wrong:?}")] {
        assert!(!shown.contains("wrong and secret"), "{shown}");
    }
}
