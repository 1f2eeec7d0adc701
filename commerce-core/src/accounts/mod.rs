//! People who shop and people who run the shop: accounts, logins, roles.
//!
//! A person registers with an e-mail address and proves it with a six-digit code; only then can they log in. A login is a
//! session row; its refresh tokens rotate, and a token that comes back after its use ends the whole session. What a person
//! may do follows from their [`Role`] alone.

pub mod one_time_code;
pub mod permission;
pub mod secret_key;
pub mod session;
pub mod user;

pub use permission::{Permission, Role};
pub use secret_key::{InvalidSecretKey, SecretKey};
pub use session::{LiveSession, find_live_session};
pub use user::{User, find_user};
