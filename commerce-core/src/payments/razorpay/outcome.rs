//! What the payments of a Razorpay order mean for an attempt. The reference of an attempt is always the id of its order,
//! `order_…`, because webhooks about a payment name its order.

use chrono::{DateTime, TimeDelta};

use super::objects::{RazorpayPayment, UnknownCurrency, money};
use super::requests::HOLD_MINUTES;
use crate::money::Currency;
use crate::payments::{Authorization, Capture, CaptureMethod, Outcome};

/// How an order stands.
pub(super) enum Standing<'a> {
    /// Money was taken. Razorpay takes no second payment for an order.
    Captured(&'a RazorpayPayment),
    /// The bank has agreed.
    Authorized(&'a RazorpayPayment),
    /// The bank has not decided.
    UnderWay,
    /// The last payment failed.
    Failed(&'a RazorpayPayment),
    /// Nobody has tried to pay.
    Untouched,
}

impl<'a> Standing<'a> {
    /// The best of all payments counts, because one may succeed after others failed.
    pub fn of(payments: &'a [RazorpayPayment]) -> Self {
        let oldest = |is: fn(&RazorpayPayment) -> bool| {
            payments.iter().filter(|payment| is(payment)).min_by_key(|payment| payment.created_at)
        };
        if let Some(captured) = oldest(RazorpayPayment::is_captured) {
            return Self::Captured(captured);
        }
        if let Some(authorized) = oldest(|payment| payment.status == "authorized") {
            return Self::Authorized(authorized);
        }
        if payments.iter().any(|payment| payment.status == "created") {
            return Self::UnderWay;
        }
        match payments.iter().max_by_key(|payment| payment.created_at) {
            Some(last) => Self::Failed(last),
            None => Self::Untouched,
        }
    }
}

/// The outcome of an order that somebody has tried to pay; `None` if nobody has.
pub(super) fn of_payments(
    order: &str,
    payments: &[RazorpayPayment],
    method: CaptureMethod,
) -> Result<Option<Outcome>, UnknownCurrency> {
    Ok(Some(match Standing::of(payments) {
        Standing::Captured(payment) => Outcome::Succeeded(capture(order, payment)?),
        Standing::Authorized(payment) if method == CaptureMethod::Manual => {
            Outcome::Authorized(authorization(order, payment)?)
        }
        // Razorpay is about to capture it.
        Standing::Authorized(_) | Standing::UnderWay => Outcome::Processing { reference: order.to_owned() },
        Standing::Failed(payment) => failed(order, payment),
        Standing::Untouched => return Ok(None),
    }))
}

/// What was captured, with the fee if it is told. A fee is in rupees.
pub(super) fn capture(order: &str, payment: &RazorpayPayment) -> Result<Capture, UnknownCurrency> {
    let captured = money(payment.amount, &payment.currency)?;
    let capture = Capture::new(order, captured);
    let in_rupees = |currency: Currency| currency.code() == "INR";
    Ok(match payment.fee.filter(|_| in_rupees(captured.currency)) {
        Some(fee) => capture.with_fee(crate::money::Money::new(fee, captured.currency)),
        None => capture,
    })
}

/// What is authorized, and until when.
pub(super) fn authorization(
    order: &str,
    payment: &RazorpayPayment,
) -> Result<Authorization, UnknownCurrency> {
    let authorization = Authorization::new(order, money(payment.amount, &payment.currency)?);
    let begun = DateTime::from_timestamp(payment.created_at, 0).filter(|_| payment.created_at > 0);
    Ok(match begun {
        Some(begun) => authorization.with_lapse(begun + TimeDelta::minutes(HOLD_MINUTES)),
        None => authorization,
    })
}

/// A payment failed.
pub(super) fn failed(order: &str, payment: &RazorpayPayment) -> Outcome {
    let code = payment.error_reason.as_deref().or(payment.error_code.as_deref()).unwrap_or("payment_failed");
    Outcome::Failed { reference: Some(order.to_owned()), code: code.to_owned() }
}
