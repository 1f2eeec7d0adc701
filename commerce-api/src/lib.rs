//! The OpenAPI server of the shop. [`routes`] lists the whole surface, and explains how to write a resource.
//!
//! Modules import downwards only: [`program`] → [`routes`] → [`resources`] → [`edge`] → [`http`].

pub mod edge;
pub mod http;
pub mod program;
pub mod resources;
pub mod routes;
