//! A private Postgres: found or installed, its own data folder, its own free port, gone when we are.
//!
//! It listens on 127.0.0.1 only and opens no Unix socket (socket paths have a limit of about 107 characters, which
//! a deep checkout exceeds). Everyone on this machine may connect as `postgres` without a password, so it is for
//! development and tests, never for a shop.

mod account;
mod installation;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::account::{Account, as_account};
pub use self::installation::Installation;
use crate::process::{self, Guardian};
use crate::{interrupt, workspace};

/// Whether a cluster's files must survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Postgres's own defaults: what a shop runs with.
    Durable,
    /// As fast as can be; the data is deleted afterwards.
    Throwaway,
}

/// A running private server. Dropping it stops it, and deletes a throwaway one.
#[derive(Debug)]
pub struct Server {
    installation: Installation,
    durability: Durability,
    child: Child,
    /// The folder with the data and the log.
    folder: PathBuf,
    port: u16,
    _guardian: Guardian,
}

impl Server {
    /// A new, empty server on a free port, in a temporary folder.
    pub fn throwaway() -> Result<Self> {
        let installation = Installation::find_or_install()?;
        let account = Account::to_drop_to()?;
        let name = format!("commerce-postgres-{}-{}", std::process::id(), free_port()?);
        let preferred = std::env::temp_dir().join(&name);
        let folder = match account {
            Some(account) if !account.can_reach(&preferred) => Path::new("/tmp").join(&name),
            _ => preferred,
        };
        Self::start(installation, Durability::Throwaway, folder, account, None)
    }

    /// The server whose data stays in `name` below the checkout's state folder, started anew or for the first time.
    ///
    /// The caller makes sure that no other process of ours uses the folder: a server found running there is a
    /// leftover of one that was killed, and is stopped first.
    pub fn durable(name: &str, port: Option<u16>) -> Result<Self> {
        let account = Account::to_drop_to()?;
        let folder = durable_folder(name, account)?;
        let found = Installation::find_or_install()?;
        let installation = match fs::read_to_string(folder.join("data/PG_VERSION")) {
            Err(_) => found,
            Ok(version) => Installation::all()
                .into_iter()
                .find(|installation| installation.major.to_string() == version.trim())
                .with_context(|| {
                    format!(
                        "the data in {} is of Postgres {}, this machine has {}: install that version, or start \
                         over with --reset",
                        folder.display(),
                        version.trim(),
                        found.major
                    )
                })?,
        };
        stop_leftover(&folder.join("data"))?;
        Self::start(installation, Durability::Durable, folder, account, port)
    }

