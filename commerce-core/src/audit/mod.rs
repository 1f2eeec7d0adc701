//! The invariants that hold even after every fault, as queries.

mod verify;

pub use verify::{Breach, verify};
