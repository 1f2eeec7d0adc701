//! `cargo xtask …`: what a person types while working in this repository.
//!
//! Everything here runs on a bare machine with the Rust toolchain: Postgres is found or installed, and every
//! command starts and stops what it needs, on ports nobody else uses.

mod apt;
mod architecture;
mod bench;
mod cargo;
mod chromium;
mod dev;
mod interrupt;
mod meilisearch;
mod postgres;
mod process;
mod schema;
mod test;
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
    /// Start the whole shop on this machine: Postgres, demo data, API and worker; Ctrl-C stops it
    Dev(dev::Options),
    /// Run every test: a private Postgres and the freshly built binaries are provided, and gone afterwards
    Test(test::Options),
    /// Measure: figures that anyone can get again
    Bench(bench::Options),
    /// Write commerce-core/src/schema.rs from the migrations, applied to a throwaway Postgres
    Schema(schema::Options),
    /// Check who imports whom, who writes which table, and what commerce-core may know
    Architecture(architecture::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => match interrupt::reason() {
            Some(signal) => {
                eprintln!("Interrupted by {signal}; everything is stopped.");
                ExitCode::from(130)
            }
            None => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn run(command: Command) -> Result<ExitCode> {
    interrupt::listen()?;
    match command {
        Command::Dev(options) => dev::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Schema(options) => schema::run(&options),
        Command::Architecture(options) => architecture::run(&options),
    }
}
