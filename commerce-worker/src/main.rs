//! `commerce-worker`: reads the settings and runs the worker.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use commerce_core::db::Pool;
use commerce_core::jobs::Services;
use commerce_core::notifications::{MailSettings, Mailer};
use commerce_core::search::SearchIndex;
use commerce_program::settings::read_env_file;
use commerce_program::{logs, stop};
use commerce_worker::attempt::Runner;
use commerce_worker::config::{self, Command, RunArgs};
use commerce_worker::reindex::reindex;
use commerce_worker::work::Worker;
use commerce_worker::{audit, http, mail, manage, schedule};
use metrics_exporter_prometheus::PrometheusBuilder;

#[tokio::main]
async fn main() -> ExitCode {
    match run_command().await {
        Ok(()) => ExitCode::SUCCESS,
        // The error and its causes, without a backtrace, because most errors are wrong settings.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_command() -> anyhow::Result<()> {
    read_env_file()?;
    match config::parse() {
        Command::Run(args) => run(*args).await,
        Command::Reindex(args) => reindex(args).await,
        Command::Audit(args) => audit::audit(args, &mut io::stdout().lock()).await,
        Command::Mail(command) => mail::mail(command, &mut io::stdout().lock()).await,
        Command::Jobs(args) => manage::manage(args, &mut io::stdout().lock()).await,
    }
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    logs::start(&args.log, "info,apalis=warn,apalis_core=warn,apalis_cron=warn");
    // Signals are watched from here on, so that a signal during the start also leads to a clean stop.
    let stop = stop::asked_to_stop()?;
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let work = &args.work;
    let concurrency = usize::from(work.concurrency);
    // One connection for each running job, and some for claiming, renewing and sweeps.
    let pool = args.database.pool(concurrency + 4)?;
    if let Some(address) = work.http_addr {
        let vitals = Arc::new(http::Vitals { metrics, pool: pool.clone() });
        tokio::spawn(http::serve(http::bind(address).await?, vitals));
    }
    let name = work.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(name_of_process);
    let search = args.search.meilisearch()?;
    let has_search_index = search.is_some();
    let services = services(&args, pool.clone(), search.map(SearchIndex::from).unwrap_or_default())?;
    let mut sweeps = schedule::sweeps(&services, has_search_index);
    // Without an address for metrics, nobody can read the gauges.
    sweeps.extend(work.http_addr.map(|_| schedule::measure_what_waits(&pool)));
    let worker = Worker {
        name: name.clone(),
        database_url: args.database.database_url.clone(),
        runner: Runner::of_shop(services),
        sweeps,
        concurrency,
        lease: work.lease,
        poll_interval: work.poll_interval,
        job_timeout: work.job_timeout,
        drain_timeout: work.drain_timeout,
        pool,
    };
    tracing::info!(worker = name, concurrency, version = env!("CARGO_PKG_VERSION"), "commerce-worker begins");
    worker.run_until(stop).await?;
    tracing::info!(worker = name, "commerce-worker has ended");
    Ok(())
}

/// The services for jobs and sweeps.
fn services(args: &RunArgs, pool: Pool, search_index: SearchIndex) -> anyhow::Result<Services> {
    let mail = &args.mail;
    let mailer: Arc<dyn Mailer> = match mail.smtp()? {
        Some(mailer) => Arc::new(mailer),
        None => {
            let mailer = mail.folder()?;
            tracing::warn!(folder = %mailer.folder().display(), "SMTP_URL is not set: mails become files, and nobody gets them");
            Arc::new(mailer)
        }
    };
    let mails = MailSettings {
        sender: mail.mail_from.clone(),
        shop_url: mail.shop_url().map(str::to_owned),
        password_reset_url: mail.password_reset_url(),
        order_url: mail.order_url(),
        secret_key: args.secret_key.secret_key.clone(),
        carriers: args.shop.settings().carriers,
        templates: mail.templates()?,
    };
    Ok(Services {
        pool,
        shop: args.shop.settings(),
        mailer,
        mails: Arc::new(mails),
        providers: args.payments.providers(mail.public_url.as_deref().unwrap_or_default())?,
        media: args.media.media()?,
        search_index,
    })
}

fn name_of_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}", std::process::id())
}
