//! What a thousand logins cost, and what they leave in memory.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use commerce_core::accounts::{NewPassword, PasswordHasher};
use commerce_core::db;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::load::{self, Question};
use crate::server;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An empty database
    #[arg(long)]
    pub database_url: String,
    /// The release binary of commerce-api
    #[arg(long)]
    api: PathBuf,
    /// How many customers log in, each once
    #[arg(long, default_value_t = 1000)]
    logins: u32,
    /// How many at once
    #[arg(long, default_value_t = 8)]
    clients: u32,
}

const PASSWORD: &str = "a long enough password";

pub async fn run(arguments: &Arguments) -> Result<()> {
    db::migrate(&arguments.database_url).await?;
    let mut conn = db::connect(&arguments.database_url).await?;
    make_customers(&mut conn, arguments.logins).await?;
    let api = server::Api::start(&arguments.api, &arguments.database_url, None).await?;
    let before = api.memory_kb()?;

    let (begun, cpu) = (Instant::now(), api.cpu()?);
    let clients = (0..arguments.clients).map(|client| {
        let numbers = (client..arguments.logins).step_by(arguments.clients as usize);
        tokio::spawn(log_in(api.address, numbers.collect()))
    });
    let clients: Vec<_> = clients.collect();
    let mut tried_again = 0;
    for client in clients {
        tried_again += client.await??;
    }
    let (time, cpu) = (begun.elapsed(), api.cpu()?.saturating_sub(cpu));
    // What was freed goes back to the system now, if ever.
    tokio::time::sleep(Duration::from_secs(5)).await;

    let megabytes = |kb: u64| kb as f64 / 1024.0;
    println!("\n{} logins, {} at once.\n", arguments.logins, arguments.clients);
    println!("| what | figure |\n|---|--:|");
    println!("| resident memory before | {:.0} MB |", megabytes(before));
    println!("| resident memory at most | {:.0} MB |", megabytes(api.peak_memory_kb()?));
    println!("| resident memory 5 s after | {:.0} MB |", megabytes(api.memory_kb()?));
    println!("| logins a second | {:.1} |", f64::from(arguments.logins) / time.as_secs_f64());
    println!(
        "| CPU of commerce-api per login | {:.1} ms |",
        cpu.as_secs_f64() * 1000.0 / f64::from(arguments.logins)
    );
    println!("| refused for the moment (503) and tried again | {tried_again} |");
    Ok(())
}

/// Customers 0, 1, 2 … with one password.
async fn make_customers(conn: &mut AsyncPgConnection, customers: u32) -> Result<()> {
    let password = NewPassword::parse(PASSWORD, "")?;
    let hash = PasswordHasher::with_slots(1).hash(password).await?;
    diesel::sql_query(
        "INSERT INTO commerce.users (id, email, password_hash, display_name, email_verified_at)
         SELECT gen_random_uuid(), 'customer' || n || '@example.com', $1, 'Ada', now()
         FROM generate_series(0, $2 - 1) n",
    )
    .bind::<Text, _>(hash)
    .bind::<BigInt, _>(i64::from(customers))
    .execute(conn)
    .await?;
    Ok(())
}

/// Logs each of these customers in, as often as it takes.
async fn log_in(address: std::net::SocketAddr, numbers: Vec<u32>) -> Result<u32> {
    let mut tried_again = 0;
    for number in numbers {
        let body =
            serde_json::json!({ "email": format!("customer{number}@example.com"), "password": PASSWORD });
        let question = Question::Post("/v1/auth/login", body.to_string());
        let begun = Instant::now();
        while load::get(address, &question).await.is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(60), "customer {number} is not let in");
            tried_again += 1;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    Ok(tried_again)
}
