//! The invariants that hold after every fault, as queries.

mod verify;

pub use verify::{Breach, verify};
