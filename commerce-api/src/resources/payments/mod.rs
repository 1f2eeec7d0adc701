//! Payments, for shoppers and for staff, captures and refunds, for staff, and webhooks, for providers.

pub mod captures;
pub mod manual_payments;
pub mod payment_links;
pub mod refunds;
pub mod return_page;
pub mod shapes;
pub mod shopper_payments;
pub mod staff_refunds;
pub mod webhooks;
