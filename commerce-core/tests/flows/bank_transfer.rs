//! A provider that no one here knows of: the one of `examples/bank_transfer_provider.rs`.

#[path = "../../examples/bank_transfer_provider.rs"]
pub mod bank_transfer_provider;

use std::sync::Arc;
use std::time::Duration;

use bank_transfer_provider::{BankTransfer, NAME, SIGNATURE_HEADER, sign};
use commerce_core::flows::{CancelledBy, begin_payment, cancel_order, run_refund, settle_webhook};
use commerce_core::jobs::{self, Job as _, kinds::RefundPayment};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{OrderStatus, PaymentStatus};
use commerce_core::payments::{
    self, AttemptStatus, PaymentProvider, ProviderName, Providers, WebhookDelivery, WebhookError,
};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, guest_origin};
use serde_json::{Value, json};

use crate::payments::{order, settle, wish};

pub const SECRET: &[u8] = b"shared with the bank";

/// The bank tells this; returns whether the provider believed it.
pub async fn hear(db: &TestDatabase, provider: &BankTransfer, bookings: &Value, secret: &[u8]) -> bool {
    let body = serde_json::to_vec(bookings).unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert(SIGNATURE_HEADER, sign(secret, &body).parse().unwrap());
    let events = match provider.webhook(&WebhookDelivery::new(&headers, &body, chrono::Utc::now())) {
        Ok(events) => events,
        Err(WebhookError::Unverified) => return false,
        Err(error) => panic!("{error}"),
    };
    for event in events {
        let shop = ShopSettings::default();
        settle_webhook(&mut *db.conn().await, &shop, &provider.name(), &event).await.unwrap();
    }
    true
}

pub fn booking(direction: &str, reference: &str, amount_minor: i64) -> Value {
    json!([{
        "id": format!("{direction}-{reference}"), "direction": direction, "reference": reference,
        "money": Money::new(amount_minor, Currency::USD),
    }])
}

#[tokio::test]
async fn a_hosts_own_provider_takes_money_and_gives_it_back() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let (owner, placed) = db.order(&shop, &[(variant, 1)]).await;
    let provider = BankTransfer::new("GB33BUKB20201555555555", SECRET).unwrap();
    let mut wish = wish(placed.order.id, owner, None);
    (wish.provider, wish.request) = (ProviderName::new(NAME).unwrap(), json!({}));
    provider.check_request(&wish.request).unwrap();
    let payment = begin_payment(&mut *db.conn().await, wish).await.unwrap();
    let started =
        settle(&db, &shop, payment.id, provider.start(&payment, &db.invoice(&payment).await).await.unwrap())
            .await;
    assert_eq!(started.status, AttemptStatus::RequiresAction);
    let action = started.action.unwrap();
    assert_eq!((&action["type"], &action["data"]["amount"]), (&json!("client"), &json!("10.00 USD")));

    let reference = action["data"]["reference"].as_str().unwrap();
    let arrived = booking("in", reference, 1000);
    assert!(!hear(&db, &provider, &arrived, b"guessed").await);
    assert_eq!(order(&db, placed.order.id).await.status, OrderStatus::PendingPayment);
    for _ in 0..2 {
        assert!(hear(&db, &provider, &arrived, SECRET).await);
    }
    assert_eq!(order(&db, placed.order.id).await.status, OrderStatus::Paid);

    cancel_order(&mut *db.conn().await, placed.order.id, CancelledBy::Admin, &guest_origin()).await.unwrap();
    let lease = Duration::from_secs(60);
    let claimed =
        jobs::claim(&mut *db.conn().await, "test", &[RefundPayment::KIND], 100, lease).await.unwrap();
    let RefundPayment { refund_id } = serde_json::from_value(claimed[0].payload.clone()).unwrap();
    let providers = Providers::new([Arc::new(provider) as Arc<dyn PaymentProvider>]);
    run_refund(db.pool(), &shop, &providers, refund_id, claimed[0].lease()).await.unwrap();
    let refund = payments::find_refund(&mut *db.conn().await, refund_id).await.unwrap().unwrap();
    let provider = BankTransfer::new("GB33BUKB20201555555555", SECRET).unwrap();
    let sent = booking("out", refund.provider_reference.as_deref().unwrap(), 1000);
    assert!(hear(&db, &provider, &sent, SECRET).await);
    assert_eq!(order(&db, placed.order.id).await.payment_status, PaymentStatus::Refunded);
    db.finish().await;
}
