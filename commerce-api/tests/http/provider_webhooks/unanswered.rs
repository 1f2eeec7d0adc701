//! A provider that does what it was asked for and does not answer, or answers 500, at each step. The client is told to
//! try again, or a job does: afterwards the money was moved once.

use std::time::Duration;

use commerce_core::accounts::Role;
use commerce_core::settings::{CapturePolicy, ShopSettings};
use commerce_peers::Fault;
use serde_json::{Value, json};

use super::{End, Sale, Till, Vendor};
use crate::shop::{Got, post};

const FAULTS: [Fault; 2] = [Fault::HangAfter, Fault::ErrorAfter];

/// A request is sent so often at most before the shop gives up for now.
const TRIES: usize = 3;

impl Vendor {
    fn start(self) -> &'static str {
        match self {
            Self::Stripe => "POST /v1/checkout/sessions",
            Self::Razorpay => "POST /v1/orders",
        }
    }

    fn capture(self) -> &'static str {
        match self {
            Self::Stripe => "POST /v1/payment_intents/{id}/capture",
            Self::Razorpay => "POST /v1/payments/{id}/capture",
        }
    }

    fn refund(self) -> &'static str {
        match self {
            Self::Stripe => "POST /v1/refunds",
            Self::Razorpay => "POST /v1/payments/{id}/refund",
        }
    }

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
    till.spoil(vendor.start(), fault, vendor.tries_to_start());
    let (order, token) = till.order().await;
    till.pay(&order, &token, "pay").await.problem(502, "provider_unavailable");
    (till, order, token)
}

/// The same request is sent again. Stripe keeps its own error as the answer to a key; then the shopper begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_an_answer_is_found_again() {
    for (vendor, fault) in cases() {
        let (till, order, token) = unanswered_start(vendor, fault).await;
        let again = till.pay(&order, &token, "pay").await;
        let answer = if (vendor, fault) == (Vendor::Stripe, Fault::ErrorAfter) {
            again.problem(502, "provider_unavailable");
            till.pay(&order, &token, "anew").await.problem(409, "payment_under_way");
            till.shop.database.shift_clock(Duration::from_secs(31)).await;
            till.pay(&order, &token, "anew").await
        } else {
            again
        };
        let sale = till.begun(order, token, &answer);
        till.shopper_pays(&sale);
        for hook in till.hooks().all() {
            till.deliver(&hook).await;
        }
        till.work().await;
        assert_eq!(till.end(&sale).await, End::paid(), "{vendor:?} {fault:?}");
        let payable = match vendor {
            Vendor::Stripe => {
                till.stripe.sessions().iter().filter(|session| session["status"] != "expired").count()
            }
            Vendor::Razorpay => till.razorpay.orders().len(),
        };
        assert_eq!(payable, 1, "{vendor:?} {fault:?}");
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_nobody_asks_about_again_ends_with_the_order() {
    for (vendor, fault) in cases() {
        let (till, order, _) = unanswered_start(vendor, fault).await;
        till.expire(&order, Duration::from_secs(1)).await;
        till.work().await;
        let is_open = |session: &Value| session["status"] == "open";
        assert!(!till.stripe.sessions().iter().any(is_open), "{vendor:?} {fault:?}");
        assert_eq!(till.shop.database.stock(till.variant).await.1, 0, "nothing is reserved");
        till.close().await;
    }
}

/// A sale whose money is authorized, and an admin's token.
async fn authorized(vendor: Vendor) -> (Till, Sale, String) {
    let rules = ShopSettings { capture: CapturePolicy::Manual, ..ShopSettings::default() };
    let till = Till::impatient(vendor, rules).await;
    let sale = till.sale().await;
    let details = till.shopper_pays(&sale);
    assert_eq!(till.confirm(&sale, &details).await.json()["status"], "authorized");
    let (_, admin) = till.shop.login(Role::Admin).await;
    (till, sale, admin)
}

async fn capture(till: &Till, sale: &Sale, admin: &str, key: &str) -> Got {
    let path = format!("/v1/payments/{}/capture", sale.payment);
    let capture = post(&path, &json!({})).bearer(admin).header("Idempotency-Key", key);
    till.shop.send(capture).await
}

/// Stripe answers a repeated request as it answered the first one, so a second lost answer is necessary for harm.
#[tokio::test(flavor = "multi_thread")]
async fn a_capture_without_an_answer_is_counted_once() {
    for (vendor, fault) in cases() {
        let (till, sale, admin) = authorized(vendor).await;
        till.spoil(vendor.capture(), fault, TRIES);
        capture(&till, &sale, &admin, "capture").await.problem(502, "provider_unavailable");
        assert_eq!(till.end(&sale).await.attempt, "authorized");
        till.shop.database.shift_clock(Duration::from_secs(61)).await;
        till.work().await;
        assert_eq!(till.end(&sale).await, End::paid(), "{vendor:?} {fault:?}");
        // The webhooks come late.
        for hook in till.hooks().all() {
            till.deliver(&hook).await;
        }
        till.work().await;
        capture(&till, &sale, &admin, "again").await.problem(409, "payment_state");
        assert_eq!(till.end(&sale).await, End::paid(), "{vendor:?} {fault:?}");
        till.close().await;
    }
}

/// Staff press the button again before anybody has asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_is_repeated_by_staff_is_counted_once() {
    for (vendor, fault) in cases() {
        let (till, sale, admin) = authorized(vendor).await;
        till.spoil(vendor.capture(), fault, TRIES);
        capture(&till, &sale, &admin, "capture").await.problem(502, "provider_unavailable");
        let again = capture(&till, &sale, &admin, "capture").await;
        if (vendor, fault) == (Vendor::Stripe, Fault::ErrorAfter) {
            again.problem(502, "provider_unavailable");
            till.shop.database.shift_clock(Duration::from_secs(61)).await;
            till.work().await;
        } else {
            assert_eq!(again.status, 200, "{}", again.text);
        }
        assert_eq!(till.end(&sale).await, End::paid(), "{vendor:?} {fault:?}");
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_without_an_answer_is_paid_once() {
    for (vendor, fault) in cases() {
        let till = Till::impatient(vendor, ShopSettings::default()).await;
        let sale = till.sale().await;
        let details = till.shopper_pays(&sale);
        assert_eq!(till.confirm(&sale, &details).await.json()["status"], "succeeded");
        let (_, admin) = till.shop.login(Role::Admin).await;
        let path = format!("/v1/payments/{}/refunds", sale.payment);
        // In two parts, because a second refund must not be taken for the first.
        for (key, amount) in [("first", 500), ("second", 300)] {
            till.spoil(vendor.refund(), fault, TRIES);
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
        for hook in till.hooks().all() {
            till.deliver(&hook).await;
        }
        till.work().await;
        assert_eq!(till.end(&sale).await, end);
        till.close().await;
    }
}
