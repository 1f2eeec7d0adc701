//! `cargo xtask bench`: figures that anyone can measure again.

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Subcommand;

use crate::cargo;
use crate::postgres::Server;

/// `cargo xtask bench`
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Checkouts over HTTP against pgbench running the same SQL, on a private Postgres with durability on
    Checkout(Checkout),
}

#[derive(clap::Args)]
struct Checkout {
    /// How long each figure is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many shoppers are at it at once
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    clients: Vec<usize>,
}

/// Builds for release, starts a cluster for this run alone, measures, and removes the cluster.
pub fn run(options: &Options) -> Result<ExitCode> {
    let What::Checkout(checkout) = &options.what;
    println!("Building for release …");
    let mut build = cargo::cargo();
    build.args(["build", "--release", "-p", "commerce-api", "-p", "commerce-bench"]);
    if cargo::run_to_end(&mut build)? != 0 {
        return Ok(ExitCode::FAILURE);
    }
    Server::delete_durable(CLUSTER)?;
    let server = Server::durable(CLUSTER, None)?;
    let release = cargo::target_dir()?.join("release");
    let clients: Vec<String> = checkout.clients.iter().map(usize::to_string).collect();
    let mut bench = Command::new(release.join("commerce-bench"));
    bench
        .args(["--database-url", &server.url("postgres"), "--seconds", &checkout.seconds.to_string()])
        .args(["--clients", &clients.join(",")])
        .arg("--api")
        .arg(release.join("commerce-api"))
        .arg("--pgbench")
        .arg(server.installation().program("pgbench").get_program());
    let code = cargo::run_to_end(&mut bench)?;
    drop(server);
    Server::delete_durable(CLUSTER)?;
    Ok(ExitCode::from(code))
}

/// The cluster's folder in `.commerce/`.
const CLUSTER: &str = "bench";
