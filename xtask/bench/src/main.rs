//! Figures of commerce against what it stands on, measured in one run. `cargo xtask bench` starts it.

mod attack;
mod catalogue;
mod checkout;
mod client;
mod constant;
mod dead_provider;
mod figures;
mod floor;
mod goods;
mod jobs;
mod load;
mod logins;
mod processes;
mod products;
mod server;
mod strangers;
mod wal;

use anyhow::Result;
use clap::Parser;

#[derive(Debug, Parser)]
enum Command {
    /// Checkouts against pgbench running the same SQL and the smallest order
    Checkout(checkout::Arguments),
    /// Lists, pages and searches against a constant of equal size
    Catalogue(catalogue::Arguments),
    /// An idle worker, and how soon and how fast it does jobs
    Jobs(jobs::Arguments),
    /// What logins cost, and what they leave in memory
    Logins(logins::Arguments),
    /// What many hostile searches leave of the checkout
    Strangers(strangers::Arguments),
    /// All attacks at once on a shop that runs, while honest shoppers buy
    Attack(attack::Arguments),
    /// What a dead payment provider leaves of orders, carts and the other provider
    DeadProvider(dead_provider::Arguments),
    /// The server that answers the constant
    Constant(constant::Arguments),
}

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Checkout(arguments) => checkout::run(&arguments).await,
        Command::Catalogue(arguments) => catalogue::run(&arguments).await,
        Command::Jobs(arguments) => jobs::run(&arguments).await,
        Command::Logins(arguments) => logins::run(&arguments).await,
        Command::Strangers(arguments) => strangers::run(&arguments).await,
        Command::Attack(arguments) => attack::run(&arguments).await,
        Command::DeadProvider(arguments) => dead_provider::run(&arguments).await,
        Command::Constant(arguments) => constant::run(&arguments).await,
    }
}
