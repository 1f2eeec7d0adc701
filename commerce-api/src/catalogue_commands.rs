//! `commerce-api seed` and `commerce-api import`: products from a file, on the command line.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use commerce_core::accounts::Role;
use commerce_core::catalog::import::{self, Layout, LineError};
use commerce_core::db::{self, Pool};
use commerce_core::flows::{
    self, ExistingProducts, ImportError, ImportMode, ImportOptions, ImportReport, OnError, StockPolicy,
};
use commerce_core::money::Currency;
use commerce_core::request::Origin;

use crate::config::{DatabaseSettings, ShopArguments};
use crate::create_admin::ensure_account;

/// The demo catalogue, in the plain layout that every shop can import.
pub const DEMO_CATALOGUE: &str = include_str!("../demo/catalogue.csv");

/// How `commerce-api seed` is called.
#[derive(Debug, Args)]
pub struct SeedArguments {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    shop: ShopArguments,

    /// Also make a customer with this address who can log in at once; needs the password too
    #[arg(long, env = "COMMERCE_DEMO_EMAIL", requires = "customer_password")]
    customer_email: Option<String>,

    /// The password of that customer
    #[arg(long, env = "COMMERCE_DEMO_PASSWORD", hide_env_values = true, requires = "customer_email")]
    customer_password: Option<String>,
}

/// How `commerce-api import` is called.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// A CSV file: Shopify's product export, or the plain layout of demo/catalogue.csv
    file: PathBuf,

    /// How to read the columns: `shopify` or `native`; told from the header unless given
    #[arg(long)]
    layout: Option<Layout>,

    /// What a wrong line does: `abort` imports nothing, `skip` leaves its product out
    #[arg(long, default_value = "abort")]
    on_error: OnError,

    /// Whose stock is taken from the file: `create_only` new variants, or `set` all
    #[arg(long, default_value = "create_only")]
    stock: StockPolicy,

    /// Try and report, but change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    shop: ShopArguments,
}

/// Puts the demo catalogue into the shop. Products that are there already stay as they are.
pub async fn seed(arguments: SeedArguments) -> anyhow::Result<()> {
    let currency = arguments.shop.settings().currency;
    let products = import::parse(DEMO_CATALOGUE.as_bytes(), Some(Layout::Native), currency).products.len();
    println!("Seeding the demo catalogue: {products} products …");
    let options = ImportOptions {
        layout: Some(Layout::Native),
        on_error: OnError::Skip,
        existing: ExistingProducts::Leave,
        ..ImportOptions::default()
    };
    let pool = arguments.database.pool()?;
    run(&pool, DEMO_CATALOGUE.as_bytes(), options, currency).await?;
    if let (Some(email), Some(password)) = (arguments.customer_email, arguments.customer_password) {
        println!("{}", ensure_account(&pool, Role::Customer, &email, &password, "Demo Shopper").await?);
    }
    Ok(())
}

/// Imports a file.
pub async fn import(arguments: ImportArguments) -> anyhow::Result<()> {
    let shown = arguments.file.display();
    let csv = std::fs::read(&arguments.file).with_context(|| format!("{shown} cannot be read"))?;
    println!("Importing {shown} ({} bytes) …", csv.len());
    let options = ImportOptions {
        layout: arguments.layout,
        on_error: arguments.on_error,
        stock: arguments.stock,
        mode: if arguments.dry_run { ImportMode::DryRun } else { ImportMode::Apply },
        existing: ExistingProducts::Update,
    };
    run(&arguments.database.pool()?, &csv, options, arguments.shop.settings().currency).await
}

async fn run(pool: &Pool, csv: &[u8], options: ImportOptions, currency: Currency) -> anyhow::Result<()> {
    let begun = Instant::now();
    let imported = db::in_transaction(pool, "import_products", async |conn| {
        flows::import_products(conn, csv, options, currency, &Origin::system()).await
    })
    .await;
    let report = match imported {
        Ok(report) => report,
        Err(db::TransactionError::RolledBack(ImportError::WrongLines(errors))) => {
            print_errors(&errors);
            bail!("{} fault(s): nothing was imported", errors.len());
        }
        Err(error) => return Err(error.into()),
    };
    print_errors(&report.errors);
    let ImportReport { created, updated, unchanged, skipped, .. } = report;
    let done = if options.mode == ImportMode::DryRun { "Would be" } else { "Products" };
    println!(
        "{done} created: {created}, updated: {updated}, unchanged: {unchanged}, skipped: {skipped} ({:.1} s)",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

fn print_errors(errors: &[LineError]) {
    for LineError { line, column, message } in errors {
        let column = if column.is_empty() { String::new() } else { format!(", {column}") };
        eprintln!("line {line}{column}: {message}");
    }
}
