//! The whole way of a payment: the hosted page, and the webhooks that the peer itself delivers to a listening shop.

use std::time::{Duration, Instant};

use super::{End, Till, Vendor, count};
use crate::shop::listen;
use crate::webdriver::http_client;

async fn a_payment_is_heard_of(vendor: Vendor) {
    let till = Till::new(vendor).await;
    let server = listen(&till.shop).await;
    till.peer.hooks().deliver_to(format!("{}/v1/webhooks/{}", server.url, vendor.name()));
    let sale = till.sale().await;
    let button = match vendor {
        Vendor::Stripe => "card",
        Vendor::Razorpay => "now",
    };
    let page = format!("{}/pay/{}/{button}", till.peer.url, sale.reference);
    // The shop's own page, to which Stripe sends the browser, is not there.
    let pressed = http_client().post(&page).send().await;
    assert!(vendor == Vendor::Stripe || pressed.unwrap().status().is_success());
    let told = i64::try_from(till.peer.hooks().all().len()).unwrap();
    assert!(told > 1, "{:?}", till.peer.hooks().all());
    let begun = Instant::now();
    while count(&till.shop, "commerce.inbound_webhooks").await < told {
        assert!(begun.elapsed() < Duration::from_secs(20), "the webhooks are under way");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    till.work().await;
    assert_eq!(till.end(&sale).await, End::paid());
    assert_eq!(count(&till.shop, "commerce.inbound_webhooks WHERE status = 'failed'").await, 0);
    drop(server);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_on_stripes_page_is_heard_of() {
    a_payment_is_heard_of(Vendor::Stripe).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_in_razorpays_checkout_is_heard_of() {
    a_payment_is_heard_of(Vendor::Razorpay).await;
}
