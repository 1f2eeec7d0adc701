//! The peer of Stripe or of Razorpay beside a shop, and whether its books are those of the shop.
#![allow(dead_code, reason = "each of the test programs uses a part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use commerce_peers::razorpay::RazorpayPeer;
use commerce_peers::stripe::StripePeer;
use commerce_peers::{Fault, Faults, Hooks, RunningPeer};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use serde_json::Value;

pub const STRIPE_KEY: &str = "sk_test_key";
pub const STRIPE_WEBHOOKS: &str = "whsec_secret";
pub const RAZORPAY_KEY: &str = "rzp_test_key";
pub const RAZORPAY_SECRET: &str = "key secret";
pub const RAZORPAY_WEBHOOKS: &str = "webhook secret";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    Stripe,
    Razorpay,
}

impl Vendor {
    pub const BOTH: [Self; 2] = [Self::Stripe, Self::Razorpay];

    pub fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Razorpay => "razorpay",
        }
    }

    /// The request that begins an attempt.
    pub fn start(self) -> &'static str {
        match self {
            Self::Stripe => "POST /v1/checkout/sessions",
            Self::Razorpay => "POST /v1/orders",
        }
    }

    /// The question for the state of an attempt whose shopper has been sent to the provider.
    pub fn status(self) -> &'static str {
        match self {
            Self::Stripe => "GET /v1/checkout/sessions/{id}",
            Self::Razorpay => "GET /v1/orders/{id}/payments",
        }
    }

    pub fn capture(self) -> &'static str {
        match self {
            Self::Stripe => "POST /v1/payment_intents/{id}/capture",
            Self::Razorpay => "POST /v1/payments/{id}/capture",
        }
    }

    pub fn refund(self) -> &'static str {
        match self {
            Self::Stripe => "POST /v1/refunds",
            Self::Razorpay => "POST /v1/payments/{id}/refund",
        }
    }
}

/// A running peer. The other one does not run.
pub struct Peer {
    pub vendor: Vendor,
    pub stripe: StripePeer,
    pub razorpay: RazorpayPeer,
    pub url: String,
    _running: RunningPeer,
}

/// What moved for one payment, in minor units.
#[derive(Debug, PartialEq, Eq, QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    payment: String,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    captured: i64,
    #[diesel(sql_type = BigInt)]
    refunded: i64,
}

const OURS: &str = "SELECT id::text AS payment, currency::text AS currency, captured_minor AS captured, refunded_minor AS refunded
    FROM commerce.payments WHERE captured_minor > 0 AND provider = $1";

impl Peer {
    pub async fn start(vendor: Vendor) -> Self {
        let stripe = StripePeer::new(STRIPE_KEY, STRIPE_WEBHOOKS);
        let razorpay = RazorpayPeer::new(RAZORPAY_KEY, RAZORPAY_SECRET, RAZORPAY_WEBHOOKS);
        let running = match vendor {
            Vendor::Stripe => stripe.start(0).await.unwrap(),
            Vendor::Razorpay => razorpay.start(0).await.unwrap(),
        };
        Self { vendor, stripe, razorpay, url: running.url(), _running: running }
    }

    pub fn hooks(&self) -> &Arc<Hooks> {
        match self.vendor {
            Vendor::Stripe => self.stripe.hooks(),
            Vendor::Razorpay => self.razorpay.hooks(),
        }
    }

    pub fn faults(&self) -> &Faults {
        match self.vendor {
            Vendor::Stripe => self.stripe.faults(),
            Vendor::Razorpay => self.razorpay.faults(),
        }
    }

    /// The next `times` requests of this operation have this fault.
    pub fn spoil(&self, operation: &str, fault: Fault, times: usize) {
        for _ in 0..times {
            self.faults().add(operation, fault);
        }
    }

    /// The shopper pays, or agrees to pay if the shop takes the money later. `reference` is the provider's id of the
    /// session or order. Returns what the browser brings back.
    pub fn shopper_pays(&self, reference: &str) -> Value {
        match self.vendor {
            Vendor::Stripe => {
                assert!(self.stripe.pay(reference));
                Value::Null
            }
            Vendor::Razorpay => self.razorpay.pay(reference).unwrap(),
        }
    }

    /// All money that moved at the peer moved in the shop, and the other way round, to the cent.
    pub async fn check_books(&self, conn: &mut AsyncPgConnection) {
        let ledger = match self.vendor {
            Vendor::Stripe => self.stripe.ledger(),
            Vendor::Razorpay => self.razorpay.ledger(),
        };
        let theirs = ledger.as_object().unwrap().iter().map(|(payment, sums)| Line {
            payment: payment.clone(),
            currency: sums["currency"].as_str().unwrap().to_ascii_uppercase(),
            captured: sums["captured"].as_i64().unwrap(),
            refunded: sums["refunded"].as_i64().unwrap(),
        });
        let ours = diesel::sql_query(OURS).bind::<Text, _>(self.vendor.name());
        let ours: Vec<Line> = ours.load(conn).await.unwrap();
        let by_payment = |lines: Vec<Line>| -> BTreeMap<String, Line> {
            lines.into_iter().map(|line| (line.payment.clone(), line)).collect()
        };
        let moved = |line: &Line| line.captured != 0 || line.refunded != 0;
        assert_eq!(by_payment(ours), by_payment(theirs.filter(moved).collect()), "ours and theirs");
    }
}
