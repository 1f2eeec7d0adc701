//! Orders: those of a shopper, and all of them for staff.

pub mod admin_orders;
pub mod export;
pub mod shopper_orders;
