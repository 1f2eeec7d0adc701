//! Runs commerce's jobs and schedules.
//!
//! The jobs table and its rules belong to commerce-core (`commerce_core::jobs`). apalis is the runtime.
//! [`backend`] connects the two, [`attempt`] runs a job with core and records failures, [`schedule`] runs the
//! sweeps, and [`work`] runs everything.

pub mod attempt;
pub mod audit;
pub mod backend;
pub mod config;
pub mod http;
pub mod mail;
pub mod manage;
pub mod reindex;
pub mod schedule;
pub mod slots;
pub mod wake;
pub mod work;
