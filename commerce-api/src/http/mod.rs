//! What every handler uses: bodies, answers, problems, credentials, writes and the spec.

pub mod answer;
pub mod auth;
pub mod body;
pub mod call;
pub mod client_ip;
pub(crate) mod csv_file;
pub(crate) mod even_time;
pub mod idempotency_key;
pub mod if_match;
pub mod money;
pub mod openapi;
pub mod page_origin;
pub mod problem;
pub(crate) mod problem_code;
pub mod rate_limit;
pub mod route_table;
pub(crate) mod schema_check;
pub(crate) mod security_schemes;
pub mod session_cache;
pub mod session_cookie;
pub(crate) mod spool;
pub mod state;
pub mod tag;
mod token_signature;
pub mod tokens;
pub(crate) mod upload;
pub(crate) mod write;
