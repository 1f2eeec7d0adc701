//! What a checkout costs through HTTP, against pgbench running the same SQL and the smallest honest order, on the same Postgres,
//! turn by turn in one run.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use commerce_core::{audit, db};
use diesel_async::AsyncPgConnection;

use crate::figures::{Figures, Row};
use crate::floor::Script;
use crate::goods::Spread;
use crate::{figures, floor, goods, load, processes, server, wal};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An empty database on a server with durability on
    #[arg(long)]
    pub database_url: String,
    /// The release binary of commerce-api
    #[arg(long)]
    api: PathBuf,
    #[arg(long)]
    pub pgbench: PathBuf,
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

pub async fn run(arguments: &Arguments) -> Result<()> {
    db::migrate(&arguments.database_url).await?;
    let mut conn = db::connect(&arguments.database_url).await?;
    goods::stock_shelves(&mut conn).await?;
    let api = server::Api::start(&arguments.api, &arguments.database_url, None).await?;
    let mut rows = Vec::new();
    for spread in [Spread::Wide, Spread::OneSku] {
        for &clients in &arguments.clients {
            rows.push(compare(arguments, &mut conn, &api, spread, clients).await?);
        }
    }
    let breaches = audit::verify(&mut conn).await?;
    // The floor writes no mail and keeps no books but those that the checkout keeps, so the invariants hold for both.
    ensure!(breaches.is_empty(), "the invariants are broken after the load: {breaches:#?}");
    if arguments.http_only {
        figures::print_http(&rows, arguments.seconds);
    } else {
        figures::print(&rows, arguments.seconds);
    }
    Ok(())
}

/// Each contestant and back again, so that a machine that slows down or speeds up in between favours none.
async fn compare(
    arguments: &Arguments,
    conn: &mut AsyncPgConnection,
    api: &server::Api,
    spread: Spread,
    clients: usize,
) -> Result<Row> {
    let half = Duration::from_secs(arguments.seconds) / 2;
    let mut contestants = [
        ("pgbench, smallest order", Some(Script::Smallest), Figures::default()),
        ("pgbench, same SQL", Some(Script::SameSql), Figures::default()),
        ("HTTP", None, Figures::default()),
    ];
    let postmaster = processes::postmaster(conn).await?;
    for _ in 0..2 {
        for (name, script, sum) in &mut contestants {
            if arguments.http_only && script.is_some() {
                continue;
            }
            let carts = goods::fill_carts(conn, spread, clients, half, script.is_none()).await?;
            wal::settle(conn).await?;
            let before = wal::read(conn).await?;
            let (postgres, program) = (processes::cpu_of_family(postmaster)?, api.cpu()?);
            eprintln!("{spread}, {clients} at once: {name} …");
            let mut figures = match script {
                Some(script) => {
                    floor::run(&arguments.pgbench, &arguments.database_url, *script, &carts, half)
                        .await
                        .context("pgbench")?
                }
                None => load::run(api.address, &carts, half).await.context("the load")?,
            };
            figures.postgres_cpu = processes::cpu_of_family(postmaster)?.saturating_sub(postgres);
            figures.api_cpu = api.cpu()?.saturating_sub(program);
            figures.wal = wal::read(conn).await?.since(&before);
            sum.add(figures);
        }
        contestants.reverse();
    }
    let [smallest, floor, http] = contestants.map(|(.., figures)| figures);
    Ok(Row { spread, clients, smallest, floor, http })
}
