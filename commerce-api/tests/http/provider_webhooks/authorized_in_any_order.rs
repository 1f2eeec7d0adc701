//! Every order of the events of a payment that the shop captures by hand, each of them twice, with the browser's
//! confirmation, the expiry of the order and staff's capture among them.

use std::time::Duration;

use commerce_core::accounts::Role;
use commerce_core::settings::{CapturePolicy, ShopSettings};
use serde_json::Value;

use super::any_order::{Step, Worker, in_every_order_at, nothing, permutation, take};
use super::{End, Till, Vendor};

async fn till(vendor: Vendor) -> Till {
    let rules = ShopSettings { capture: CapturePolicy::Manual, ..ShopSettings::default() };
    Till::build(vendor, rules, 1_000_000, Duration::from_secs(6)).await
}

async fn captured_in_stripes_dashboard(workers: &[Worker]) {
    let act = |till: &Till, session: &str| {
        let stripe = &till.peer.stripe;
        nothing(stripe.pay(session) && stripe.capture(session))
    };
    in_every_order_at(till(Vendor::Stripe).await, workers, act, End::paid(), 3).await;
}

async fn captured_in_razorpays_dashboard(workers: &[Worker]) {
    let act = |till: &Till, order: &str| {
        let details = till.peer.razorpay.pay(order).unwrap();
        assert!(till.peer.razorpay.capture(order));
        details
    };
    in_every_order_at(till(Vendor::Razorpay).await, workers, act, End::paid(), 3).await;
}

async fn let_go_in_stripes_dashboard(workers: &[Worker]) {
    let act = |till: &Till, session: &str| {
        let stripe = &till.peer.stripe;
        nothing(stripe.pay(session) && stripe.let_go(session))
    };
    in_every_order_at(till(Vendor::Stripe).await, workers, act, End::unpaid("expired"), 3).await;
}

/// Razorpay gives back what nobody captures, and tells of refunds that the shop has not asked for.
async fn not_captured_at_razorpay(workers: &[Worker]) {
    let act = |till: &Till, order: &str| {
        let details = till.peer.razorpay.pay(order).unwrap();
        assert!(till.peer.razorpay.let_go(order));
        details
    };
    in_every_order_at(till(Vendor::Razorpay).await, workers, act, End::unpaid("failed"), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_captured_in_stripes_dashboard() {
    captured_in_stripes_dashboard(&[Worker::AtOnce]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_captured_in_razorpays_dashboard() {
    captured_in_razorpays_dashboard(&[Worker::AtOnce]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_go_in_stripes_dashboard() {
    let_go_in_stripes_dashboard(&[Worker::AtOnce]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_captures_at_razorpay() {
    not_captured_at_razorpay(&[Worker::AtOnce]).await;
}

/// The same with events that wait together.
mod long_tests {
    use super::*;

    const LATER: &[Worker] = &[Worker::Later];

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_captured_in_a_dashboard_is_settled_later() {
        captured_in_stripes_dashboard(LATER).await;
        captured_in_razorpays_dashboard(LATER).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_let_go_is_settled_later() {
        let_go_in_stripes_dashboard(LATER).await;
        not_captured_at_razorpay(LATER).await;
    }
}

/// Staff capture as soon as the shop has heard of the authorization, at any place among the events before it. The events
/// that follow come last, each twice.
async fn what_staff_capture(vendor: Vendor) {
    let till = till(vendor).await;
    let (_, admin) = till.shop.login(Role::Admin).await;
    for worker in [Worker::AtOnce, Worker::Later] {
        let (mut next, mut orders) = (0, usize::MAX);
        while next < orders {
            let sale = till.sale().await;
            let before = till.peer.hooks().all().len();
            let details: Value = till.peer.shopper_pays(&sale.reference);
            let mut steps: Vec<Step> = till.peer.hooks().all().drain(before..).map(Step::Event).collect();
            steps.extend([Step::Confirm(details), Step::Capture(admin.clone())]);
            orders = (1..=steps.len()).product();
            let steps = permutation(steps, next);
            take(&till, &sale, &steps, worker, &[]).await;
            let captured = till.capture(&sale, &admin, "again").await;
            assert!(matches!(captured.status.as_u16(), 200 | 409), "{steps:#?} {}", captured.text);
            for _ in 0..2 {
                for hook in till.peer.hooks().all().drain(before..) {
                    till.deliver(&hook).await;
                }
                till.work().await;
            }
            assert_eq!(till.end(&sale).await, End::paid(), "{worker:?} {steps:#?}");
            next += 1;
        }
    }
    till.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staff_capture_at_stripe() {
    what_staff_capture(Vendor::Stripe).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staff_capture_at_razorpay() {
    what_staff_capture(Vendor::Razorpay).await;
}
