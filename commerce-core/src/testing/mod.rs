//! For tests, of this workspace and of programs that link it (feature `testing`).

mod database;
mod shop;
mod smtp;

pub use database::{SERVER_URL_VARIABLE, TestDatabase};
pub use shop::{address, guest, guest_origin, order_wish};
pub use smtp::{ReceivedMail, SmtpBehaviour, SmtpPeer};
