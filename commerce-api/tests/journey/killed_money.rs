//! kill -9 of API or worker at each step of a payment's way, at Stripe and at Razorpay. The program is started again,
//! clients send their requests again with the same key, and the jobs run to their end. Then the order stands as if
//! nobody had died, and the peer's books are those of the shop to the cent. What the provider had been asked for and
//! not done by the death happens there after everything else, and every webhook comes once more at the end.
//!
//! | step | who dies | where |
//! |---|---|---|
//! | pay | API | before the attempt is written; before and after the provider has made the session or order; before its answer is written; after that |
//! | webhook | API | before the event is stored; after that |
//! | settle | worker | a webhook's effect is not written; the provider is asked about a silent attempt; its answer is not written |
//! | settle | API | the browser came back: the provider is asked; its answer is not written |
//! | expire | worker | before and after the provider has ended the attempt; before its answer is written |
//! | refund | API | before the refund is written; after that |
//! | refund | worker | before it has noted that it asks; before and after the provider has refunded; before its answer is written |
//! | capture | API | before the request is written; before and after the provider has captured; before its answer is written; after that |
//! | ship | API | before the parcel is looked at; around its capture; captured, before the parcel is written; after |
//! | void | API | before and after the provider has let go of the money; before its answer is written |
//!
//! `killed_money_often.rs` kills both at random moments while many pay.

use commerce_peers::Delivery;
use serde_json::json;

use crate::bookkeeping;
use crate::client::{Ask, ask, post};
use crate::providers::Vendor;
use crate::shop::eventually;
use crate::till::{At, PRICE, Sale, Till, Victim, standing};

const ORDERS: &str = "commerce.orders";

/// The places of a request to the provider and of what follows.
fn around(operation: &'static str) -> [At; 3] {
    [At::Asked(operation), At::Done(operation), At::Answered(operation)]
}

/// The end of the way of a sale that must be paid.
async fn ends_paid(till: Till, sale: &Sale, at: At) {
    till.settles().await;
    assert_eq!(till.stands(sale).await, standing("paid", "succeeded", PRICE, 0), "{at:?}");
    till.close().await;
}

async fn pay(vendor: Vendor) {
    let written = At::Committed("commerce.payments WHERE provider_reference IS NOT NULL");
    let mut places = vec![At::Row(ORDERS), written];
    places.extend(around(vendor.start()));
    for at in places {
        let mut till = Till::open(vendor, "automatic").await;
        let placed = till.order().await;
        let request = till.pay(&placed);
        let asked = till.dies_at(Victim::Api, at, async |till| till.insists(request.clone())).await;
        let heard = asked.await.unwrap();
        let again = till.client.insist(request).await;
        assert_eq!(heard.expect(201)["id"], again.expect(201)["id"], "{at:?}");
        let sale = till.sale(placed, &again);
        till.peer.shopper_pays(&sale.reference);
        ends_paid(till, &sale, at).await;
    }
}

async fn webhook(vendor: Vendor) {
    let events = "commerce.inbound_webhooks";
    for at in [At::Write(events), At::Committed(events)] {
        let mut till = Till::open(vendor, "automatic").await;
        let sale = till.sent().await;
        till.dies_at(Victim::Api, at, async |till| till.peer.shopper_pays(&sale.reference)).await;
        ends_paid(till, &sale, at).await;
    }
}

/// The worker applies the webhook, or asks the provider if there is none.
async fn settle(vendor: Vendor) {
    let mut till = Till::open(vendor, "automatic").await;
    let sale = till.sent().await;
    let at = At::Row(ORDERS);
    till.dies_at(Victim::Worker, at, async |till| till.peer.shopper_pays(&sale.reference)).await;
    ends_paid(till, &sale, at).await;

    for at in [At::Asked(vendor.status()), At::Answered(vendor.status())] {
        let mut till = Till::open(vendor, "automatic").await;
        till.peer.hooks().set_delivery(Delivery::Lose);
        let sale = till.sent().await;
        till.peer.shopper_pays(&sale.reference);
        till.dies_at(Victim::Worker, at, async |till| till.passes(65).await).await;
        ends_paid(till, &sale, at).await;
    }
}

async fn confirm(vendor: Vendor) {
    for at in [At::Asked(vendor.status()), At::Answered(vendor.status())] {
        let mut till = Till::open(vendor, "automatic").await;
        till.peer.hooks().set_delivery(Delivery::Lose);
        let sale = till.sent().await;
        let details = till.peer.shopper_pays(&sale.reference);
        let request = till.confirm(&sale, &details);
        let asked = till.dies_at(Victim::Api, at, async |till| till.insists(request)).await;
        assert_eq!(asked.await.unwrap().expect(200)["status"], "succeeded", "{at:?}");
        ends_paid(till, &sale, at).await;
    }
}

