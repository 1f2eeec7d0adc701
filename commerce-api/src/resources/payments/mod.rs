//! Payments, for shoppers and for staff, and refunds, for staff.

pub mod manual_payments;
pub mod refunds;
pub mod shopper_payments;
pub mod staff_refunds;
