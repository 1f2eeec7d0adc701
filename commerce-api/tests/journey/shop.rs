//! A shop that runs: a database, an SMTP server, commerce-api and commerce-worker.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use commerce_core::testing::{ReceivedMail, SmtpPeer, TestDatabase};
use tokio::process::Command;

use crate::client::Client;
use crate::program::{PATIENCE, Program, api_binary, worker_binary};

const SECRET: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

/// What both programs are told. Nothing else is taken from the surroundings.
#[derive(Debug, Clone)]
pub struct Settings(Vec<(&'static str, String)>);

impl Settings {
    pub fn new(database_url: &str) -> Self {
        let settings = [
            ("DATABASE_URL", database_url),
            ("COMMERCE_HTTP_ADDR", "127.0.0.1:0"),
            ("COMMERCE_PUBLIC_URL", "http://shop.example"),
            ("COMMERCE_SECRET_KEY", SECRET),
            ("COMMERCE_MAIL_FROM", "Corner Shop <hello@shop.example>"),
            ("COMMERCE_PAYMENT_PROVIDERS", "mock"),
            ("COMMERCE_RATE_LIMITS", "off"),
            ("COMMERCE_ORDER_MAIL_DELAY", "0s"),
            ("COMMERCE_WORKER_LEASE", "2s"),
            ("COMMERCE_LOG_FORMAT", "json"),
            ("RUST_LOG", "info,apalis=warn,apalis_core=warn,apalis_cron=warn"),
        ];
        Self(settings.map(|(name, value)| (name, value.to_owned())).into())
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    fn command(&self, binary: std::path::PathBuf, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.args(arguments).env_clear().envs(self.0.iter().map(|(name, value)| (*name, value)));
        // Where there is no .env.
        command.current_dir(std::env::temp_dir());
        command
    }

    /// commerce-api, as a person calls it.
    pub fn api_command(&self, arguments: &[&str]) -> Command {
        self.command(api_binary(), arguments)
    }

    /// A serving API, and where.
    pub async fn start_api(&self) -> (Program, SocketAddr) {
        let mut api = Program::start("commerce-api", self.api_command(&["serve"]));
        let line: serde_json::Value = serde_json::from_str(&api.says("listening").await).unwrap();
        let address = line["address"].as_str().unwrap();
        let address = address.rsplit('/').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        (api, address)
    }

    /// A worker that is at work.
    pub async fn start_worker(&self) -> Program {
        let mut worker = Program::start("commerce-worker", self.command(worker_binary(), &["run"]));
        worker.says("commerce-worker begins").await;
        worker
    }
}

pub struct Shop {
    pub database: TestDatabase,
    pub settings: Settings,
    pub smtp: SmtpPeer,
    pub client: Client,
    pub api: Program,
    pub worker: Program,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(|settings| settings).await
    }

    /// With other settings than the usual.
    pub async fn open_with(change: impl FnOnce(Settings) -> Settings) -> Self {
        let database = TestDatabase::new().await;
        let smtp = SmtpPeer::start().await.unwrap();
        let settings = change(Settings::new(database.url()).with("SMTP_URL", smtp.url()));
        let (api, address) = settings.start_api().await;
        let worker = settings.start_worker().await;
        Self { database, settings, smtp, client: Client::new(address), api, worker }
    }

    /// Waits for the mail to this address whose subject contains `subject`.
    pub async fn mail(&self, to: &str, subject: &str) -> ReceivedMail {
        self.smtp.wait_for_mail(PATIENCE, to, subject).await.unwrap_or_else(|| {
            let subjects: Vec<_> = self.smtp.mails().iter().map(|mail| mail.subject().to_owned()).collect();
            panic!("no mail {subject:?} to {to} among {subjects:?}")
        })
    }

    /// Stops both programs in good order, and looks whether all is right with the data.
    pub async fn close(self) {
        self.api.stop().await;
        self.worker.stop().await;
        self.database.finish().await;
    }
}

/// Waits until `condition` gives something, looking again and again.
pub async fn eventually<T>(what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
