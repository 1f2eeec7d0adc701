//! `commerce-api seed` and `commerce-api import`: products from a file, on the command line.

use std::fs::File;
use std::io::{IsTerminal as _, Read, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use commerce_core::accounts::{PasswordHasher, Role};
use commerce_core::catalog::import::{ExistingProducts, Faults, Layout, LineError, RepeatedSku};
use commerce_core::db::{self, Pool, Retryable};
use commerce_core::flows::{
    self, ImportError, ImportMode, ImportOptions, ImportProgress, OnError, StockPolicy,
};
use commerce_core::money::Currency;
use commerce_core::request::Origin;
use commerce_program::settings::ShopArguments;

use crate::program::config::ConnectionSettings;
use crate::program::create_admin::ensure_account;

/// The demo catalogue, in the native layout, which every shop can import.
pub const DEMO_CATALOGUE: &str = include_str!("../../demo/catalogue.csv");

/// The arguments of `commerce-api seed`.
#[derive(Debug, Args)]
pub struct SeedArguments {
    #[command(flatten)]
    database: ConnectionSettings,
    #[command(flatten)]
    shop: ShopArguments,

    /// Also create a customer with this e-mail address, who can log in at once. Needs the password too
    #[arg(long, env = "COMMERCE_DEMO_EMAIL", requires = "customer_password")]
    customer_email: Option<String>,

    /// Password of that customer
    #[arg(long, env = "COMMERCE_DEMO_PASSWORD", hide_env_values = true, requires = "customer_email")]
    customer_password: Option<String>,
}

/// The arguments of `commerce-api import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// CSV file: Shopify's or WooCommerce's product export, or the native layout of demo/catalogue.csv
    file: PathBuf,

    /// How to read the columns: `shopify`, `woocommerce` or `native`. Detected from the header by default
    #[arg(long)]
    layout: Option<Layout>,

    /// What to do about a wrong line. `abort` imports nothing. `skip` leaves out the line's product; if only
    /// a count is below what is reserved, it leaves out that count
    #[arg(long, default_value = "abort")]
    on_error: OnError,

    /// Which variants take their stock from the file: `create_only` for new variants, `set` for all
    #[arg(long, default_value = "create_only")]
    stock: StockPolicy,

    /// What to do about a SKU that another variant has: `refuse` is an error, `drop` imports the variant
    /// without it. By default `refuse` for the native layout, and `drop` for the others
    #[arg(long)]
    repeated_sku: Option<RepeatedSku>,

    /// Check the file and report, but change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    database: ConnectionSettings,
    #[command(flatten)]
    shop: ShopArguments,
}

/// Loads the demo catalogue into the shop. Products that already exist are not changed.
pub async fn seed(arguments: SeedArguments) -> anyhow::Result<()> {
    println!("Seeding the demo catalogue …");
    let options = ImportOptions {
        layout: Some(Layout::Native),
        on_error: OnError::Skip,
        existing: ExistingProducts::Leave,
        ..ImportOptions::default()
    };
    let pool = arguments.database.pool()?;
    let currency = arguments.shop.settings().currency;
    let bytes = DEMO_CATALOGUE.len() as u64;
    run(&pool, || Ok(DEMO_CATALOGUE.as_bytes()), bytes, options, currency).await?;
    if let (Some(email), Some(password)) = (arguments.customer_email, arguments.customer_password) {
        let hasher = PasswordHasher::with_slots(1);
        println!(
            "{}",
            ensure_account(&pool, &hasher, Role::Customer, &email, &password, "Demo Shopper").await?
        );
    }
    Ok(())
}

/// Imports a file.
pub async fn import(arguments: ImportArguments) -> anyhow::Result<()> {
    let shown = arguments.file.display();
    let path = arguments.file.clone();
    let bytes = std::fs::metadata(&path).with_context(|| format!("{shown} cannot be read"))?.len();
    println!("Importing {shown} ({bytes} bytes) …");
    let options = ImportOptions {
        layout: arguments.layout,
        on_error: arguments.on_error,
        stock: arguments.stock,
        mode: if arguments.dry_run { ImportMode::DryRun } else { ImportMode::Apply },
        existing: ExistingProducts::Update,
        repeated_sku: arguments.repeated_sku,
    };
    let open = || File::open(&path).with_context(|| format!("{shown} cannot be read"));
    run(&arguments.database.pool()?, open, bytes, options, arguments.shop.settings().currency).await
}

/// `open` opens the file at its beginning, because a transaction that Postgres aborts is run again.
async fn run<R: Read + Send>(
    pool: &Pool,
    open: impl Fn() -> anyhow::Result<R> + Sync,
    bytes: u64,
    options: ImportOptions,
    currency: Currency,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let open = &open;
    let imported = db::in_transaction(pool, "import_products", async |conn| {
        let csv = open().map_err(ImportFileError::Unreadable)?;
        let mut shown = Progress::new(bytes);
        let mut progress = |progress| shown.show(progress);
        let origin = Origin::system();
        let report = flows::import_products(conn, csv, options, currency, &origin, &mut progress).await;
        shown.end();
        report.map_err(ImportFileError::Refused)
    })
    .await;
    let report = match imported {
        Ok(report) => report,
        Err(db::TransactionError::RolledBack(ImportFileError::Refused(ImportError::WrongLines(faults)))) => {
            print_faults(&faults);
            bail!("{} error(s): nothing was imported", faults.total);
        }
        Err(error) => return Err(error.into()),
    };
    print!("{report}");
    println!("Done in {:.1} s.", begun.elapsed().as_secs_f64());
    if report.is_refused() {
        bail!("{} error(s): nothing would be imported", report.faults.total);
    }
    Ok(())
}

/// Why a file was not imported.
#[derive(Debug, thiserror::Error)]
enum ImportFileError {
    #[error("{0:#}")]
    Unreadable(anyhow::Error),
    #[error(transparent)]
    Refused(#[from] ImportError),
}

impl From<diesel::result::Error> for ImportFileError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl Retryable for ImportFileError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Refused(error) if error.is_retryable())
    }
}

/// Shows the progress of an import: on a terminal in one line that is overwritten, otherwise in a line from
/// time to time.
struct Progress {
    bytes: u64,
    shown_at: Instant,
    on_terminal: bool,
}

impl Progress {
    fn new(bytes: u64) -> Self {
        Self { bytes, shown_at: Instant::now(), on_terminal: std::io::stdout().is_terminal() }
    }

    fn show(&mut self, progress: ImportProgress) {
        let pause = if self.on_terminal { Duration::from_millis(100) } else { Duration::from_secs(2) };
        if self.shown_at.elapsed() < pause {
            return;
        }
        self.shown_at = Instant::now();
        let percent = progress.bytes.saturating_mul(100).checked_div(self.bytes).unwrap_or(100).min(100);
        let line = format!("{percent:>3} %  {} products", progress.products);
        if self.on_terminal {
            print!("\r{line}");
            // If the progress cannot be shown, the import goes on.
            let _ = std::io::stdout().flush();
        } else {
            println!("{line}");
        }
    }

    fn end(&self) {
        if self.on_terminal {
            print!("\r{:40}\r", "");
        }
    }
}

fn print_faults(faults: &Faults) {
    for LineError { line, column, message } in &faults.listed {
        let column = if column.is_empty() { String::new() } else { format!(", {column}") };
        eprintln!("line {line}{column}: {message}");
    }
    let unlisted = faults.total - faults.listed.len();
    if unlisted > 0 {
        eprintln!("and {unlisted} more");
    }
}
