#![doc = include_str!("../README.md")]

pub mod db;
pub mod idempotency;
pub mod ids;
pub mod jobs;
pub mod money;
pub mod notifications;
pub mod page;
pub mod request;
#[rustfmt::skip]
pub mod schema;
mod text_enum;