async fn expire(vendor: Vendor) {
    let end = match vendor {
        Vendor::Stripe => "POST /v1/checkout/sessions/{id}/expire",
        // It cannot end an order; it is asked how the order stands.
        Vendor::Razorpay => vendor.status(),
    };
    for at in around(end) {
        let mut till = Till::open(vendor, "automatic").await;
        let sale = till.sent().await;
        till.dies_at(Victim::Worker, at, async |till| till.expires(&sale).await).await;
        till.settles().await;
        // The sweep looks once a second.
        let cancelled = standing("cancelled", "expired", 0, 0);
        eventually(&format!("the order is cancelled, {at:?}"), async || {
            (till.stands(&sale).await == cancelled).then_some(())
        })
        .await;
        assert!(!till.peer.stripe.sessions().iter().any(|session| session["status"] == "open"), "{at:?}");
        till.close().await;
    }
}

/// A part of the price.
const PART: i64 = 500;

fn refund_part(sale: &Sale, admin: &str) -> Ask {
    let body = json!({ "amount": { "amount": PART, "currency": "USD" } });
    post(format!("/v1/payments/{}/refunds", sale.payment), &body).bearer(admin).key("refund")
}

async fn ends_refunded_in_part(till: Till, sale: &Sale, at: At) {
    till.settles().await;
    assert_eq!(till.stands(sale).await, standing("paid", "partially_refunded", PRICE, PART), "{at:?}");
    till.close().await;
}

async fn refund_request(vendor: Vendor) {
    for at in [At::Row(ORDERS), At::Committed("commerce.refunds")] {
        let mut till = Till::open(vendor, "automatic").await;
        let (sale, admin) = (till.paid().await, till.admin().await);
        till.quiet().await;
        let request = refund_part(&sale, &admin);
        let asked = till.dies_at(Victim::Api, at, async |till| till.insists(request.clone())).await;
        let heard = asked.await.unwrap().expect(201);
        assert_eq!(heard["id"], till.client.insist(request).await.expect(201)["id"], "{at:?}");
        ends_refunded_in_part(till, &sale, at).await;
    }
}

async fn refund_job(vendor: Vendor) {
    let mut places = vec![At::Row("commerce.refunds")];
    places.extend(around(vendor.refund()));
    for at in places {
        let mut till = Till::open(vendor, "automatic").await;
        let (sale, admin) = (till.paid().await, till.admin().await);
        till.quiet().await;
        // It starts when the refund is there.
        till.kill(Victim::Worker).await;
        till.client.insist(refund_part(&sale, &admin)).await.expect(201);
        till.dies_at(Victim::Worker, at, async |till| till.start(Victim::Worker).await).await;
        ends_refunded_in_part(till, &sale, at).await;
    }
}

/// A sale whose money is authorized, and an admin's token. `capture` is `COMMERCE_CAPTURE`.
async fn authorized(vendor: Vendor, capture: &str) -> (Till, Sale, String) {
    let till = Till::open(vendor, capture).await;
    let (sale, admin) = (till.paid().await, till.admin().await);
    till.quiet().await;
    assert_eq!(till.stands(&sale).await, standing("pending_payment", "authorized", 0, 0));
    (till, sale, admin)
}

async fn capture(vendor: Vendor) {
    let mut places = vec![At::Row(ORDERS), At::Committed("commerce.payments WHERE captured_minor > 0")];
    places.extend(around(vendor.capture()));
    for at in places {
        let (mut till, sale, admin) = authorized(vendor, "manual").await;
        let path = format!("/v1/payments/{}/capture", sale.payment);
        let request = post(path, &json!({})).bearer(&admin).key("capture");
        let asked = till.dies_at(Victim::Api, at, async |till| till.insists(request.clone())).await;
        assert_eq!(asked.await.unwrap().expect(200)["status"], "succeeded", "{at:?}");
        assert_eq!(till.client.insist(request).await.expect(200)["status"], "succeeded", "{at:?}");
        ends_paid(till, &sale, at).await;
    }
}

/// A request that sends the first parcel of a sale.
#[derive(Debug, Clone, Copy)]
enum Sends {
    NewParcel,
    PackedParcel,
    WholeOrder,
}

impl Sends {
    /// Packs what must be packed. Returns the request.
    async fn request(self, till: &Till, sale: &Sale, admin: &str) -> Ask {
        let parcel = |shipped: bool, key: &str| {
            let status = if shipped { "shipped" } else { "pending" };
            let body = json!({ "order_id": sale.order, "status": status });
            post("/v1/shipments", &body).bearer(admin).key(key)
        };
        let status = |path: String| {
            let body = json!({ "status": "shipped" });
            ask(reqwest::Method::PATCH, path).json(&body).bearer(admin)
        };
        match self {
            Self::NewParcel => parcel(true, "ship"),
            Self::PackedParcel => {
                let packed = till.client.insist(parcel(false, "pack")).await.expect(201);
                status(format!("/v1/shipments/{}/status", packed["id"].as_str().unwrap()))
            }
            Self::WholeOrder => status(format!("/v1/admin/orders/{}/status", sale.order)),
        }
    }
}

