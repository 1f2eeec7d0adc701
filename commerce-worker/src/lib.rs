//! Runs commerce's jobs and schedules.
//!
//! The jobs table and its rules are commerce-core's (`commerce_core::jobs`); apalis is the runtime. [`backend`] joins the
//! two, [`attempt`] has core do a job and writes down what failed, [`schedule`] has it do what time brings, and [`work`] runs all.

pub mod attempt;
pub mod backend;
pub mod config;
pub mod http;
pub mod manage;
pub mod reindex;
pub mod schedule;
pub mod slots;
pub mod wake;
pub mod work;
