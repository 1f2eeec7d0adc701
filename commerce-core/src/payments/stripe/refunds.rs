//! Refunds: the request, and what Stripe's objects mean.

use super::amount::{AmountError, to_stripe};
use super::form::Form;
use super::objects::{ATTEMPT, PAYMENT_ID, REFUND_ID, StripeRefund, metadata_value, refund_id};
use crate::money::Money;
use crate::payments::{Payment, Refund, RefundOutcome};

/// The request for one attempt of a refund.
pub(super) fn refund_form(intent: &str, payment: &Payment, refund: &Refund) -> Result<Form, AmountError> {
    let amount = to_stripe(Money::new(refund.amount_minor, payment.currency))?;
    let mut form = Form::new();
    form.put("payment_intent", intent).put("amount", amount);
    form.put(&format!("metadata[{REFUND_ID}]"), refund.id);
    form.put(&format!("metadata[{ATTEMPT}]"), refund.attempt);
    form.put(&format!("metadata[{PAYMENT_ID}]"), payment.id);
    Ok(form)
}

/// The state of one attempt.
pub(super) fn state_of_refund(refund: &StripeRefund) -> RefundOutcome {
    let reference = refund.id.clone();
    match refund.status.as_deref() {
        Some("succeeded") => RefundOutcome::Succeeded { reference },
        Some(status @ ("failed" | "canceled")) => RefundOutcome::Failed {
            reference: Some(reference),
            code: refund.failure_reason.clone().unwrap_or_else(|| status.to_owned()),
        },
        // `pending`, or `requires_action`: the shopper must tell their account.
        _ => RefundOutcome::Pending { reference },
    }
}

/// The state of a refund with all its attempts. `None` if Stripe knows none.
pub(super) fn state_of_refunds(refund: &Refund, all: &[StripeRefund]) -> Option<RefundOutcome> {
    let mut attempts: Vec<&StripeRefund> =
        all.iter().filter(|other| other.metadata.as_ref().and_then(refund_id) == Some(refund.id)).collect();
    attempts.sort_by_key(|attempt| {
        attempt.metadata.as_ref().and_then(|metadata| metadata_value::<i32>(metadata, ATTEMPT))
    });
    RefundOutcome::of_attempts(attempts.into_iter().map(state_of_refund).collect())
}
