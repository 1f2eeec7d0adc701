//! `cargo xtask dev`: the whole shop on this machine, from nothing.
//!
//! Postgres, migrations, a first admin, a demo catalogue, commerce-api and commerce-worker; Ctrl-C or SIGTERM stops
//! them in the reverse order. What a person has set in the environment or in `.env` is never overridden.

mod children;
mod peers;
mod secret;
mod settings;
mod welcome;

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::children::Child;
use self::settings::Settings;
use crate::cargo::{self, Binaries};
use crate::postgres::Server;
use crate::{interrupt, meilisearch, workspace};

/// `cargo xtask dev`
#[derive(clap::Args)]
pub struct Options {
    /// Delete the private database, the mails and the keys of earlier runs first
    #[arg(long)]
    reset: bool,

    /// Build and run optimised binaries
    #[arg(long)]
    release: bool,

    /// Also start peers of Stripe and Razorpay on this machine, so that payments redirect to a page
    #[arg(long)]
    with_provider_peers: bool,
}

/// How long the API may take from its start to answering `/readyz`.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Brings the shop up and stays until it is asked to stop or a part of it dies.
pub fn run(options: &Options) -> Result<ExitCode> {
    let state = workspace::state_dir();
    let _lock = lock(&state)?;
    let mut settings = Settings::read()?;
    if options.reset {
        reset(&state, &settings)?;
    }

    let server = match settings.get("DATABASE_URL") {
        Some(url) => {
            step(&format!("Using the Postgres of DATABASE_URL ({})", settings::without_password(&url)));
            None
        }
        None => Some(start_postgres(&state, &mut settings)?),
    };
    if options.with_provider_peers {
        peers::fill_in(&mut settings)?;
    }
    settings.fill_in(&state)?;
    let search = match settings.get("MEILISEARCH_URL") {
        Some(_) => None,
        None => {
            step("Starting a private Meilisearch");
            start_meilisearch(meilisearch::find_or_install(), &state, &mut settings)?
        }
    };

    let peers = if options.with_provider_peers { ", and the peers of Stripe and Razorpay" } else { "" };
    step(&format!("Building commerce-api and commerce-worker{peers} (the first time takes a few minutes)"));
    let binaries = cargo::build_binaries(options.release, options.with_provider_peers)?;

    step("Migrating the database");
    run_once(&settings, &binaries.api, &["migrate"])?;
    step("Making sure that there is an admin");
    run_once(&settings, &binaries.api, &["create-admin"])?;
    step("Loading the demo catalogue");
    run_once(&settings, &binaries.api, &["seed"])?;

    serve(&settings, &binaries, Servers { postgres: server, search })
}

/// What the shop stands on, as far as we started it. Dropped in this order.
struct Servers {
    search: Option<meilisearch::Server>,
    postgres: Option<Server>,
}

/// A private Meilisearch, or none: then Postgres searches.
fn start_meilisearch(
    program: Result<PathBuf>,
    state: &Path,
    settings: &mut Settings,
) -> Result<Option<meilisearch::Server>> {
    let program = match program {
        Ok(program) => program,
        Err(error) => {
            interrupt::check()?;
            println!("    There is none, so Postgres searches. {error:#}");
            return Ok(None);
        }
    };
    let folder = state.join("meilisearch");
    match meilisearch::Server::start(&program, &folder) {
        Ok(server) => {
            println!("    at {}, data in {}", server.url(), folder.display());
            settings.set("MEILISEARCH_URL", server.url());
            Ok(Some(server))
        }
        // Its data may be of another version; the shop has all that is in there.
        Err(error) => {
            interrupt::check()?;
            println!("    It does not start, so Postgres searches. {error:#}");
            println!("    Delete {} or run with --reset to begin its data anew.", folder.display());
            Ok(None)
        }
    }
}

/// One `cargo xtask dev` a checkout: a second one would stop the first one's Postgres.
fn lock(state: &Path) -> Result<File> {
    if !state.is_dir() {
        fs::create_dir_all(state).with_context(|| format!("could not make {}", state.display()))?;
        // Whatever the umask is, Postgres's account must get through; what is secret inside closes itself.
        fs::set_permissions(state, fs::Permissions::from_mode(0o755))?;
    }
    let file = File::options().create(true).append(true).open(state.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("`cargo xtask dev` is already running in this checkout"),
        Err(TryLockError::Error(error)) => Err(error).context("could not lock .commerce/lock"),
    }
}

fn reset(state: &Path, settings: &Settings) -> Result<()> {
    if settings.get("DATABASE_URL").is_some() {
        bail!(
            "--reset deletes the private database only, and DATABASE_URL names another: unset it, or empty it yourself"
        );
    }
    step("Deleting the private database, the mails and the keys of earlier runs");
    Server::delete_durable("postgres")?;
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "tools") {
            // Programs that were got once.
        } else if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path.file_name().is_some_and(|name| name != "lock") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Starts the private server, on the port of the last run if it is free, with the database `commerce`.
