//! The command line. Every setting is also an environment variable.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use commerce_core::accounts::{InvalidSecretKey, SecretKey};
use commerce_core::catalog::image::Media;
use commerce_core::email_address::{EmailAddress, InvalidEmailAddress};
use commerce_core::ids::JobId;
use commerce_core::jobs::JobState;
use commerce_core::notifications::Sender;
use commerce_core::page::Limit;
use commerce_core::payments::{MockProvider, PaymentProvider, ProviderName, Providers};
use commerce_core::search::{Meilisearch, MeilisearchError, MeilisearchSettings};
use commerce_core::settings::{PaymentFailurePolicy, ShopSettings};

/// Runs commerce's jobs and schedules: mails, order expiry, stock rollback. Start as many as you like on one database.
///
/// Without a subcommand it runs: `commerce-worker --concurrency 4` is `commerce-worker run --concurrency 4`. Settings are also
/// read from the environment and from a file `.env` in the working directory; `commerce-worker run --help` tells them all.
#[derive(Debug, Parser)]
#[command(name = "commerce-worker", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Reads the command line; tells what is wrong with it, or what `--help` asks for, and ends the process.
pub fn parse() -> Command {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let asks_about_itself =
        |argument: &OsString| ["-h", "--help", "-V", "--version"].iter().any(|question| argument == question);
    match arguments.get(1) {
        Some(first) if asks_about_itself(first) || !first.as_encoded_bytes().starts_with(b"-") => {}
        _ => arguments.insert(1, "run".into()),
    }
    Cli::parse_from(arguments).command
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Works until SIGTERM or SIGINT
    Run(Box<RunArgs>),
    /// Looks at the jobs table, and moves what is stuck
    Jobs(JobsArgs),
    /// Builds the search index anew while the shop runs, and puts it in the place of the old one
    Reindex(ReindexArgs),
}

#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// postgres://user:password@host/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
}

#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// How log lines look; RUST_LOG filters them
    #[arg(long, env = "COMMERCE_LOG_FORMAT", default_value = "pretty")]
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Pretty,
    Json,
}

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(flatten)]
    pub log: LogArgs,
    /// The server that takes mails: smtps://user:password@host, smtp://host:port?tls=required (STARTTLS), smtp://host:port
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// Where mails go as .eml files while there is no SMTP_URL
    #[arg(long, env = "COMMERCE_MAIL_DIR", default_value = "mail")]
    pub mail_dir: PathBuf,
    /// Whom mails come from; the display name is what they call the shop
    #[arg(long, env = "COMMERCE_MAIL_FROM", default_value = "Commerce <shop@localhost>")]
    pub mail_from: Sender,
    /// Where the shop can be visited, for the foot of each mail
    #[arg(long, env = "COMMERCE_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// The storefront's page for setting a new password: mails lead to it with `#token=…` added [default: the page
    /// /reset-password of commerce-api at COMMERCE_PUBLIC_URL]
    #[arg(long, env = "COMMERCE_PASSWORD_RESET_URL")]
    password_reset_url: Option<String>,
    /// The secret that commerce-api has too: mailed codes are derived from it
    #[arg(long, env = "COMMERCE_SECRET_KEY", hide_env_values = true, value_parser = parse_secret_key)]
    pub secret_key: SecretKey,
    #[command(flatten)]
    pub shop: ShopArgs,
    #[command(flatten)]
    pub search: SearchArgs,
    /// Where uploaded images are kept, as commerce-api has it: file:///folder, or s3://bucket/prefix with AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY, AWS_REGION and, for other servers than Amazon's, AWS_ENDPOINT in the environment [default: the
    /// folder `media` here]
    #[arg(long, env = "COMMERCE_MEDIA_URL")]
    media_url: Option<String>,
    /// Written into the jobs that this worker holds [default: host name and process id]
    #[arg(long, env = "COMMERCE_WORKER_NAME")]
    pub name: Option<String>,
    /// How many jobs are worked on at once
    #[arg(long, env = "COMMERCE_WORKER_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub concurrency: u16,
    /// After this long without a sign of life a worker's jobs go to another; a living worker renews in time
    #[arg(long, env = "COMMERCE_WORKER_LEASE", default_value = "15s", value_parser = parse_lease)]
    pub lease: Duration,
    /// How often to look for jobs that nobody tells of, such as those that a program of yours inserts. commerce-api tells of its
    /// own, and they begin at once. Without a connection to listen on, it looks every 50 ms
    #[arg(long, env = "COMMERCE_WORKER_POLL_INTERVAL", default_value = "500ms", value_parser = parse_poll_interval)]
    pub poll_interval: Duration,
    /// After this an attempt at a job is given up, and counts as failed
    #[arg(long, env = "COMMERCE_WORKER_JOB_TIMEOUT", default_value = "2m", value_parser = humantime::parse_duration)]
    pub job_timeout: Duration,
    /// How long running jobs may go on after SIGTERM
    #[arg(long, env = "COMMERCE_WORKER_DRAIN_TIMEOUT", default_value = "25s", value_parser = humantime::parse_duration)]
    pub drain_timeout: Duration,
    /// Answers /healthz, /readyz and /metrics, such as 127.0.0.1:8081 [default: off]
    #[arg(long, env = "COMMERCE_WORKER_HTTP_ADDR")]
    pub http_addr: Option<SocketAddr>,
}

impl RunArgs {
    /// Where mails send somebody who forgot the password.
    pub fn password_reset_url(&self) -> Option<String> {
        let given = |url: &Option<String>| url.clone().filter(|url| !url.is_empty());
        let own_page = || Some(format!("{}/reset-password", given(&self.public_url)?.trim_end_matches('/')));
        given(&self.password_reset_url).or_else(own_page)
    }

