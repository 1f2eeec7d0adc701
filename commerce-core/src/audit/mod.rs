//! The invariants that hold even after every fault, as queries, and the repair of stock that drifted.

mod repair;
mod verify;

pub use repair::repair_stock;
pub use verify::{Breach, verify};
