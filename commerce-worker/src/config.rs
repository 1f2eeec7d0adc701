//! The command line. Every setting is also an environment variable. Those that commerce-api has too are in
//! commerce-program.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use commerce_core::email_address::EmailAddress;
use commerce_core::ids::JobId;
use commerce_core::jobs::{JobFilter, JobState, kinds};
use commerce_core::locale::Locale;
use commerce_core::notifications::{FolderMailer, MailTemplates, Sender, SmtpMailer, Template};
use commerce_core::page::Limit;
use commerce_core::search::{Meilisearch, MeilisearchSettings};
use commerce_program::arguments;
use commerce_program::settings::{
    DatabaseSettings, LogSettings, MediaSettings, PaymentSettings, SearchSettings, SecretKeySettings,
    ShopArguments,
};

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
    arguments::read_from::<Cli>(arguments).command
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Works until SIGTERM or SIGINT
    Run(Box<RunArgs>),
    /// Looks at the jobs table, and moves what is stuck
    Jobs(JobsArgs),
    /// Checks the books: stock, money, and everything else that must always hold
    Audit(AuditArgs),
    /// Builds the search index anew while the shop runs, and puts it in the place of the old one
    Reindex(ReindexArgs),
    /// Shows how mails look, and tries the mail server
    #[command(subcommand)]
    Mail(MailCommand),
}

/// Everything that `run` can be told.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    pub secret_key: SecretKeySettings,
    #[command(flatten)]
    pub shop: ShopArguments,
    #[command(flatten)]
    pub payments: PaymentSettings,
    #[command(flatten)]
    pub media: MediaSettings,
    #[command(flatten)]
    pub search: IndexSettings,
    #[command(flatten)]
    pub mail: MailArgs,
    #[command(flatten)]
    pub work: WorkArgs,
    #[command(flatten)]
    pub log: LogSettings,
}

/// Where mails go and what they say of the shop.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Mail")]
pub struct MailArgs {
    /// The server that takes mails: smtps://user:password@host, smtp://host:port?tls=required (STARTTLS), smtp://host:port
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,

    /// How long the mail server may take for each answer. An attempt that takes longer is tried again later
    #[arg(long, env = "COMMERCE_SMTP_TIMEOUT", default_value = "15s", value_parser = parse_smtp_timeout)]
    pub smtp_timeout: Duration,

    /// Where mails go as .eml files while there is no SMTP_URL
    #[arg(long, env = "COMMERCE_MAIL_DIR", default_value = "mail")]
    pub mail_dir: PathBuf,

    /// Whom mails come from; the display name is what they call the shop
    #[arg(long, env = "COMMERCE_MAIL_FROM", default_value = "Commerce <shop@localhost>")]
    pub mail_from: Sender,

    /// A folder with the shop's own mail templates and its brand, in the place of those that ship. It is checked at
    /// the start
    #[arg(long, visible_alias = "templates", env = "COMMERCE_MAIL_TEMPLATES")]
    mail_templates: Option<String>,

    /// The language of mails to the shop, and to customers whose language is not known, such as de or en-GB
    #[arg(long, env = "COMMERCE_LOCALE", default_value = "en")]
    default_locale: Locale,

    /// Where the shop can be visited, for the foot of each mail
    #[arg(long, env = "COMMERCE_PUBLIC_URL")]
    pub public_url: Option<String>,

    /// The storefront's page for setting a new password: mails lead to it with `#token=…` added [default: the page
    /// /reset-password of commerce-api at COMMERCE_PUBLIC_URL]
    #[arg(long, env = "COMMERCE_PASSWORD_RESET_URL")]
    password_reset_url: Option<String>,

    /// The storefront's page on which guests see an order: mails lead to it with `#order=…&token=…` added [default: the
    /// page /order of commerce-api at COMMERCE_PUBLIC_URL]
    #[arg(long, env = "COMMERCE_ORDER_URL")]
    order_url: Option<String>,
}

impl MailArgs {
    /// How mails are written: as shipped, or as the shop wants it.
    pub fn templates(&self) -> anyhow::Result<MailTemplates> {
        let default = self.default_locale.clone();
        match self.mail_templates.as_deref().filter(|folder| !folder.is_empty()) {
            Some(folder) => {
                MailTemplates::from_folder(Path::new(folder), default).context("COMMERCE_MAIL_TEMPLATES")
            }
            None => Ok(MailTemplates::shipped(default)),
        }
    }

    /// The mail server, if there is one. Does not connect.
    pub fn smtp(&self) -> anyhow::Result<Option<SmtpMailer>> {
        let Some(url) = self.smtp_url.as_deref().filter(|url| !url.is_empty()) else { return Ok(None) };
        Ok(Some(SmtpMailer::new(url).context("SMTP_URL")?.answer_within(self.smtp_timeout)))
    }

    /// The folder of mails, created if it is not there.
    pub fn folder(&self) -> anyhow::Result<FolderMailer> {
        let folder = std::path::absolute(&self.mail_dir)?;
        FolderMailer::new(&folder).with_context(|| format!("mail folder {}", folder.display()))
    }

    /// Where the shop can be visited.
    pub fn shop_url(&self) -> Option<&str> {
        self.public_url.as_deref().filter(|url| !url.is_empty())
    }

