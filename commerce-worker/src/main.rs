//! `commerce-worker`: settings in, a running worker out.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use commerce_core::db::{self, Pool, PoolSettings};
use commerce_core::jobs::Services;
use commerce_core::notifications::{FolderMailer, MailSettings, Mailer, SmtpMailer};
use commerce_core::search::SearchIndex;
use commerce_worker::attempt::Runner;
use commerce_worker::config::{self, Command, LogFormat, RunArgs};
use commerce_worker::reindex::reindex;
use commerce_worker::work::Worker;
use commerce_worker::{http, manage, schedule};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    match run_command().await {
        Ok(()) => ExitCode::SUCCESS,
        // What went wrong and why, without a backtrace: most often it is a setting.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_command() -> anyhow::Result<()> {
    // Absent is fine; one that cannot be read is not.
    match dotenvy::dotenv() {
        Err(error) if !error.not_found() => return Err(error).context("the file .env cannot be read"),
        _ => {}
    }
    match config::parse() {
        Command::Run(args) => run(*args).await,
        Command::Reindex(args) => reindex(args).await,
        Command::Jobs(args) => manage::manage(args, &mut io::stdout().lock()).await,
    }
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    log_to_stderr(args.log.log_format);
    // Watched from here on, so that a signal during the start ends it in good order too.
    let stop = asked_to_stop()?;
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let concurrency = usize::from(args.concurrency);
    // A connection for each running job, and some for claiming, renewing and sweeps.
    let settings = PoolSettings { connections_max: concurrency + 4, ..PoolSettings::default() };
    let pool = db::pool(&args.database.database_url, &settings)?;
    if let Some(address) = args.http_addr {
        let vitals = Arc::new(http::Vitals { metrics, pool: pool.clone() });
        tokio::spawn(http::serve(http::bind(address).await?, vitals));
    }
    let name = args.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(name_of_process);
    let search = args.search.meilisearch().context("MEILISEARCH_URL")?;
    let has_search_index = search.is_some();
    let services = services(&args, pool.clone(), search.map(SearchIndex::from).unwrap_or_default())?;
    let mut sweeps = schedule::sweeps(&services, has_search_index);
    // Nobody else can see the gauges.
    sweeps.extend(args.http_addr.map(|_| schedule::measure_queue(&pool)));
    let worker = Worker {
        name: name.clone(),
        database_url: args.database.database_url.clone(),
        runner: Runner::of_shop(services),
        sweeps,
        concurrency,
        lease: args.lease,
        poll_interval: args.poll_interval,
        job_timeout: args.job_timeout,
        drain_timeout: args.drain_timeout,
        pool,
    };
    tracing::info!(worker = name, concurrency, version = env!("CARGO_PKG_VERSION"), "commerce-worker begins");
    worker.run_until(stop).await?;
    tracing::info!(worker = name, "commerce-worker has ended");
    Ok(())
}

/// What jobs and sweeps work with.
fn services(args: &RunArgs, pool: Pool, search_index: SearchIndex) -> anyhow::Result<Services> {
    let mailer: Arc<dyn Mailer> = match args.smtp_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) => Arc::new(SmtpMailer::new(url).context("SMTP_URL")?),
        None => {
            let folder = std::path::absolute(&args.mail_dir)?;
            let mailer =
                FolderMailer::new(&folder).with_context(|| format!("mail folder {}", folder.display()))?;
            tracing::info!(folder = %folder.display(), "SMTP_URL is not set: mails become files");
            Arc::new(mailer)
        }
    };
    let mails = MailSettings {
        sender: args.mail_from.clone(),
        shop_url: args.public_url.clone().filter(|url| !url.is_empty()),
        password_reset_url: args.password_reset_url(),
        secret_key: args.secret_key.clone(),
    };
    Ok(Services {
        pool,
        shop: args.shop.settings(),
        mailer,
        mails: Arc::new(mails),
        providers: args.shop.providers(args.public_url.as_deref().unwrap_or_default()),
        media: args.media()?,
        search_index,
    })
}

fn name_of_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}", std::process::id())
}

/// Resolves at the first SIGTERM or SIGINT after the call. A second one ends the process at once.
fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut asked = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        asked().await;
        tokio::spawn(async move {
            asked().await;
            std::process::exit(1);
        });
    })
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,apalis=warn,apalis_core=warn,apalis_cron=warn"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Pretty => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
