//! The OpenAPI server of the shop. [`routes`] is the whole surface on one page, and tells how a resource is written.

pub mod admin_orders;
pub mod answer;
pub mod app;
pub mod auth;
pub mod body;
pub mod cart;
pub mod config;
pub mod edge;
pub mod health;
pub mod idempotency_key;
pub mod me;
pub mod money;
pub mod openapi;
pub mod orders;
pub mod payments;
pub mod problem;
mod problem_code;
pub mod routes;
mod schema_check;
pub mod serve;
pub mod state;
pub mod telemetry;
pub mod tokens;
mod write;
