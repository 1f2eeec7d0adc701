//! Runs commerce's jobs and schedules.
//!
//! The jobs table and its rules are commerce-core's (`commerce_core::jobs`); apalis is the runtime. [`backend`] joins the
//! two, [`handlers`] says what is done with each kind of job, [`schedule`] what time brings, and [`work`] runs them all.

pub mod backend;
pub mod config;
pub mod handlers;
pub mod http;
pub mod manage;
pub mod reindex;
pub mod schedule;
pub mod slots;
mod wake;
pub mod work;
