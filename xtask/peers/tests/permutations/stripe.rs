use std::sync::Arc;

use commerce_core::payments::{AttemptStatus, CaptureMethod, Payment, StripeProvider, StripeSettings};
use commerce_peers::RunningPeer;
use commerce_peers::stripe::StripePeer;
use serde_json::Value;

use crate::shop::{End, Shop, Step, permutations};

async fn shop() -> (Shop, StripePeer, RunningPeer) {
    let peer = StripePeer::new("sk_test_key", "whsec_secret");
    let running = peer.start(0).await.unwrap();
    let mut settings = StripeSettings::new("sk_test_key", "https://shop.example/a", "https://shop.example/b");
    settings.webhook_secrets = vec!["whsec_secret".to_owned()];
    settings.api_base = running.url();
    (Shop::new(Arc::new(StripeProvider::new(settings).unwrap())).await, peer, running)
}

/// Lets the shopper act, and takes the steps that follow in every order, each with an order of its own.
async fn in_every_order(
    method: CaptureMethod,
    act: impl Fn(&StripePeer, &str),
    expected: &End,
    events_expected: usize,
) {
    let (shop, peer, _running) = shop().await;
    let mut attempts = Vec::new();
    let mut count = 1;
    let mut next = 0;
    while next < count {
        let payment: Payment = shop.started(method).await;
        let before = peer.hooks().all().len();
        act(&peer, payment.provider_reference.as_deref().unwrap());
        let mut steps = shop.events(&peer.hooks().all()[before..]);
        assert_eq!(steps.len(), events_expected, "{steps:?}");
        steps.extend([Step::Confirm(Value::Null), Step::Expire]);
        let orders = permutations(&steps);
        count = orders.len();
        let end = shop.take(&payment, &orders[next]).await;
        assert_eq!(end, *expected, "{:#?}", orders[next]);
        attempts.push(payment.id);
        next += 1;
    }
    shop.compare_books(&peer.ledger(), &attempts).await;
    assert!(
        peer.refusals().iter().all(|refusal| refusal.contains("can be expired")),
        "{:?}",
        peer.refusals()
    );
    shop.db.finish().await;
}

#[tokio::test]
async fn a_paid_session_pays_the_order() {
    let pay = |peer: &StripePeer, session: &str| {
        peer.decline(session);
        assert!(peer.pay(session));
    };
    in_every_order(CaptureMethod::Automatic, pay, &End::paid(), 2).await;
}

#[tokio::test]
async fn a_slow_payment_that_comes_in_pays_the_order() {
    let pay = |peer: &StripePeer, session: &str| {
        assert!(peer.pay_slowly(session) && peer.settle_slow(session, true));
    };
    in_every_order(CaptureMethod::Automatic, pay, &End::paid(), 3).await;
}

#[tokio::test]
async fn a_slow_payment_that_fails_leaves_the_order_to_its_expiry() {
    let fail = |peer: &StripePeer, session: &str| {
        assert!(peer.pay_slowly(session) && peer.settle_slow(session, false));
    };
    in_every_order(CaptureMethod::Automatic, fail, &End::cancelled(AttemptStatus::Failed), 2).await;
}

#[tokio::test]
async fn a_session_that_nobody_pays_ends_with_the_order() {
    let leave = |peer: &StripePeer, session: &str| {
        peer.decline(session);
        assert!(peer.expire(session));
    };
    in_every_order(CaptureMethod::Automatic, leave, &End::cancelled(AttemptStatus::Expired), 2).await;
}

#[tokio::test]
async fn an_authorization_that_is_not_captured_in_time_is_let_go() {
    let agree = |peer: &StripePeer, session: &str| assert!(peer.pay(session));
    in_every_order(CaptureMethod::Manual, agree, &End::cancelled(AttemptStatus::Expired), 2).await;
}
