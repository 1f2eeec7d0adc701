//! What Razorpay's refunds mean.

use super::objects::RazorpayRefund;
use crate::payments::{Refund, RefundOutcome};

/// The state of one attempt.
pub(super) fn state_of_refund(refund: &RazorpayRefund) -> RefundOutcome {
    let reference = refund.id.clone();
    match refund.status.as_str() {
        "processed" => RefundOutcome::Succeeded { reference },
        "failed" => RefundOutcome::Failed { reference: Some(reference), code: "refund_failed".to_owned() },
        _ => RefundOutcome::Pending { reference },
    }
}

/// The state of a refund with all its attempts. `None` if Razorpay knows none.
pub(super) fn state_of_refunds(refund: &Refund, all: &[RazorpayRefund]) -> Option<RefundOutcome> {
    let mut attempts: Vec<&RazorpayRefund> =
        all.iter().filter(|other| other.refund_id() == Some(refund.id)).collect();
    attempts.sort_by_key(|attempt| attempt.attempt());
    RefundOutcome::of_attempts(attempts.into_iter().map(state_of_refund).collect())
}
