//! A provider that does what it was asked for and does not answer, or answers 500, at each step. The client is told to
//! try again, or a job does: afterwards the money was moved once.

use std::time::Duration;

use commerce_core::accounts::Role;
use commerce_core::settings::{CapturePolicy, ShopSettings};
use commerce_peers::Fault;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{End, Sale, Till, Vendor};
use crate::shop::post;

const FAULTS: [Fault; 2] = [Fault::HangAfter, Fault::ErrorAfter];

/// A request is sent so often at most before the shop gives up for now.
const TRIES: usize = 3;

impl Vendor {
    /// So many requests are sent before a caller hears that the provider did not answer. Razorpay has no key for
    /// orders, so none is created twice blindly.
    fn tries_to_start(self) -> usize {
        match self {
            Self::Stripe => TRIES,
            Self::Razorpay => 1,
        }
    }
}

fn cases() -> impl Iterator<Item = (Vendor, Fault)> {
    [Vendor::Stripe, Vendor::Razorpay].into_iter().flat_map(|vendor| FAULTS.map(|fault| (vendor, fault)))
}

/// An order whose request to pay was carried out and not answered.
async fn unanswered_start(vendor: Vendor, fault: Fault) -> (Till, String, String) {
    let till = Till::impatient(vendor, ShopSettings::default()).await;
    till.peer.spoil(vendor.start(), fault, vendor.tries_to_start());
    let (order, token) = till.order().await;
    till.pay(&order, &token, "pay").await.problem(502, "provider_unavailable");
    (till, order, token)
}

/// The same request is sent again. Stripe keeps its own error as the answer to a key, so the session is looked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_an_answer_is_found_again() {
    for (vendor, fault) in cases() {
        let (till, order, token) = unanswered_start(vendor, fault).await;
        let again = till.pay(&order, &token, "pay").await;
        let sale = till.begun(order, token, &again);
        till.peer.shopper_pays(&sale.reference);
        for hook in till.peer.hooks().all() {
            till.deliver(&hook).await;
        }
        till.work().await;
        assert_eq!(till.end(&sale).await, End::paid(), "{vendor:?} {fault:?}");
        let payable = match vendor {
            Vendor::Stripe => {
                till.peer.stripe.sessions().iter().filter(|session| session["status"] != "expired").count()
            }
            Vendor::Razorpay => till.peer.razorpay.orders().len(),
        };
        assert_eq!(payable, 1, "{vendor:?} {fault:?}");
        till.close().await;
    }
}

