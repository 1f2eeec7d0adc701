//! No webhook arrives, and no browser comes back: the shop asks by itself, and misses no money.

use std::time::Duration;

use commerce_core::settings::ShopSettings;
use serde_json::Value;

use super::{End, Till, Vendor};

/// A little more than a minute, after which an attempt is asked about.
const A_MINUTE: Duration = Duration::from_secs(61);

async fn a_lost_webhook_heals(vendor: Vendor) {
    let till = Till::new(vendor).await;
    let sale = till.sale().await;
    let untouched = till.end(&sale).await;
    till.peer.shopper_pays(&sale.reference);
    till.work().await;
    assert_eq!(till.end(&sale).await, untouched, "nobody has told the shop");
    till.shop.database.shift_clock(A_MINUTE).await;
    till.work().await;
    assert_eq!(till.end(&sale).await, End::paid());
    till.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_webhook_of_stripe_heals_after_a_minute() {
    a_lost_webhook_heals(Vendor::Stripe).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_webhook_of_razorpay_heals_after_a_minute() {
    a_lost_webhook_heals(Vendor::Razorpay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_waits_at_expiry_pays_the_order() {
    for vendor in [Vendor::Stripe, Vendor::Razorpay] {
        let till = Till::new(vendor).await;
        let sale = till.sale().await;
        till.peer.shopper_pays(&sale.reference);
        till.expire(&sale.order, Duration::from_secs(1)).await;
        assert_eq!(till.end(&sale).await, End::paid());
        till.close().await;
    }
}

/// A payment that comes in after the order was cancelled, and of which no webhook tells.
struct LateMoney {
    vendor: Vendor,
    /// The shop still has the unit.
    in_stock: bool,
}

impl LateMoney {
    async fn comes(self) -> (Till, End) {
        let till = Till::selling(self.vendor, 1).await;
        let sale = till.sale().await;
        match self.vendor {
            // A bank debit is under way. The order waits for it, but not for ever.
            Vendor::Stripe => {
                assert!(till.peer.stripe.pay_slowly(&sale.reference));
                till.expire(&sale.order, Duration::from_secs(1)).await;
                assert_eq!(till.end(&sale).await.order, "pending_payment");
                // The provider is asked again after pauses.
                till.shop.database.shift_clock(Duration::from_secs(30)).await;
                till.expire(&sale.order, 2 * ShopSettings::default().provider_grace).await;
                till.work().await;
            }
            // Its order stays open at Razorpay, and so does the page in the shopper's browser.
            Vendor::Razorpay => till.expire(&sale.order, Duration::from_secs(1)).await,
        }
        assert_eq!(till.end(&sale).await, End::unpaid("expired"));
        till.shop.database.shift_clock(Duration::from_secs(30) + A_MINUTE).await;
        till.work().await;
        if !self.in_stock {
            let (order, token) = till.order().await;
            let other = till.pay(&order, &token, "pay").await;
            let other = till.begun(order, token, &other);
            let details = till.peer.shopper_pays(&other.reference);
            assert_eq!(till.confirm(&other, &details).await.json()["status"], "succeeded");
        }
        match self.vendor {
            Vendor::Stripe => assert!(till.peer.stripe.settle_slow(&sale.reference, true)),
            Vendor::Razorpay => assert_ne!(till.peer.shopper_pays(&sale.reference), Value::Null),
        }
        // Several questions may lie between, and the refund is a job too.
        for hours in 1..=3 {
            till.shop.database.shift_clock(Duration::from_secs(hours * 3600)).await;
            till.work().await;
        }
        let end = till.end(&sale).await;
        let (on_hand, reserved) = till.shop.database.stock(till.variant).await;
        assert_eq!((on_hand, reserved), (1, 1), "one of the two orders has the unit");
        (till, end)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_restores_the_order() {
    for vendor in [Vendor::Stripe, Vendor::Razorpay] {
        let (till, end) = LateMoney { vendor, in_stock: true }.comes().await;
        assert_eq!(end, End::paid(), "{vendor:?}");
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_money_goes_back_if_the_stock_is_gone() {
    for vendor in [Vendor::Stripe, Vendor::Razorpay] {
        let (till, end) = LateMoney { vendor, in_stock: false }.comes().await;
        assert_eq!(end, End::refunded(), "{vendor:?}");
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_try_after_a_failure_is_not_missed() {
    let till = Till::new(Vendor::Razorpay).await;
    let sale = till.sale().await;
    till.peer.razorpay.decline(&sale.reference).unwrap();
    for hook in till.peer.hooks().all() {
        till.deliver(&hook).await;
    }
    till.work().await;
    assert_eq!(till.end(&sale).await.attempt, "failed");
    till.peer.shopper_pays(&sale.reference);
    till.shop.database.shift_clock(A_MINUTE).await;
    till.work().await;
    assert_eq!(till.end(&sale).await, End::paid());
    till.close().await;
}
