//! Payments, for shoppers, captures and refunds, for staff, and webhooks, for providers.

pub mod captures;
pub mod refunds;
pub mod return_page;
pub mod shopper_payments;
pub mod webhooks;
