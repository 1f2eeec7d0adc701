//! The OpenAPI server of the shop. [`routes`] is the whole surface on one page, and tells how a resource is written.
//!
//! Rooms import downwards only: [`program`] → [`routes`] → [`resources`] → [`edge`] → [`http`].

pub mod edge;
pub mod http;
pub mod program;
pub mod resources;
pub mod routes;
