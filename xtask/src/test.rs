//! `cargo xtask test`: every test, with what it needs started before and stopped after.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cargo::{self, Binaries};
use crate::chromium::Browser;
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
}

impl Surroundings {
    fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some(browser) = &self.browser {
            command.env("CHROMIUM_BIN", &browser.chromium).env("CHROMEDRIVER_BIN", &browser.chromedriver);
        }
        command
            .env("COMMERCE_TEST_DATABASE_URL", self.server.url("postgres"))
            .env("COMMERCE_API_BIN", &self.binaries.api)
            .env("COMMERCE_WORKER_BIN", &self.binaries.worker)
            // A person's own settings must not decide whether a test passes.
            .env_remove("DATABASE_URL")
    }
}

/// Runs the tests; the exit code is the runner's.
pub fn run(options: &Options) -> Result<ExitCode> {
    let browser = match Browser::find_or_install() {
        Ok(found) => Some(found),
        Err(error) if std::env::var_os("CI").is_some_and(|ci| ci != "false" && !ci.is_empty()) => {
            return Err(error);
        }
        Err(error) => {
            println!("NOT RUN: the tests that drive a browser (modules named browser_tests). {error:#}");
            None
        }
    };
    let binaries = cargo::build_binaries(false)?;
    let server = Server::throwaway()?;
    println!("A private Postgres {} runs on port {}.", server.installation().major, server.port());
    let surroundings = Surroundings { server, binaries, browser };

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

fn nextest(options: &Options, surroundings: &Surroundings) -> Command {
    let mut command = cargo::cargo();
    command.args(["nextest", "run", "--no-fail-fast"]);
    if !names_packages(&options.arguments) {
        command.arg("--workspace");
    }
    if options.long {
        command.args(["--profile", "long"]);
    }
    if surroundings.browser.is_none() {
        command.args(["-E", "not test(/(^|::)browser_tests::/)"]);
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
    if surroundings.browser.is_none() {
        command.args(["--skip", "browser_tests::"]);
    }
    command
}

fn names_packages(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}
