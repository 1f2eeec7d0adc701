//! `cargo xtask …`: what a person types while working in this repository.
//!
//! Everything here runs on a bare machine with the Rust toolchain: Postgres is found or installed, and every
//! command starts and stops what it needs, on ports nobody else uses.

mod interrupt;
#[allow(dead_code, reason = "the durable server is for the dev command, which follows")]
mod postgres;
#[allow(dead_code, reason = "same")]
mod process;
mod schema;
#[allow(dead_code, reason = "same")]
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write commerce-core/src/schema.rs from the migrations, applied to a throwaway Postgres
    Schema(schema::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    interrupt::listen()?;
    match command {
        Command::Schema(options) => schema::run(&options),
    }
}
