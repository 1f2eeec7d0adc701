use std::sync::Arc;

use commerce_core::payments::{AttemptStatus, CaptureMethod, RazorpayProvider, RazorpaySettings};
use commerce_peers::RunningPeer;
use commerce_peers::razorpay::RazorpayPeer;
use serde_json::Value;

use crate::shop::{End, Shop, Step, permutations};

async fn shop() -> (Shop, RazorpayPeer, RunningPeer) {
    let peer = RazorpayPeer::new("rzp_test_key", "key secret", "webhook secret");
    let running = peer.start(0).await.unwrap();
    let mut settings = RazorpaySettings::new("rzp_test_key", "key secret");
    settings.webhook_secrets = vec!["webhook secret".to_owned()];
    settings.api_base = running.url();
    (Shop::new(Arc::new(RazorpayProvider::new(settings).unwrap())).await, peer, running)
}

/// Lets the shopper act, and takes the steps that follow in every order, each with an order of its own. `act` returns
/// what the browser brings back.
async fn in_every_order(
    method: CaptureMethod,
    act: impl Fn(&RazorpayPeer, &str) -> Value,
    expected: &End,
    events_expected: usize,
) {
    let (shop, peer, _running) = shop().await;
    let mut attempts = Vec::new();
    let mut count = 1;
    let mut next = 0;
    while next < count {
        let payment = shop.started(method).await;
        let before = peer.hooks().all().len();
        let details = act(&peer, payment.provider_reference.as_deref().unwrap());
        let mut steps = shop.events(&peer.hooks().all()[before..]);
        assert_eq!(steps.len(), events_expected, "{steps:?}");
        steps.extend([Step::Confirm(details), Step::Expire]);
        let orders = permutations(&steps);
        count = orders.len();
        let end = shop.take(&payment, &orders[next]).await;
        assert_eq!(end, *expected, "{:#?}", orders[next]);
        attempts.push(payment.id);
        next += 1;
    }
    shop.compare_books(&peer.ledger(), &attempts).await;
    assert!(peer.refusals().is_empty(), "{:?}", peer.refusals());
    shop.db.finish().await;
}

#[tokio::test]
async fn a_captured_payment_pays_the_order() {
    let pay = |peer: &RazorpayPeer, order: &str| peer.pay(order).unwrap();
    in_every_order(CaptureMethod::Automatic, pay, &End::paid(), 3).await;
}

#[tokio::test]
async fn a_failed_payment_that_succeeds_late_pays_the_order() {
    let fail_then_pay = |peer: &RazorpayPeer, order: &str| {
        let failed = peer.decline(order).unwrap();
        assert!(peer.settle_slow(&failed, true));
        Value::Null
    };
    in_every_order(CaptureMethod::Automatic, fail_then_pay, &End::paid(), 4).await;
}

#[tokio::test]
async fn a_failed_payment_leaves_the_order_to_its_expiry() {
    let fail = |peer: &RazorpayPeer, order: &str| {
        peer.decline(order).unwrap();
        Value::Null
    };
    in_every_order(CaptureMethod::Automatic, fail, &End::cancelled(AttemptStatus::Failed), 1).await;
}

#[tokio::test]
async fn an_authorization_that_is_not_captured_in_time_is_left_alone() {
    let agree = |peer: &RazorpayPeer, order: &str| peer.pay(order).unwrap();
    in_every_order(CaptureMethod::Manual, agree, &End::cancelled(AttemptStatus::Expired), 1).await;
}