    /// Where mails send somebody who forgot the password.
    pub fn password_reset_url(&self) -> Option<String> {
        self.page(&self.password_reset_url, "/reset-password")
    }

    /// Where mails send a guest who asked for an order.
    pub fn order_url(&self) -> Option<String> {
        self.page(&self.order_url, "/order")
    }

    /// The storefront's page, or commerce-api's own.
    fn page(&self, storefronts: &Option<String>, own: &str) -> Option<String> {
        let given = |url: &Option<String>| url.clone().filter(|url| !url.is_empty());
        given(storefronts)
            .or_else(|| Some(format!("{}{own}", given(&self.public_url)?.trim_end_matches('/'))))
    }
}

/// How it works.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Work")]
pub struct WorkArgs {
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

/// Where the index of products is, if the shop has one.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Search")]
pub struct IndexSettings {
    #[command(flatten)]
    search: SearchSettings,

    /// Names of indexes begin with it, so that shops can share a server
    #[arg(long, env = "MEILISEARCH_INDEX", default_value = "products")]
    meilisearch_index: String,
}

impl IndexSettings {
    /// The server, if there is one. Makes no request.
    pub fn meilisearch(&self) -> anyhow::Result<Option<Meilisearch>> {
        let Some(settings) = self.search.meilisearch() else {
            return Ok(None);
        };
        let settings = MeilisearchSettings { index_prefix: self.meilisearch_index.clone(), ..settings };
        Meilisearch::new(&settings).map(Some).context("MEILISEARCH_URL")
    }
}

#[derive(Debug, Args)]
pub struct ReindexArgs {
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    pub search: IndexSettings,
}

#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Names everything that does not hold, and fails if there is something
    Verify,
    /// Shows stock that differs from its ledger or its reservations, and mends it with --apply
    Repair {
        /// Mend what can be mended with certainty, and write it to the audit log
        #[arg(long)]
        apply: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// Writes every mail from sample data into a folder, with a page that shows them all: index.html
    Preview(Box<PreviewArgs>),
    /// Sends one mail from sample data, says what the mail server answered, and fails if it did not take the mail
    SendTest(Box<SendTestArgs>),
}

#[derive(Debug, Args)]
pub struct PreviewArgs {
    pub folder: PathBuf,
    /// Only the mails that a reader with this language gets [default: all languages]
    #[arg(long)]
    pub locale: Option<Locale>,
    #[command(flatten)]
    pub mail: MailArgs,
}

#[derive(Debug, Args)]
pub struct SendTestArgs {
    pub address: EmailAddress,
    /// Which mail
    #[arg(long, default_value = "order_confirmed")]
    pub template: Template,
    /// The reader's language [default: the shop's]
    #[arg(long)]
    pub locale: Option<Locale>,
    #[command(flatten)]
    pub mail: MailArgs,
}

#[derive(Debug, Args)]
pub struct JobsArgs {
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(subcommand)]
    pub command: JobsCommand,
}

#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Shows jobs, oldest first
    List {
        #[command(flatten)]
        filter: JobFilterArgs,
        /// At most this many, up to 100
        #[arg(long, default_value = "50", value_parser = parse_limit)]
        limit: Limit,
    },
    /// Shows all there is about one job, with the error of each attempt
    Show { id: JobId },
    /// Makes a dead or waiting job due now, with all its attempts ahead of it; or all that match the filters
    Retry(SomeJobs),
    /// Removes a dead or waiting job: its work will not be done; or all that match the filters
    Cancel(SomeJobs),
    /// Shows how many jobs of each kind wait, run and are dead, and which kinds are paused
    Kinds,
    /// Begins no more jobs of a kind. Jobs that are running go on
    Pause {
        #[arg(value_parser = PossibleValuesParser::new(kinds::ALL))]
        kind: String,
    },
    /// Begins jobs of a kind again
    Resume {
        #[arg(value_parser = PossibleValuesParser::new(kinds::ALL))]
        kind: String,
    },
}

/// Which jobs.
#[derive(Debug, Args)]
pub struct JobFilterArgs {
    /// Only those that are ready, leased or dead
    #[arg(long)]
    pub state: Option<JobState>,
    /// Only those of this kind
    #[arg(long)]
    pub kind: Option<String>,
    /// Only those whose last error has this text
    #[arg(long)]
    pub error: Option<String>,
}

impl JobFilterArgs {
    /// The filter.
    pub fn filter(self) -> JobFilter {
        JobFilter { state: self.state, kind: self.kind, error: self.error, ..JobFilter::default() }
    }
}

/// One job, or all that match.
#[derive(Debug, Args)]
pub struct SomeJobs {
    #[arg(required_unless_present_any = ["state", "kind", "error"], conflicts_with_all = ["state", "kind", "error"])]
    pub id: Option<JobId>,
    #[command(flatten)]
    pub filter: JobFilterArgs,
}

fn parse_limit(text: &str) -> Result<Limit, String> {
    let rows = text.parse().ok().and_then(Limit::new);
    rows.ok_or_else(|| format!("must be between 1 and {}", Limit::MAX))
}

fn parse_smtp_timeout(text: &str) -> Result<Duration, String> {
    parse_between(text, Duration::from_millis(100), Duration::from_secs(60))
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
