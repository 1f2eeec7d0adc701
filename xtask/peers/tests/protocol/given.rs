//! Orders, payments and refunds as the shop would have them.

use chrono::{SubsecRound as _, TimeDelta, Utc};
use commerce_core::ids::{OrderId, OrderLineId, PaymentId, RefundId, VariantId};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{FulfillmentStatus, Order, OrderLine, OrderSource, OrderStatus, PaymentStatus};
use commerce_core::payments::{
    AttemptStatus, CaptureMethod, Invoice, Outcome, Payment, ProviderName, Refund, RefundReason,
    RefundStatus, WebhookDelivery,
};
use commerce_core::testing::{address, email};
use commerce_peers::Hook;
use http::{HeaderMap, HeaderName};
use serde_json::Value;

/// An order of two books and a pen, with shipping and tax: 41.50.
pub fn invoice(currency: Currency) -> Invoice {
    let now = Utc::now().trunc_subsecs(0);
    let id = OrderId::new();
    let order = Order {
        id,
        number: 1001,
        source: OrderSource::Cart,
        user_id: None,
        email: email("ada@example.com"),
        locale: None,
        status: OrderStatus::PendingPayment,
        payment_status: PaymentStatus::Unpaid,
        fulfillment_status: FulfillmentStatus::Unfulfilled,
        currency,
        subtotal_minor: 3500,
        discount_minor: 0,
        shipping_minor: 500,
        tax_minor: 150,
        tax_included_minor: 0,
        total_minor: 4150,
        paid_minor: 0,
        refunded_minor: 0,
        cancelled_minor: 0,
        kept_minor: 0,
        authorized_minor: 0,
        shipping_address: address(),
        billing_address: None,
        cancel_reason: None,
        placed_at: now,
        expires_at: Some(now + TimeDelta::minutes(15)),
        paid_at: None,
        cancelled_at: None,
        stock_released_at: None,
        updated_at: now,
        version: 1,
    };
    let line = |title: &str, quantity, unit_price_minor| OrderLine {
        id: OrderLineId::new(),
        order_id: id,
        variant_id: VariantId::new(),
        sku: None,
        title: title.to_owned(),
        quantity,
        unit_price_minor,
        line_total_minor: quantity * unit_price_minor,
        shipped_quantity: 0,
        cancelled_quantity: 0,
        returned_quantity: 0,
        cancelled_minor: 0,
        track_inventory: true,
    };
    Invoice::new(order, vec![line("Book & Sons", 2, 1500), line("Pen", 1, 500)])
}

/// An attempt to pay the whole order that the provider does not know yet.
pub fn payment(provider: ProviderName, invoice: &Invoice) -> Payment {
    let now = Utc::now();
    Payment {
        id: PaymentId::new(),
        order_id: invoice.order.id,
        provider,
        provider_reference: None,
        request: Value::Null,
        amount_minor: invoice.order.total_minor,
        capture_method: CaptureMethod::Automatic,
        authorized_minor: 0,
        lapses_at: None,
        captured_minor: 0,
        refunded_minor: 0,
        currency: invoice.order.currency,
        status: AttemptStatus::Pending,
        failure_code: None,
        action: None,
        succeeded_at: None,
        fee_minor: None,
        fee_currency: None,
        created_at: now,
        updated_at: now,
    }
}

/// What the shop writes into the attempt's row.
pub fn settle(payment: &mut Payment, outcome: &Outcome) {
    match outcome {
        Outcome::RequiresAction { reference, action } => {
            payment.status = AttemptStatus::RequiresAction;
            payment.action = Some(serde_json::to_value(action).unwrap());
            payment.provider_reference = Some(reference.clone());
        }
        Outcome::Processing { reference } => {
            payment.status = AttemptStatus::Processing;
            payment.provider_reference = Some(reference.clone());
        }
        Outcome::Authorized(authorization) => {
            payment.status = AttemptStatus::Authorized;
            payment.authorized_minor = authorization.authorized.amount_minor;
            payment.provider_reference = Some(authorization.reference.clone());
        }
        Outcome::Succeeded(capture) => {
            payment.status = AttemptStatus::Succeeded;
            payment.captured_minor = capture.captured.amount_minor;
            payment.provider_reference = Some(capture.reference.clone());
        }
        Outcome::Failed { .. } => payment.status = AttemptStatus::Failed,
        Outcome::Expired => payment.status = AttemptStatus::Expired,
        other => panic!("{other:?}"),
    }
}

/// A refund of a part of the payment.
pub fn refund(payment: &Payment, amount_minor: i64) -> Refund {
    Refund {
        id: RefundId::new(),
        payment_id: payment.id,
        order_id: payment.order_id,
        amount_minor,
        reason: RefundReason::OrderCancelled,
        status: RefundStatus::Processing,
        dedupe_key: String::new(),
        attempt: 1,
        asked_at: None,
        provider_reference: None,
        failure_code: None,
        by_hand_note: None,
        created_at: Utc::now(),
        note: None,
        part_of: None,
    }
}

pub fn captured(outcome: &Outcome) -> Money {
    match outcome {
        Outcome::Succeeded(capture) => capture.captured,
        other => panic!("not captured: {other:?}"),
    }
}

/// The headers of a webhook.
pub fn headers(hook: &Hook) -> HeaderMap {
    let headers = hook.headers.iter();
    headers.map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
}

/// A webhook that arrives now.
pub fn delivery<'a>(headers: &'a HeaderMap, hook: &'a Hook) -> WebhookDelivery<'a> {
    WebhookDelivery::new(headers, hook.body.as_bytes(), Utc::now())
}
