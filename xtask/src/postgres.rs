//! A private Postgres: found or installed, its own data folder, its own free port, gone when we are.
//!
//! It listens on 127.0.0.1 only and opens no Unix socket (socket paths have a limit of about 107 characters, which
//! a deep checkout exceeds). Everyone on this machine may connect as `postgres` without a password, so it is for
//! development and tests, never for a shop.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{self, Guardian};
use crate::{interrupt, workspace};

/// The oldest major version that the migrations are meant for.
const OLDEST_MAJOR: u32 = 14;

/// A folder that holds Postgres's own programs.
#[derive(Clone, Debug)]
pub struct Installation {
    bin: PathBuf,
    /// The major version: 15, 16, …
    pub major: u32,
}

impl Installation {
    /// The newest Postgres on this machine, installed by apt where there is none.
    pub fn find_or_install() -> Result<Self> {
        if let Some(found) = Self::all().into_iter().next() {
            return Ok(found);
        }
        install_by_apt("postgresql")?;
        Self::all().into_iter().next().context("Postgres was installed, but its initdb cannot be found")
    }

    /// Every Postgres on this machine that is new enough: first the one on PATH, then the newest.
    fn all() -> Vec<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let mut versioned: Vec<Self> = Vec::new();
        for parent in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr/pgsql"] {
            let Ok(entries) = fs::read_dir(parent) else { continue };
            let bins = entries.flatten().map(|entry| entry.path().join("bin"));
            versioned.extend(bins.filter_map(Self::in_folder));
        }
        versioned.sort_by_key(|installation| std::cmp::Reverse(installation.major));
        folders.dedup();
        folders.into_iter().filter_map(Self::in_folder).chain(versioned).collect()
    }

    fn in_folder(bin: PathBuf) -> Option<Self> {
        if !["initdb", "postgres", "psql"].iter().all(|program| bin.join(program).is_file()) {
            return None;
        }
        let version = process::output(Command::new(bin.join("postgres")).arg("--version")).ok()?;
        // "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", "postgres (PostgreSQL) 18beta1"
        let number = version.split_whitespace().nth(2)?;
        let major = number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        (major >= OLDEST_MAJOR).then_some(Self { bin, major })
    }

    /// One of Postgres's programs, shielded from the person's `PG…` variables.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("PG") {
                command.env_remove(variable);
            }
        }
        command
    }

    /// Runs SQL through psql and returns the rows, columns separated by tabs.
    pub fn query(&self, url: &str, sql: &str) -> Result<Vec<Vec<String>>> {
        let mut psql = self.program("psql");
        psql.args(["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]);
        let printed = process::output(&mut psql)?;
        Ok(printed.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// Runs a file of SQL in one transaction.
    pub fn run_file(&self, url: &str, file: &Path) -> Result<()> {
        let mut psql = self.program("psql");
        psql.args(["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", url, "-f"]).arg(file);
        psql.env("PGOPTIONS", "-c client_min_messages=warning");
        process::output(&mut psql).with_context(|| file.display().to_string())?;
        Ok(())
    }
}

/// Installs a Debian package and says so; elsewhere the error tells what to install.
pub fn install_by_apt(package: &str) -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "{package} is not installed. Please install it (macOS: `brew install {package}`) and try again"
        );
    }
    let root = effective_user()? == 0;
    let may_sudo = || process::output(Command::new("sudo").args(["-n", "true"])).is_ok();
    if !root && !may_sudo() {
        bail!("{package} is not installed. Please run `sudo apt-get install {package}` and try again");
    }
    println!("Installing Debian's package `{package}` with apt-get …");
    let apt = |arguments: &[&str], complaints: Stdio| {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if !root {
            command.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints);
        command.status().is_ok_and(|status| status.success())
    };
    let install = ["install", "--yes", "--no-install-recommends", package];
    // A fresh machine has no package lists yet, and one that is behind asks for versions that are gone.
    if apt(&install, Stdio::null()) || (apt(&["update"], Stdio::inherit()) && apt(&install, Stdio::inherit()))
    {
        return Ok(());
    }
    bail!("apt-get could not install `{package}`; please install it by hand and try again")
}

/// The user id this process acts as; 0 is root.
pub fn effective_user() -> Result<u32> {
    Ok(process::output(Command::new("id").arg("-u"))?.trim().parse()?)
}

/// The account Postgres runs as when we are root, since it refuses to run as root.
#[derive(Clone, Copy, Debug)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` when we are an ordinary user and Postgres simply runs as us.
    fn to_drop_to() -> Result<Option<Self>> {
        if effective_user()? != 0 {
            return Ok(None);
        }
        let id = |flag| -> Result<u32> {
            let printed = process::output(Command::new("id").args([flag, "postgres"]))
                .context("Postgres refuses to run as root and there is no user `postgres` to run it as")?;
            Ok(printed.trim().parse()?)
        };
        Ok(Some(Self { uid: id("-u")?, gid: id("-g")? }))
    }

    /// Whether this account can reach the folder, or the nearest parent that exists.
    fn can_reach(self, folder: &Path) -> bool {
        let Some(existing) = folder.ancestors().find(|ancestor| ancestor.is_dir()) else { return false };
        let mut test = Command::new("test");
        test.arg("-x").arg(existing).uid(self.uid).gid(self.gid).current_dir("/");
        test.status().is_ok_and(|status| status.success())
    }
}

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

fn as_account(command: &mut Command, account: Option<Account>) -> &mut Command {
    match account {
        Some(Account { uid, gid }) => command.uid(uid).gid(gid).env("HOME", "/").env("USER", "postgres"),
        None => command,
    }
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
