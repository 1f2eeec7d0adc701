//! `cargo xtask test`: every test, with what it needs started before and stopped after.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cargo::{self, Binaries};
use crate::chromium::Browser;
use crate::meilisearch;
use crate::postgres::Server;

/// `cargo xtask test`
#[derive(clap::Args)]
pub struct Options {
    /// Also run what is slow: the tests in modules named `long_tests`
    #[arg(long)]
    long: bool,

    /// Passed on to `cargo nextest run` (or `cargo test`): a part of a test's name, `-p commerce-core`, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What the tests are told through their environment.
struct Surroundings {
    server: Server,
    binaries: Binaries,
    /// `None`: no browser here, and the tests that drive one are left out aloud.
    browser: Option<Browser>,
    /// The program; `None`: not here, and the tests with one are left out aloud.
    meilisearch: Option<PathBuf>,
}

impl Surroundings {
    fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some(browser) = &self.browser {
            command.env("CHROMIUM_BIN", &browser.chromium).env("CHROMEDRIVER_BIN", &browser.chromedriver);
        }
        if let Some(program) = &self.meilisearch {
            command.env("MEILISEARCH_BIN", program);
        }
        command
            .env("COMMERCE_TEST_DATABASE_URL", self.server.url("postgres"))
            .env("COMMERCE_API_BIN", &self.binaries.api)
            .env("COMMERCE_WORKER_BIN", &self.binaries.worker)
            // A person's own settings must not decide whether a test passes.
            .env_remove("DATABASE_URL")
            .env_remove("MEILISEARCH_URL")
    }
}

/// Runs the tests; the exit code is the runner's.
pub fn run(options: &Options) -> Result<ExitCode> {
    let browser =
        or_left_out(Browser::find_or_install(), "that drive a browser (modules named browser_tests)")?;
    let meilisearch =
        or_left_out(meilisearch::find_or_install(), "with a Meilisearch (modules named meilisearch_tests)")?;
    let binaries = cargo::build_binaries(false)?;
    let server = Server::throwaway()?;
    println!("A private Postgres {} runs on port {}.", server.installation().major, server.port());
    let surroundings = Surroundings { server, binaries, browser, meilisearch };

    let mut tests = if cargo::has_subcommand("nextest") {
        nextest(options, &surroundings)
    } else {
        plain(options, &surroundings)
    };
    let code = cargo::run_to_end(surroundings.apply(&mut tests))?;
    if code != 0 || !options.arguments.is_empty() {
        return Ok(ExitCode::from(code));
    }
    // The examples in the documentation, which nextest leaves to cargo.
    let mut examples = cargo::cargo();
    examples.args(["test", "--doc", "--workspace", "--quiet"]);
    Ok(ExitCode::from(cargo::run_to_end(surroundings.apply(&mut examples))?))
}

/// What some tests need and this machine may not have. On a person's machine they are left out, aloud; in CI that is an error.
fn or_left_out<T>(found: Result<T>, tests: &str) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if std::env::var_os("CI").is_some_and(|ci| ci != "false" && !ci.is_empty()) => Err(error),
        Err(error) => {
            println!("NOT RUN: the tests {tests}. {error:#}");
            Ok(None)
        }
    }
}

impl Surroundings {
    /// Modules whose tests are left out.
    fn left_out(&self) -> Vec<&'static str> {
        let browser = self.browser.is_none().then_some("browser_tests");
        let meilisearch = self.meilisearch.is_none().then_some("meilisearch_tests");
        browser.into_iter().chain(meilisearch).collect()
    }
}

fn nextest(options: &Options, surroundings: &Surroundings) -> Command {
    let mut command = cargo::cargo();
    command.args(["nextest", "run", "--no-fail-fast"]);
    if !names_packages(&options.arguments) {
        command.arg("--workspace");
    }
    if options.long {
        command.args(["--profile", "long"]);
    }
    let left_out: Vec<String> =
        surroundings.left_out().iter().map(|module| format!("not test(/(^|::){module}::/)")).collect();
    if !left_out.is_empty() {
        command.args(["-E", &left_out.join(" and ")]);
    }
    command.args(&options.arguments);
    command
}

/// The same tests through cargo's own runner, for a machine without cargo-nextest.
fn plain(options: &Options, surroundings: &Surroundings) -> Command {
    let mut command = cargo::cargo();
    command.args(["test", "--no-fail-fast", "--all-targets"]);
    if !names_packages(&options.arguments) {
        command.arg("--workspace");
    }
    command.args(&options.arguments).arg("--");
    if !options.long {
        command.args(["--skip", "long_tests::"]);
    }
    for module in surroundings.left_out() {
        command.args(["--skip", &format!("{module}::")]);
    }
    command
}

fn names_packages(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}
