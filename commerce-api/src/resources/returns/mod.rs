//! Goods that come back, and withdrawals from contracts.

pub mod admin_returns;
pub mod shapes;
pub mod shopper_returns;
pub mod withdrawals;
