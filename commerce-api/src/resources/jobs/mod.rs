//! Jobs, for those who run the shop.

pub mod board;
pub mod kinds;
