//! The resources. Each folder stands for a business concept and has its name in commerce-core.

pub mod accounts;
pub mod audit_log;
pub mod cart;
pub mod catalog;
pub mod contact;
pub mod health;
pub mod inventory;
pub mod jobs;
pub mod orders;
pub mod payments;
pub mod returns;
pub mod search;
pub mod shipments;
