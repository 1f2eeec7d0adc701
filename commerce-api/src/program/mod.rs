//! The program: its commands and settings, and how the server is assembled and started.

pub mod activity;
pub mod app;
pub mod catalogue_commands;
pub mod config;
pub mod connections;
pub mod create_admin;
pub mod demo_images;
pub mod linger;
pub mod operators;
pub mod places;
pub mod serve;
pub mod telemetry;
