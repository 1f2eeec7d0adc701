//! Orders, for shoppers and for staff.

pub mod admin_orders;
pub mod cancellation;
pub mod checkout;
pub mod export;
pub mod lookup;
pub(crate) mod order_page;
pub mod shapes;
pub mod shopper_orders;
pub mod staff_order;
pub mod undelivered;
