//! The common parts of commerce-api and commerce-worker.
//!
//! Both programs run on one shop. So a setting that both have is defined once, in [`settings`]: its name, its
//! variable, its default and its help. [`arguments`] reads them, [`logs`] starts their logs, and [`stop`] tells when they are asked to
//! stop.

#![warn(missing_docs)]

pub mod arguments;
pub mod logs;
pub mod settings;
pub mod stop;
