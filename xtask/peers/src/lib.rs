//! Peers of payment providers on loopback: they check what a shop sends as the real ones do, keep their own books, and
//! misbehave if told to. They know the providers' documentation and nothing of the shop's code.

mod call;
mod faults;
mod hooks;
mod keeping;
mod look;
pub mod razorpay;
mod server;
mod signature;
pub mod stripe;

pub use call::{Call, Reply};
pub use faults::{Fault, Faults};
pub use hooks::{Delivery, Hook, Hooks};
pub use server::RunningPeer;