/// Stripe has done nothing, and keeps its error as the answer to the key. However many repeat the request, they all get
/// to the same second key.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_stripe_failed_at_for_good_is_begun_once_more() {
    let till = Till::impatient(Vendor::Stripe, ShopSettings::default()).await;
    till.peer.spoil(Vendor::Stripe.start(), Fault::ErrorKept, TRIES);
    let (order, token) = till.order().await;
    till.pay(&order, &token, "pay").await.problem(502, "provider_unavailable");
    assert!(till.peer.stripe.sessions().is_empty());
    let answers = join_all((0..5).map(|_| till.pay(&order, &token, "pay"))).await;
    for answer in &answers {
        assert!(answer.status == 201 || answer.status == 409, "{}", answer.text);
    }
    let again = till.pay(&order, &token, "pay").await;
    let sale = till.begun(order, token, &again);
    assert_eq!(till.peer.stripe.sessions().len(), 1);
    till.peer.shopper_pays(&sale.reference);
    till.confirm(&sale, &Value::Null).await;
    assert_eq!(till.end(&sale).await, End::paid());
    till.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_stripe_failed_at_for_good_is_done_once() {
    let (till, sale, admin) = authorized(Vendor::Stripe).await;
    till.peer.spoil(Vendor::Stripe.capture(), Fault::ErrorKept, TRIES);
    till.capture(&sale, &admin, "capture").await.problem(502, "provider_unavailable");
    let captured = till.capture(&sale, &admin, "capture").await;
    assert_eq!(captured.status, 200, "{}", captured.text);
    assert_eq!(till.end(&sale).await, End::paid());
    till.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_nobody_asks_about_again_ends_with_the_order() {
    for (vendor, fault) in cases() {
        let (till, order, _) = unanswered_start(vendor, fault).await;
        till.expire(&order, Duration::from_secs(1)).await;
        till.work().await;
        let is_open = |session: &Value| session["status"] == "open";
        assert!(!till.peer.stripe.sessions().iter().any(is_open), "{vendor:?} {fault:?}");
        assert_eq!(till.shop.database.stock(till.variant).await.1, 0, "nothing is reserved");
        till.close().await;
    }
}

/// A sale whose money is authorized, and an admin's token.
async fn authorized(vendor: Vendor) -> (Till, Sale, String) {
    let rules = ShopSettings { capture: CapturePolicy::Manual, ..ShopSettings::default() };
    let till = Till::impatient(vendor, rules).await;
    let sale = till.sale().await;
    let details = till.peer.shopper_pays(&sale.reference);
    assert_eq!(till.confirm(&sale, &details).await.json()["status"], "authorized");
    let (_, admin) = till.shop.login(Role::Admin).await;
    (till, sale, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_without_an_answer_is_counted_once() {
    for (vendor, fault) in cases() {
        let (till, sale, admin) = authorized(vendor).await;
        till.peer.spoil(vendor.capture(), fault, TRIES);
        till.capture(&sale, &admin, "capture").await.problem(502, "provider_unavailable");
        assert_eq!(till.end(&sale).await.attempt, "authorized");
        till.shop.database.shift_clock(Duration::from_secs(61)).await;
        till.work().await;
        assert_eq!(till.end(&sale).await, End::paid(), "{vendor:?} {fault:?}");
        // The webhooks come late.
        for hook in till.peer.hooks().all() {
            till.deliver(&hook).await;
        }
        till.work().await;
        till.capture(&sale, &admin, "again").await.problem(409, "payment_state");
        assert_eq!(till.end(&sale).await, End::paid(), "{vendor:?} {fault:?}");
        till.close().await;
    }
}

/// Staff press the button again before anybody has asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_is_repeated_by_staff_is_counted_once() {
    for (vendor, fault) in cases() {
        let (till, sale, admin) = authorized(vendor).await;
        till.peer.spoil(vendor.capture(), fault, TRIES);
        till.capture(&sale, &admin, "capture").await.problem(502, "provider_unavailable");
        let again = till.capture(&sale, &admin, "capture").await;
        assert_eq!(again.status, 200, "{}", again.text);
        assert_eq!(till.end(&sale).await, End::paid(), "{vendor:?} {fault:?}");
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_without_an_answer_is_paid_once() {
    for (vendor, fault) in cases() {
        let till = Till::impatient(vendor, ShopSettings::default()).await;
        let sale = till.sale().await;
        let details = till.peer.shopper_pays(&sale.reference);
        assert_eq!(till.confirm(&sale, &details).await.json()["status"], "succeeded");
        let (_, admin) = till.shop.login(Role::Admin).await;
        let path = format!("/v1/payments/{}/refunds", sale.payment);
        // In two parts, because a second refund must not be taken for the first.
        for (key, amount) in [("first", 500), ("second", 300)] {
            till.peer.spoil(vendor.refund(), fault, TRIES);
            let body = json!({ "amount": { "amount": amount, "currency": "USD" } });
            let refund = post(&path, &body).bearer(&admin).header("Idempotency-Key", key);
            let refunded = till.shop.send(refund).await;
            assert_eq!(refunded.status, 201, "{}", refunded.text);
            till.work().await;
            let shift = Duration::from_secs(if key == "first" { 30 } else { 60 });
            till.shop.database.shift_clock(shift).await;
            till.work().await;
        }
        let end = till.end(&sale).await;
        assert_eq!((end.refunded, end.attempt.as_str()), (800, "partially_refunded"), "{vendor:?} {fault:?}");
        for hook in till.peer.hooks().all() {
            till.deliver(&hook).await;
        }
        till.work().await;
        assert_eq!(till.end(&sale).await, end);
        till.close().await;
    }
}