    /// Deletes a durable server's data, stopping a leftover server first.
    pub fn delete_durable(name: &str) -> Result<()> {
        let folder = durable_folder(name, Account::to_drop_to()?)?;
        stop_leftover(&folder.join("data"))?;
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("could not delete {}", folder.display()))?;
        }
        Ok(())
    }

    /// The address of a database on this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the data and the log are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The programs this server was started from.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Whether the server still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn start(
        installation: Installation,
        durability: Durability,
        folder: PathBuf,
        account: Option<Account>,
        port: Option<u16>,
    ) -> Result<Self> {
        let mut undo = DeleteUnless { folder: folder.clone(), keep: durability == Durability::Durable };
        make_folder(&folder, account)?;
        initialise(&installation, &folder, account)?;
        let mut last = None;
        for attempt in 0..5 {
            // Another process may take the free port before Postgres does; after an outright kill the
            // previous server's shared memory may live on for a moment.
            let port = match port {
                Some(port) if attempt == 0 && TcpListener::bind(("127.0.0.1", port)).is_ok() => port,
                _ => free_port()?,
            };
            let mut child = spawn(&installation, durability, &folder, account, port)?;
            let guardian_signal = if durability == Durability::Durable { "INT" } else { "QUIT" };
            let doomed = (durability == Durability::Throwaway).then_some(folder.as_path());
            let guardian = Guardian::over(child.id(), guardian_signal, doomed)?;
            match wait_until_ready(&mut child, &folder) {
                Ok(()) => {
                    undo.keep = true;
                    return Ok(Self { installation, durability, child, folder, port, _guardian: guardian });
                }
                Err(error) => {
                    process::stop(&mut child, &[("QUIT", Duration::from_secs(5))]);
                    drop(guardian);
                    interrupt::check()?;
                    last = Some(error);
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("Postgres did not start")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.durability {
            Durability::Durable => {
                let steps = [("INT", Duration::from_secs(30)), ("QUIT", Duration::from_secs(5))];
                process::stop(&mut self.child, &steps);
            }
            Durability::Throwaway => {
                process::stop(&mut self.child, &[("QUIT", Duration::from_secs(5))]);
                let _ = fs::remove_dir_all(&self.folder);
            }
        }
    }
}

/// Removes a throwaway folder when starting failed half-way.
struct DeleteUnless {
    folder: PathBuf,
    keep: bool,
}

impl Drop for DeleteUnless {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Where a durable server's files go: below the checkout, or where user postgres can reach them.
fn durable_folder(name: &str, account: Option<Account>) -> Result<PathBuf> {
    let preferred = workspace::state_dir().join(name);
    let Some(account) = account else { return Ok(preferred) };
    if account.can_reach(&workspace::root()) {
        return Ok(preferred);
    }
    let key = workspace::root().display().to_string().trim_matches('/').replace('/', "-");
    let folder = Path::new("/var/lib/commerce-dev").join(key).join(name);
    println!(
        "User postgres cannot reach {} (a folder above is closed): the data goes to {}.",
        workspace::root().display(),
        folder.display()
    );
    Ok(folder)
}

/// Makes the folder, owned by the account that Postgres runs as.
fn make_folder(folder: &Path, account: Option<Account>) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let make = || -> Result<()> {
        let parent = folder.parent().unwrap_or(folder);
        if !parent.is_dir() {
            fs::create_dir_all(parent)?;
            // Whatever the umask is, Postgres's account must get through.
            fs::set_permissions(parent, fs::Permissions::from_mode(0o755))?;
        }
        fs::DirBuilder::new().mode(0o700).create(folder)?;
        if let Some(Account { uid, gid }) = account {
            chown(folder, Some(uid), Some(gid))?;
        }
        Ok(())
    };
    make().with_context(|| format!("could not make {}", folder.display()))
}

/// Runs initdb unless it has succeeded here before.
fn initialise(installation: &Installation, folder: &Path, account: Option<Account>) -> Result<()> {
    let data = folder.join("data");
    if data.join("PG_VERSION").exists() && data.join("global/pg_control").exists() {
        return Ok(());
    }
    // A first attempt that was cut short, or a system without the C.UTF-8 locale, is begun anew.
    let mut result = Ok(String::new());
    for locale in ["C.UTF-8", "C"] {
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        let mut initdb = installation.program("initdb");
        initdb.arg("-D").arg(&data).args(["-U", "postgres", "-E", "UTF8", "-A", "trust", "--no-sync"]);
        initdb.arg(format!("--locale={locale}")).current_dir(folder);
        result = process::output(as_account(&mut initdb, account));
        interrupt::check()?;
        if result.is_ok() {
            break;
        }
    }
    result.context("could not make a Postgres cluster").map(drop)
}

fn spawn(
    installation: &Installation,
    durability: Durability,
    folder: &Path,
    account: Option<Account>,
    port: u16,
) -> Result<Child> {
    let mut settings = vec!["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"];
    if durability == Durability::Throwaway {
        settings.extend([
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "wal_level=minimal",
            "max_wal_senders=0",
            "shared_buffers=256MB",
            "max_wal_size=4GB",
            "autovacuum_naptime=10s",
        ]);
    }
    let log = File::create(folder.join("log")).context("could not write Postgres's log")?;
    let mut postgres = installation.program("postgres");
    postgres.arg("-D").arg(folder.join("data")).arg("-p").arg(port.to_string());
    for setting in settings {
        postgres.args(["-c", setting]);
    }
    // A process group of its own: Ctrl-C in the terminal must reach it through us, after its clients have ended.
    postgres.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    as_account(&mut postgres, account).spawn().context("could not start postgres")
}

/// Postgres writes `ready` into the eighth line of its pid file once it takes connections.
fn wait_until_ready(child: &mut Child, folder: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let pid_file = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = pid_file.lines();
        let ours = lines.next() == Some(child.id().to_string().as_str());
        if ours && lines.nth(6).is_some_and(|status| status.trim() == "ready") {
            return Ok(());
        }
        interrupt::check()?;
        if let Ok(Some(status)) = child.try_wait() {
            bail!("Postgres ended while starting ({status}):\n{}", log_tail(folder));
        }
        if Instant::now() > deadline {
            bail!("Postgres was not ready within a minute:\n{}", log_tail(folder));
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// The last lines of the server's log.
fn log_tail(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(12).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Stops a server that a killed process of ours left running on this data, and clears its stale pid file.
fn stop_leftover(data: &Path) -> Result<()> {
    let pid_file = data.join("postmaster.pid");
    let Ok(content) = fs::read_to_string(&pid_file) else { return Ok(()) };
    let pid: Option<u32> = content.lines().next().and_then(|line| line.trim().parse().ok());
    if let Some(pid) = pid.filter(|pid| is_server_on(*pid, data)) {
        println!("Stopping a Postgres (process {pid}) left over from an earlier run …");
        for (signal, seconds) in [("INT", 20), ("QUIT", 5), ("KILL", 5)] {
            process::signal(pid, signal);
            let deadline = Instant::now() + Duration::from_secs(seconds);
            while process::is_alive(pid) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(50));
            }
            if !process::is_alive(pid) {
                break;
            }
        }
    }
    // The number may by now belong to another process, which Postgres would take for a live server.
    if pid_file.exists() {
        fs::remove_file(&pid_file).context("could not remove a stale postmaster.pid")?;
    }
    Ok(())
}

/// Whether this process is a Postgres on exactly this data folder.
fn is_server_on(pid: u32, data: &Path) -> bool {
    process::output(Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]))
        .is_ok_and(|line| line.contains("postgres") && line.contains(&data.display().to_string()))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throwaway_server_answers_and_leaves_nothing() {
        let server = Server::throwaway().unwrap();
        let url = server.url("postgres");
        assert_eq!(server.installation().query(&url, "SELECT 1, 'a'").unwrap(), [["1", "a"]]);
        assert_eq!(server.installation().query(&url, "SHOW fsync").unwrap(), [["off"]]);
        let folder = server.folder().to_path_buf();
        assert!(folder.is_dir());
        drop(server);
        assert!(!folder.exists(), "{}", folder.display());
    }

    #[test]
    fn a_kept_server_survives_being_killed_and_a_pid_file_of_someone_else() {
        let account = Account::to_drop_to().unwrap();
        let name = format!("commerce-kept-{}", std::process::id());
        let folder = Path::new("/tmp").join(name);
        let start = || {
            stop_leftover(&folder.join("data")).unwrap();
            let found = Installation::find_or_install().unwrap();
            Server::start(found, Durability::Durable, folder.clone(), account, None).unwrap()
        };
        let query = |server: &Server, sql: &str| server.installation().query(&server.url("postgres"), sql);

        let mut server = start();
        query(&server, "CREATE TABLE kept AS SELECT 42 AS answer").unwrap();
        process::signal(server.child.id(), "KILL");
        server.child.wait().unwrap();
        assert!(!server.is_running());
        drop(server);
        assert!(folder.join("data/postmaster.pid").exists());

        // The number in the pid file now belongs to a process that is no Postgres: this one.
        let pid_file = folder.join("data/postmaster.pid");
        let content = fs::read_to_string(&pid_file).unwrap();
        let rest = content.split_once('\n').unwrap().1;
        fs::write(&pid_file, format!("{}\n{rest}", std::process::id())).unwrap();
        let server = start();
        assert_eq!(query(&server, "SELECT answer FROM kept").unwrap(), [["42"]]);
        drop(server);
        fs::remove_dir_all(&folder).unwrap();
    }
}
