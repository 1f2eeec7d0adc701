//! What every handler is written with: bodies, answers, problems, credentials, writes, and the spec.

pub mod answer;
pub mod auth;
pub mod body;
pub(crate) mod csv_file;
pub(crate) mod even_time;
pub mod idempotency_key;
pub mod money;
pub mod openapi;
pub mod problem;
pub(crate) mod problem_code;
pub(crate) mod schema_check;
pub(crate) mod spool;
pub mod state;
pub mod tokens;
pub(crate) mod upload;
pub(crate) mod write;