/// The shop takes money when it ships. Whatever the API died over, the request that is sent again captures once, ships
/// once, and takes the goods out of stock once.
async fn ship(vendor: Vendor, sends: Sends, places: &[At]) {
    for &at in places {
        let (mut till, sale, admin) = authorized(vendor, "on_shipping").await;
        let request = sends.request(&till, &sale, &admin).await;
        let asked = till.dies_at(Victim::Api, at, async |till| till.insists(request.clone())).await;
        let heard = asked.await.unwrap();
        let again = till.client.insist(request).await;
        match sends {
            Sends::NewParcel => assert_eq!(heard.expect(201)["id"], again.expect(201)["id"], "{at:?}"),
            Sends::PackedParcel => assert_eq!(heard.expect(200)["id"], again.expect(200)["id"], "{at:?}"),
            // Its request has no key, and a step is taken once.
            Sends::WholeOrder => {
                assert!(heard.status == 200 || heard.problem(409) == "order_state", "{at:?}: {}", heard.text);
                assert_eq!(again.problem(409), "order_state", "{at:?}");
            }
        }
        till.settles().await;
        assert_eq!(till.stands(&sale).await, standing("shipped", "succeeded", PRICE, 0), "{at:?}");
        let left = "commerce.shipments WHERE shipped_at IS NOT NULL";
        assert_eq!(bookkeeping::count(till.database.url(), left).await, 1, "{at:?}");
        let gone = "commerce.stock_movements WHERE kind = 'consume'";
        assert_eq!(bookkeeping::count(till.database.url(), gone).await, 1, "{at:?}");
        till.close().await;
    }
}

/// Razorpay has no request to let go of money.
async fn void_at_stripe() {
    for at in around("POST /v1/payment_intents/{id}/cancel") {
        let (mut till, sale, admin) = authorized(Vendor::Stripe, "manual").await;
        // Nobody sends the request again, and no webhook tells. The job finds out.
        till.peer.hooks().set_delivery(Delivery::Lose);
        let path = format!("/v1/payments/{}/void", sale.payment);
        let request = ask(reqwest::Method::POST, path).bearer(&admin).key("void");
        let client = till.client.clone();
        let asked = till
            .dies_at(Victim::Api, at, async |_| tokio::spawn(async move { client.try_send(request).await }))
            .await;
        assert!(asked.await.unwrap().is_err(), "{at:?}");
        till.jobs_end().await;
        let attempt = if matches!(at, At::Asked(_)) { "authorized" } else { "expired" };
        assert_eq!(till.stands(&sale).await, standing("pending_payment", attempt, 0, 0), "{at:?}");
        // What was asked for happens late, and a webhook tells.
        till.comes_late().await;
        assert_eq!(till.stands(&sale).await, standing("pending_payment", "expired", 0, 0), "{at:?}");
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_dies_while_somebody_pays() {
    for vendor in Vendor::BOTH {
        pay(vendor).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_dies_over_a_webhook() {
    for vendor in Vendor::BOTH {
        webhook(vendor).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_while_it_settles() {
    for vendor in Vendor::BOTH {
        settle(vendor).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_dies_while_a_shopper_comes_back() {
    for vendor in Vendor::BOTH {
        confirm(vendor).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_while_an_order_expires() {
    for vendor in Vendor::BOTH {
        expire(vendor).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_dies_while_staff_request_a_refund() {
    for vendor in Vendor::BOTH {
        refund_request(vendor).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_while_it_refunds() {
    for vendor in Vendor::BOTH {
        refund_job(vendor).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_dies_while_staff_capture() {
    for vendor in Vendor::BOTH {
        capture(vendor).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_dies_while_the_first_parcel_takes_the_money() {
    let between = At::Write("commerce.shipments");
    for vendor in Vendor::BOTH {
        let left = At::Committed("commerce.shipments WHERE shipped_at IS NOT NULL");
        let mut places = vec![At::Row(ORDERS), between, left];
        places.extend(around(vendor.capture()));
        ship(vendor, Sends::NewParcel, &places).await;
    }
    for sends in [Sends::PackedParcel, Sends::WholeOrder] {
        ship(Vendor::Stripe, sends, &[At::Done(Vendor::Stripe.capture()), between]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_dies_while_staff_let_go_of_money() {
    void_at_stripe().await;
}