    /// The place where uploaded images are kept.
    pub fn media(&self) -> anyhow::Result<Media> {
        Media::of_setting(self.media_url.as_deref(), std::env::vars()).context("COMMERCE_MEDIA_URL")
    }
}

/// Nobody where the setting is empty. Not spelled `Option`, by which clap would take it for a flag without a default.
type AlertEmail = Option<EmailAddress>;

fn parse_alert_email(text: &str) -> Result<AlertEmail, InvalidEmailAddress> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// The rules of the shop, as far as jobs and sweeps follow them. Give the same to commerce-api.
#[derive(Debug, Clone, Args)]
pub struct ShopArgs {
    /// How long an expired order waits for a payment provider that cannot be reached
    #[arg(long, env = "COMMERCE_PROVIDER_GRACE", default_value = "1h", value_parser = humantime::parse_duration)]
    provider_grace: Duration,
    /// What a failed payment does to its order: `keep` it for another attempt, or `cancel` it
    #[arg(long, env = "COMMERCE_PAYMENT_FAILURE", default_value = "keep")]
    payment_failure: PaymentFailurePolicy,
    /// Who is told of what needs a person
    #[arg(long, env = "COMMERCE_ALERT_EMAIL", default_value = "", hide_default_value = true, value_parser = parse_alert_email)]
    alert_email: AlertEmail,
    /// Providers that are switched on, separated by commas; `mock` plays one, for trying things out
    #[arg(long, env = "COMMERCE_PAYMENT_PROVIDERS", default_value = "", value_delimiter = ',', value_parser = parse_provider)]
    payment_providers: Vec<Option<ProviderName>>,
}

impl ShopArgs {
    pub fn settings(&self) -> ShopSettings {
        ShopSettings {
            provider_grace: self.provider_grace,
            payment_failure: self.payment_failure,
            alert_email: self.alert_email.clone(),
            ..ShopSettings::default()
        }
    }

    /// The switched-on providers; `public_url` is where shoppers reach the API.
    pub fn providers(&self, public_url: &str) -> Providers {
        let mock = || -> Arc<dyn PaymentProvider> { Arc::new(MockProvider::new(public_url)) };
        let switched_on = self.payment_providers.iter().flatten();
        Providers::new(switched_on.filter(|name| **name == ProviderName::MOCK).map(|_| mock()))
    }
}

/// Where Meilisearch is, if the shop has one. Give the same to commerce-api.
#[derive(Debug, Clone, Args)]
pub struct SearchArgs {
    /// Meilisearch, such as http://127.0.0.1:7700; without one Postgres searches
    #[arg(long, env = "MEILISEARCH_URL")]
    pub meilisearch_url: Option<String>,
    /// A key that may search, write documents and settings, and make and delete indexes
    #[arg(long, env = "MEILISEARCH_API_KEY", hide_env_values = true)]
    pub meilisearch_api_key: Option<String>,
    /// Names of indexes begin with it, so that shops can share a server
    #[arg(long, env = "MEILISEARCH_INDEX", default_value = "products")]
    pub meilisearch_index: String,
}

impl SearchArgs {
    /// The server, if there is one. Makes no request.
    pub fn meilisearch(&self) -> Result<Option<Meilisearch>, MeilisearchError> {
        let Some(url) = self.meilisearch_url.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let key = self.meilisearch_api_key.clone().filter(|key| !key.is_empty());
        let settings = MeilisearchSettings {
            index_prefix: self.meilisearch_index.clone(),
            ..MeilisearchSettings::new(url, key)
        };
        Meilisearch::new(&settings).map(Some)
    }
}

#[derive(Debug, Args)]
pub struct ReindexArgs {
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(flatten)]
    pub search: SearchArgs,
}

#[derive(Debug, Args)]
pub struct JobsArgs {
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(subcommand)]
    pub command: JobsCommand,
}

#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Shows jobs, oldest first
    List {
        /// Only those that are ready, leased or dead
        #[arg(long)]
        state: Option<JobState>,
        /// At most this many, up to 100
        #[arg(long, default_value = "50", value_parser = parse_limit)]
        limit: Limit,
    },
    /// Shows all there is about one job
    Show { id: JobId },
    /// Makes a dead or waiting job due now, with all its attempts ahead of it
    Retry { id: JobId },
    /// Removes a dead or waiting job: its work will not be done
    Cancel { id: JobId },
}

fn parse_secret_key(text: &str) -> Result<SecretKey, InvalidSecretKey> {
    SecretKey::parse(text)
}

/// An empty text is nobody, so that the variable can be set and empty.
fn parse_provider(text: &str) -> Result<Option<ProviderName>, String> {
    match text.trim() {
        "" => Ok(None),
        "mock" => Ok(Some(ProviderName::MOCK)),
        other => Err(format!("{other:?} is not a provider of this build; there is: mock")),
    }
}

fn parse_limit(text: &str) -> Result<Limit, String> {
    let rows = text.parse().ok().and_then(Limit::new);
    rows.ok_or_else(|| format!("must be between 1 and {}", Limit::MAX))
}

fn parse_lease(text: &str) -> Result<Duration, String> {
    parse_between(text, Duration::from_secs(1), Duration::from_secs(3600))
}

fn parse_poll_interval(text: &str) -> Result<Duration, String> {
    parse_between(text, Duration::from_millis(1), Duration::from_secs(60))
}

fn parse_between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!(
            "must be between {} and {}",
            humantime::format_duration(least),
            humantime::format_duration(most)
        ))
    }
}
