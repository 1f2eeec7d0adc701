//! Payments, for shoppers, and refunds, for staff.

pub mod refunds;
pub mod shopper_payments;
pub mod staff_refunds;
