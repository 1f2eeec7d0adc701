//! Payments, for shoppers, and refunds, for staff.

pub mod refunds;
pub mod return_page;
pub mod shopper_payments;