fn start_postgres(state: &Path, settings: &mut Settings) -> Result<Server> {
    step("Starting a private Postgres");
    let port_file = state.join("postgres-port");
    let last_port = fs::read_to_string(&port_file).ok().and_then(|port| port.trim().parse().ok());
    let server = Server::durable("postgres", last_port)?;
    fs::write(&port_file, server.port().to_string())?;
    println!(
        "    Postgres {} on port {}, data in {}",
        server.installation().major,
        server.port(),
        server.folder().display()
    );
    let psql = server.installation();
    let maintenance = server.url("postgres");
    if psql.query(&maintenance, "SELECT 1 FROM pg_database WHERE datname = 'commerce'")?.is_empty() {
        psql.query(&maintenance, "CREATE DATABASE commerce")?;
    }
    settings.set("DATABASE_URL", server.url("commerce"));
    Ok(server)
}

/// Runs a subcommand of the API to its end, its output shown as it comes.
fn run_once(settings: &Settings, api: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(api);
    command.args(arguments).envs(settings.for_children()).current_dir(workspace::root());
    match cargo::run_to_end(&mut command)? {
        0 => Ok(()),
        code => bail!("`commerce-api {}` failed with exit code {code}", arguments.first().unwrap_or(&"")),
    }
}

fn serve(settings: &Settings, binaries: &Binaries, mut servers: Servers) -> Result<ExitCode> {
    step("Starting commerce-api and commerce-worker");
    // Dropped in the reverse order: both programs first, then (with `server`) Postgres.
    let mut children = children::Children::default();
    if let Some(peers) = &binaries.peers {
        children.start("peers", peers, &[], settings)?;
    }
    children.start("api", &binaries.api, &["serve"], settings)?;
    children.start("worker", &binaries.worker, &["run"], settings)?;

    let deadline = Instant::now() + READY_WITHIN;
    let address = settings.http_address("COMMERCE_HTTP_ADDR")?;
    while !answers_ready(address) {
        if interrupt::received().is_some() {
            break;
        }
        watch(&mut children, &mut servers)?;
        if Instant::now() > deadline {
            bail!("http://{address}/readyz did not answer 200 within {} seconds", READY_WITHIN.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    if interrupt::received().is_none() {
        print!("{}", welcome::text(settings, address));
        std::io::stdout().flush()?;
    }
    while interrupt::received().is_none() {
        watch(&mut children, &mut servers)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    println!();
    step(&format!(
        "Stopping commerce-api and commerce-worker: {}",
        interrupt::reason().unwrap_or("asked to")
    ));
    children.stop();
    if servers.search.is_some() || servers.postgres.is_some() {
        step("Stopping the private servers");
        drop(servers);
    }
    println!("Stopped. The data is kept; `cargo xtask dev --reset` starts over.");
    Ok(ExitCode::SUCCESS)
}

/// An error as soon as a part of the shop is gone.
fn watch(children: &mut children::Children, servers: &mut Servers) -> Result<()> {
    if let Some((name, status)) = children.iter_mut().find_map(Child::ended) {
        bail!("commerce-{name} ended by itself ({status}); its last lines are above. Stopping the rest");
    }
    if let Some(server) = &mut servers.search
        && !server.is_running()
    {
        // The shop sells on, and Postgres searches.
        println!("Meilisearch ended by itself; see {}", server.log().display());
        servers.search = None;
    }
    if let Some(server) = &mut servers.postgres
        && !server.is_running()
    {
        bail!("Postgres ended by itself; see {}", server.folder().join("log").display());
    }
    Ok(())
}

/// Whether `GET /readyz` answers 200.
fn answers_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(&status == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// Announces what happens next.
fn step(what: &str) {
    println!("==> {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As one that finds data of another version: it says so and ends.
    #[test]
    fn a_meilisearch_that_does_not_start_leaves_the_search_to_postgres() {
        let state = std::env::temp_dir().join(format!("xtask-dev-{}", std::process::id()));
        fs::create_dir_all(&state).unwrap();
        let program = state.join("meilisearch-of-another-time");
        fs::write(&program, "#!/bin/sh\necho 'Your database version is incompatible'; exit 1\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut settings = Settings::read().unwrap();
        let before = settings.get("MEILISEARCH_URL");
        let started = start_meilisearch(Ok(program), &state, &mut settings).unwrap();
        assert!(started.is_none() && settings.get("MEILISEARCH_URL") == before);
        fs::remove_dir_all(&state).unwrap();
    }
}
