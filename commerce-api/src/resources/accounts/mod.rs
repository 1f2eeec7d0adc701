//! Accounts: registration, login, the caller's own account, and the accounts that staff manage.

pub mod addresses;
pub mod admin_users;
pub mod email;
pub mod login;
pub mod mail_sent;
pub mod me;
pub mod password;
pub mod registration;
pub(crate) mod reset_page;
pub mod second_factor;
pub mod sessions;
