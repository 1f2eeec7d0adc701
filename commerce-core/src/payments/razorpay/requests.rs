//! What is sent to Razorpay, and to its checkout in the shopper's browser.

use serde_json::{Value, json};

use super::objects::{ATTEMPT, ORDER_ID, PAYMENT_ID, REFUND_ID};
use super::settings::RazorpaySettings;
use crate::money::Money;
use crate::payments::{CaptureMethod, Invoice, Payment, Refund};

/// Razorpay captures a payment by itself if the bank agrees within this time. A payment that it hears of later is not
/// captured and goes back.
const CAPTURE_WITHIN_MINUTES: i64 = 60;

/// A payment that is not captured within this time goes back to the shopper: three days. Razorpay allows no more.
pub(super) const HOLD_MINUTES: i64 = 3 * 24 * 60;

/// An amount that Razorpay does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Razorpay takes amounts in {currency} only if their last of three places is 0", currency = .0.currency)]
pub(super) struct AmountTooFine(Money);

/// The amount in the unit of Razorpay's API.
pub(super) fn amount(money: Money) -> Result<i64, AmountTooFine> {
    match money.currency.exponent() {
        3 if money.amount_minor % 10 != 0 => Err(AmountTooFine(money)),
        _ => Ok(money.amount_minor),
    }
}

/// The request for an order. Its receipt is the attempt's id, by which the order is found again.
pub(super) fn order_request(payment: &Payment) -> Result<Value, AmountTooFine> {
    let total = Money::new(payment.amount_minor, payment.currency);
    let options = match payment.capture_method {
        CaptureMethod::Automatic => json!({
            "automatic_expiry_period": CAPTURE_WITHIN_MINUTES,
            "manual_expiry_period": HOLD_MINUTES,
            "refund_speed": "normal",
        }),
        CaptureMethod::Manual => json!({ "manual_expiry_period": HOLD_MINUTES, "refund_speed": "normal" }),
    };
    let capture = match payment.capture_method {
        CaptureMethod::Automatic => "automatic",
        CaptureMethod::Manual => "manual",
    };
    Ok(json!({
        "amount": amount(total)?,
        "currency": payment.currency.code(),
        "receipt": payment.id.to_string(),
        "notes": { PAYMENT_ID: payment.id.to_string(), ORDER_ID: payment.order_id.to_string() },
        "payment": { "capture": capture, "capture_options": options },
    }))
}

/// The options of Razorpay's checkout, without what only the order tells.
pub(super) fn checkout_data(settings: &RazorpaySettings, payment: &Payment, order: &str) -> Value {
    let mut data = json!({
        "key": settings.key_id,
        "order_id": order,
        "amount": payment.amount_minor,
        "currency": payment.currency.code(),
        "notes": { PAYMENT_ID: payment.id.to_string(), ORDER_ID: payment.order_id.to_string() },
        // A payment that fails is the end of the attempt. The shopper begins another one.
        "retry": { "enabled": false },
    });
    if let (Some(name), Some(data)) = (&settings.shop_name, data.as_object_mut()) {
        data.insert("name".to_owned(), name.as_str().into());
    }
    data
}

/// The same with what the order tells about the shopper.
pub(super) fn checkout_data_with(
    settings: &RazorpaySettings,
    payment: &Payment,
    invoice: &Invoice,
    order: &str,
) -> Value {
    let mut data = checkout_data(settings, payment, order);
    let address = &invoice.order.shipping_address;
    let mut prefill = json!({ "name": address.name, "email": invoice.order.email });
    if let (Some(phone), Some(prefill)) = (&address.phone, prefill.as_object_mut()) {
        prefill.insert("contact".to_owned(), phone.as_str().into());
    }
    if let Some(data) = data.as_object_mut() {
        data.insert("description".to_owned(), format!("Order {}", invoice.order.number).into());
        data.insert("prefill".to_owned(), prefill);
    }
    data
}

/// The request for one attempt of a refund.
pub(super) fn refund_request(payment: &Payment, refund: &Refund) -> Result<Value, AmountTooFine> {
    Ok(json!({
        "amount": amount(Money::new(refund.amount_minor, payment.currency))?,
        "speed": "normal",
        "receipt": refund.provider_key(),
        "notes": {
            REFUND_ID: refund.id.to_string(),
            ATTEMPT: refund.attempt.to_string(),
            PAYMENT_ID: payment.id.to_string(),
        },
    }))
}
