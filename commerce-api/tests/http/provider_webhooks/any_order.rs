//! Every order of a session's events, with the browser's confirmation and the expiry of the order among them, and with
//! every event twice, ends in the same state.

use std::time::Duration;

use commerce_core::accounts::Role;
use commerce_peers::Hook;
use poem::http::Method;
use serde_json::Value;

use super::{End, Sale, Till, Vendor};
use crate::shop::{ask, get};

/// What happens to a payment.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A webhook arrives.
    Event(Hook),
    /// The shopper's browser comes back.
    Confirm(Value),
    /// The order's time has run out.
    Expire,
    /// Staff capture with this token, if the shop has heard that there is something to capture.
    Capture(String),
}

/// When webhooks are applied.
#[derive(Debug, Clone, Copy)]
pub(super) enum Worker {
    AtOnce,
    /// After all steps, so that the events of one order wait together.
    Later,
}

/// Lets the shopper act, and takes the steps that follow in every order, each with an order of its own. `act` returns
/// what the browser brings back. Events that tell nothing are delivered first, and are not permuted.
async fn in_every_order(
    vendor: Vendor,
    act: impl Fn(&Till, &str) -> Value,
    expected: End,
    events_expected: usize,
) {
    in_every_order_with(&[Worker::AtOnce, Worker::Later], vendor, act, expected, events_expected).await;
}

async fn in_every_order_with(
    workers: &[Worker],
    vendor: Vendor,
    act: impl Fn(&Till, &str) -> Value,
    expected: End,
    events_expected: usize,
) {
    in_every_order_at(Till::new(vendor).await, workers, act, expected, events_expected).await;
}

pub(super) async fn in_every_order_at(
    till: Till,
    workers: &[Worker],
    act: impl Fn(&Till, &str) -> Value,
    expected: End,
    events_expected: usize,
) {
    let mut sales = Vec::new();
    for &worker in workers {
        let (mut next, mut orders) = (0, usize::MAX);
        while next < orders {
            let sale = till.sale().await;
            let before = till.peer.hooks().all().len();
            let details = act(&till, &sale.reference);
            let (telling, silent): (Vec<Hook>, Vec<Hook>) = till
                .peer
                .hooks()
                .all()
                .drain(before..)
                .partition(|hook| !SILENT.contains(&hook.kind.as_str()));
            assert_eq!(telling.len(), events_expected, "{telling:?}");
            for hook in &silent {
                till.deliver(hook).await;
            }
            let mut steps: Vec<Step> = telling.into_iter().map(Step::Event).collect();
            steps.extend([Step::Confirm(details), Step::Expire]);
            orders = (1..=steps.len()).product();
            let steps = permutation(steps, next);
            // In the end, the order's time has run out again.
            take(&till, &sale, &steps, worker, &[Step::Expire]).await;
            assert_eq!(till.end(&sale).await, expected, "{worker:?} {steps:#?}");
            sales.push(sale);
            next += 1;
        }
    }
    replay(&till).await;
    for sale in &sales {
        assert_eq!(till.end(sale).await, expected, "after every event was applied once more");
    }
    till.close().await;
}

/// Events without an effect: the shopper may take another card, or another event says more.
const SILENT: [&str; 2] = ["payment_intent.payment_failed", "payment_intent.processing"];

/// Takes the steps in this order, then all events once more, and then these last ones.
pub(super) async fn take(till: &Till, sale: &Sale, steps: &[Step], worker: Worker, last: &[Step]) {
    let again = steps.iter().filter(|step| matches!(step, Step::Event(_)));
    for step in steps.iter().chain(again).chain(last) {
        match step {
            Step::Event(hook) => till.deliver(hook).await,
            Step::Confirm(details) => {
                let confirmed = till.confirm(sale, details).await;
                assert_eq!(confirmed.status, 200, "{}", confirmed.text);
            }
            Step::Expire => till.expire(&sale.order, Duration::from_secs(1)).await,
            Step::Capture(admin) => {
                let captured = till.capture(sale, admin, "capture").await;
                assert!(matches!(captured.status.as_u16(), 200 | 409), "{}", captured.text);
            }
        }
        if matches!(worker, Worker::AtOnce) {
            till.work().await;
        }
    }
    till.work().await;
}

/// The permutation with this number.
pub(super) fn permutation(mut steps: Vec<Step>, mut number: usize) -> Vec<Step> {
    let mut taken = Vec::with_capacity(steps.len());
    while !steps.is_empty() {
        taken.push(steps.remove(number % (steps.len())));
        number /= steps.len() + 1;
    }
    taken
}

/// Staff have every event applied once more.
pub(super) async fn replay(till: &Till) {
    let (_, admin) = till.shop.login(Role::Admin).await;
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/admin/webhooks?status=processed&limit=100{cursor}");
        let page = till.shop.send(get(&path).bearer(&admin)).await.json();
        for webhook in page["data"].as_array().unwrap() {
            let path = format!("/v1/admin/webhooks/{}/replay", webhook["id"].as_str().unwrap());
            let replayed = till.shop.send(ask(Method::POST, &path).bearer(&admin)).await;
            assert_eq!(replayed.status, 200, "{}", replayed.text);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    till.work().await;
}

pub(super) fn nothing(done: bool) -> Value {
    assert!(done);
    Value::Null
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_session_of_stripe() {
    let pay = |till: &Till, session: &str| {
        nothing(till.peer.stripe.decline(session));
        nothing(till.peer.stripe.pay(session))
    };
    in_every_order(Vendor::Stripe, pay, End::paid(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_payment_with_stripe() {
    let pay = |till: &Till, session: &str| {
        nothing(till.peer.stripe.pay_slowly(session) && till.peer.stripe.settle_slow(session, true))
    };
    in_every_order(Vendor::Stripe, pay, End::paid(), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_payment_with_stripe_that_fails() {
    let fail = |till: &Till, session: &str| {
        nothing(till.peer.stripe.pay_slowly(session) && till.peer.stripe.settle_slow(session, false))
    };
    in_every_order(Vendor::Stripe, fail, End::unpaid("failed"), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_stripe_that_nobody_pays() {
    let leave = |till: &Till, session: &str| {
        nothing(till.peer.stripe.decline(session));
        nothing(till.peer.stripe.expire(session))
    };
    in_every_order(Vendor::Stripe, leave, End::unpaid("expired"), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_payment_with_razorpay() {
    let pay = |till: &Till, order: &str| till.peer.razorpay.pay(order).unwrap();
    in_every_order(Vendor::Razorpay, pay, End::paid(), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_payment_with_razorpay() {
    let fail = |till: &Till, order: &str| {
        till.peer.razorpay.decline(order).unwrap();
        Value::Null
    };
    in_every_order(Vendor::Razorpay, fail, End::unpaid("failed"), 1).await;
}

mod long_tests {
    use super::*;

    /// 720 orders.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_payment_with_razorpay_that_succeeds_late() {
        let fail_then_pay = |till: &Till, order: &str| {
            let failed = till.peer.razorpay.decline(order).unwrap();
            nothing(till.peer.razorpay.settle_slow(&failed, true))
        };
        let workers = [Worker::AtOnce];
        in_every_order_with(&workers, Vendor::Razorpay, fail_then_pay, End::paid(), 4).await;
    }
}
