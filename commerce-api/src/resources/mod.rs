//! The resources, in a folder per business word; the words are commerce-core's.

pub mod accounts;
pub mod audit_log;
pub mod cart;
pub mod catalog;
pub mod health;
pub mod inventory;
pub mod orders;
pub mod payments;
pub mod search;
