//! Payments: those of a shopper, and refunds for staff.

pub mod refunds;
pub mod shopper_payments;
