//! `cargo xtask bench`: figures that anyone can measure again.

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Subcommand;

use crate::postgres::Server;
use crate::{cargo, meilisearch};

/// `cargo xtask bench`
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Checkouts over HTTP against pgbench running the same SQL and the smallest honest order, on a private Postgres with durability on
    Checkout(Checkout),
    /// Lists, pages of products and searches, against the same server answering a constant of equal size
    Catalogue(Catalogue),
    /// What an idle commerce-worker costs, how soon it begins a job, and how many it does a second
    Jobs(Jobs),
    /// What logins cost commerce-api, and what they leave in its memory
    Logins(Logins),
    /// What many hostile searches at once leave of the checkout
    Strangers(Strangers),
    /// What a payment provider that is dead for ten minutes leaves of orders, carts and the other provider
    DeadProvider(DeadProvider),
    /// All attacks at once on a shop that runs (`cargo xtask dev --release`), while honest shoppers buy
    Attack(Attack),
}

#[derive(clap::Args)]
struct Strangers {
    /// How long each figure is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many hostile searches run at once
    #[arg(long, default_value_t = 200)]
    searches: usize,
}

#[derive(clap::Args)]
struct DeadProvider {
    /// How long the provider is dead
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Shoppers that come in a second
    #[arg(long, default_value_t = 20)]
    shoppers: u32,
    /// The provider that dies: stripe or razorpay
    #[arg(long, default_value = "stripe")]
    provider: String,
    /// Measures the programs of the debug build, for comparisons alone
    #[arg(long)]
    debug: bool,
}

#[derive(clap::Args)]
struct Attack {
    /// Where the shop listens
    #[arg(long, default_value = "127.0.0.1:8080")]
    address: String,
    /// How long the attack lasts
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

#[derive(clap::Args)]
struct Logins {
    /// How many customers log in, each once
    #[arg(long, default_value_t = 1000)]
    logins: u32,
    /// How many at once
    #[arg(long, default_value_t = 8)]
    clients: u32,
}

#[derive(clap::Args)]
struct Jobs {
    /// How long the idle worker is watched
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many jobs are begun one by one; a hundred times as many are then done at once
    #[arg(long, default_value_t = 200)]
    jobs: u32,
    /// Measures the programs of the debug build, for comparisons alone
    #[arg(long)]
    debug: bool,
}

#[derive(clap::Args)]
struct Catalogue {
    /// How many products there are
    #[arg(long, default_value_t = 100_000)]
    products: u64,
    /// How long each figure is measured
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many readers are at it at once
    #[arg(long, default_value_t = 8)]
    clients: usize,
}

#[derive(clap::Args)]
struct Checkout {
    /// How long each figure is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many shoppers are at it at once
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    clients: Vec<usize>,
    /// Measures commerce-api alone, to compare two builds of it in turn
    #[arg(long)]
    http_only: bool,
}

/// Builds for release, starts a cluster for this run alone, measures, and removes the cluster.
pub fn run(options: &Options) -> Result<ExitCode> {
    let is_debug = match &options.what {
        What::Jobs(jobs) => jobs.debug,
        What::DeadProvider(dead) => dead.debug,
        _ => false,
    };
    println!("Building{} …", if is_debug { "" } else { " for release" });
    let mut build = cargo::cargo();
    build.args(["build", "-p", "commerce-api", "-p", "commerce-worker", "-p", "commerce-bench"]);
    if !is_debug {
        build.arg("--release");
    }
    if cargo::run_to_end(&mut build)? != 0 {
        return Ok(ExitCode::FAILURE);
    }
    if let What::Attack(attack) = &options.what {
        let mut bench = Command::new(cargo::target_dir()?.join("release/commerce-bench"));
        bench.args(["attack", "--address", &attack.address, "--seconds", &attack.seconds.to_string()]);
        return Ok(ExitCode::from(cargo::run_to_end(&mut bench)?));
    }
    Server::delete_durable(CLUSTER)?;
    let server = Server::durable(CLUSTER, None)?;
    let release = cargo::target_dir()?.join(if is_debug { "debug" } else { "release" });
    let mut bench = Command::new(release.join("commerce-bench"));
    let (name, seconds) = match &options.what {
        What::Checkout(checkout) => ("checkout", Some(checkout.seconds)),
        What::Catalogue(catalogue) => ("catalogue", Some(catalogue.seconds)),
        What::Jobs(jobs) => ("jobs", Some(jobs.seconds)),
        What::Logins(_) => ("logins", None),
        What::Strangers(strangers) => ("strangers", Some(strangers.seconds)),
        What::DeadProvider(dead) => ("dead-provider", Some(dead.seconds)),
        What::Attack(_) => ("attack", None),
    };
    bench.arg(name).args(["--database-url", &server.url("postgres")]);
    if let Some(seconds) = seconds {
        bench.args(["--seconds", &seconds.to_string()]);
    }
    if !matches!(options.what, What::Jobs(_)) {
        bench.arg("--api").arg(release.join("commerce-api"));
    }
    match &options.what {
        What::Jobs(jobs) => {
            bench.args(["--jobs", &jobs.jobs.to_string()]);
            bench.arg("--worker").arg(release.join("commerce-worker"));
        }
        What::Attack(_) => {}
        What::DeadProvider(dead) => {
            bench.args(["--shoppers", &dead.shoppers.to_string(), "--provider", &dead.provider]);
            bench.arg("--worker").arg(release.join("commerce-worker"));
        }
        What::Strangers(strangers) => {
            bench.args(["--searches", &strangers.searches.to_string()]);
        }
        What::Logins(logins) => {
            bench.args(["--logins", &logins.logins.to_string(), "--clients", &logins.clients.to_string()]);
        }
        What::Checkout(checkout) => {
            let clients: Vec<String> = checkout.clients.iter().map(usize::to_string).collect();
            bench.args(["--clients", &clients.join(",")]);
            if checkout.http_only {
                bench.arg("--http-only");
            }
            bench.arg("--pgbench").arg(server.installation().program("pgbench").get_program());
        }
        What::Catalogue(catalogue) => {
            bench.args(["--clients", &catalogue.clients.to_string()]);
            bench.args(["--products", &catalogue.products.to_string()]);
            bench.arg("--worker").arg(release.join("commerce-worker"));
            match meilisearch::find_or_install() {
                Ok(program) => {
                    bench.arg("--meilisearch").arg(program);
                }
                Err(error) => println!("Only Postgres searches, there is no Meilisearch: {error:#}"),
            }
        }
    }
    let code = cargo::run_to_end(&mut bench)?;
    drop(server);
    Server::delete_durable(CLUSTER)?;
    Ok(ExitCode::from(code))
}

/// The cluster's folder in `.commerce/`.
const CLUSTER: &str = "bench";
