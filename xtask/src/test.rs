//! `cargo xtask test`: every test, with what it needs started before and stopped after.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::cargo::{self, Binaries};
use crate::chromium::Browser;
use crate::postgres::Server;
use crate::{meilisearch, process};

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
        if let Some(peers) = &self.binaries.peers {
            command.env("COMMERCE_PEERS_BIN", peers);
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
    let binaries = cargo::build_binaries(false, true)?;
    let server = Server::throwaway()?;
    println!("A private Postgres {} runs on port {}.", server.installation().major, server.port());
    let surroundings = Surroundings { server, binaries, browser, meilisearch };

    let with_nextest = cargo::has_subcommand("nextest");
    let mut tests =
        if with_nextest { nextest(options, &surroundings) } else { plain(options, &surroundings) };
    let code = cargo::run_to_end(surroundings.apply(&mut tests))?;
    // At the end, where it is seen.
    for module in surroundings.left_out() {
        let mut list = if with_nextest { nextest_list(options, module) } else { plain_list(options) };
        let printed = process::output(surroundings.apply(&mut list)).with_context(|| {
            format!("the tests of modules named {module} were not run, and cannot be listed")
        })?;
        println!("NOT RUN:");
        for test in printed.lines().filter(|line| line.contains(&format!("{module}::"))) {
            println!("    {}", test.trim_end_matches(": test"));
        }
    }
    if code != 0 || !options.arguments.is_empty() {
        return Ok(ExitCode::from(code));
    }
    // The examples in the documentation, which nextest leaves to cargo.
    let mut examples = cargo::cargo();
    examples.args(["test", "--doc", "--workspace", "--quiet"]);
    Ok(ExitCode::from(cargo::run_to_end(surroundings.apply(&mut examples))?))
}

/// What some tests need and this machine may not have. On a person's machine they are left out, aloud and by name; in CI that is an
/// error.
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
    let (given, others) = split_filters(&options.arguments);
    let left_out = surroundings.left_out();
    let left_out = left_out.iter().map(|module| format!("not {}", tests_of(module)));
    if let Some(filter) = all_of(left_out, given) {
        command.args(["-E", &filter]);
    }
    command.args(others);
    command
}

/// The tests of a module that would have been run.
fn nextest_list(options: &Options, module: &str) -> Command {
    let mut command = cargo::cargo();
    command.args(["nextest", "list", "--message-format", "oneline"]);
    let (given, others) = split_filters(&options.arguments);
    if names_packages(&others) {
        command.args(packages(&others));
    } else {
        command.arg("--workspace");
    }
    if options.long {
        command.args(["--profile", "long"]);
    }
    command.args(all_of([tests_of(module)], given).iter().flat_map(|filter| ["-E", filter]));
    command
}

fn tests_of(module: &str) -> String {
    format!("test(/(^|::){module}::/)")
}

/// Nextest runs what any of several filters names: what is left out must be left out of each.
fn all_of(ours: impl IntoIterator<Item = String>, given: Vec<String>) -> Option<String> {
    let given = (!given.is_empty()).then(|| format!("({})", given.join(") or (")));
    let parts: Vec<String> = ours.into_iter().chain(given.map(|given| format!("({given})"))).collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// The filter expressions among the arguments, and the others.
fn split_filters(arguments: &[String]) -> (Vec<String>, Vec<String>) {
    const NAMES: [&str; 3] = ["--filterset", "--filter-expr", "-E"];
    let (mut filters, mut others) = (Vec::new(), Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let value = NAMES.iter().find_map(|name| argument.strip_prefix(name));
        match value {
            // What follows is for the test programs.
            _ if argument == "--" => {
                others.push(argument.clone());
                others.extend(rest.by_ref().cloned());
            }
            None => others.push(argument.clone()),
            Some("") => filters.extend(rest.next().cloned()),
            Some(value) => filters.push(value.trim_start_matches('=').to_owned()),
        }
    }
    (filters, others)
}

/// The arguments that name packages.
fn packages(arguments: &[String]) -> Vec<String> {
    let mut packages = Vec::new();
    let mut rest = arguments.iter().take_while(|argument| *argument != "--");
    while let Some(argument) = rest.next() {
        if argument == "-p" || argument == "--package" {
            packages.extend([argument.clone()].into_iter().chain(rest.next().cloned()));
        } else if argument.starts_with("-p") || argument.starts_with("--package=") {
            packages.push(argument.clone());
        }
    }
    packages
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

/// Every test of cargo's own runner, by name.
fn plain_list(options: &Options) -> Command {
    let mut command = cargo::cargo();
    command.args(["test", "--quiet", "--all-targets"]);
    if names_packages(&options.arguments) {
        command.args(packages(&options.arguments));
    } else {
        command.arg("--workspace");
    }
    command.args(["--", "--list"]);
    command
}

fn names_packages(arguments: &[String]) -> bool {
    !packages(arguments).is_empty()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn owned(arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|argument| (*argument).to_owned()).collect()
    }

    #[test]
    fn a_filter_of_the_caller_does_not_bring_back_what_is_left_out() {
        let (filters, others) =
            split_filters(&owned(&["-E", "test(a)", "-p", "x", "--filterset=test(b)", "name", "--", "-E"]));
        assert_eq!((filters.len(), others), (2, owned(&["-p", "x", "name", "--", "-E"])));
        let filter = all_of(["not test(m)".to_owned()], filters);
        assert_eq!(filter.as_deref(), Some("not test(m) and ((test(a)) or (test(b)))"));
        assert_eq!(all_of([], vec![]), None);
        assert_eq!(
            packages(&owned(&["-p", "x", "y", "--package=z", "--profile", "-pw"])),
            owned(&["-p", "x", "--package=z", "-pw"])
        );
    }

    /// Where there is no Meilisearch, a test with one outside of such a module would fail instead of being left out.
    #[test]
    fn tests_with_a_meilisearch_are_in_modules_that_can_be_left_out() {
        let mut seen = 0;
        for folder in ["commerce-core/tests", "commerce-api/tests", "commerce-worker/tests"] {
            look_through(&crate::workspace::root().join(folder), &mut seen);
        }
        assert!(seen >= 3, "found only {seen} files");
    }

    fn look_through(folder: &Path, seen: &mut usize) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look_through(&path, seen);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let Some(first) = text.find("MeilisearchServer::start()") else { continue };
                *seen += 1;
                let module = text.find("mod meilisearch_tests {");
                assert!(
                    path.ends_with("meilisearch_tests.rs") || module.is_some_and(|at| at < first),
                    "{}",
                    path.display()
                );
            }
        }
    }
}
