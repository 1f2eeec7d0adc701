//! A Postgres of the test's own, as durable as a shop's, that can be killed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use commerce_core::db;
use diesel_async::SimpleAsyncConnection as _;

/// A private server. Dropping it stops it and deletes its data.
pub struct Postgres {
    folder: PathBuf,
    port: u16,
}

impl Postgres {
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("commerce-journey-{}", uuid::Uuid::now_v7().simple()));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let made = program("initdb")
            .arg("-D")
            .arg(&folder)
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let server = Self { folder, port };
        server.serve();
        server
    }

    /// A new database with the schema; its address.
    pub async fn database(&self) -> String {
        let mut conn = db::connect(&self.url("postgres")).await.unwrap();
        conn.batch_execute("CREATE DATABASE journey").await.unwrap();
        let url = self.url("journey");
        db::migrate(&url).await.unwrap();
        url
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// kill -9 of the postmaster, and a new start on the same data.
    pub async fn kill(&self) {
        kill("KILL", &self.pid().expect("it runs"));
        self.serve();
    }

    fn pid(&self) -> Option<String> {
        // Only its own account may look into the folder.
        let read = as_postgres("cat").arg(self.folder.join("postmaster.pid")).output().unwrap();
        Some(String::from_utf8(read.stdout).unwrap().lines().next()?.to_owned())
    }

    /// Starts it with durability on; after a kill the last server's children may need a moment to go.
    fn serve(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=on \
             -c synchronous_commit=on -c full_page_writes=on -c max_connections=100",
            self.port
        );
        let started = Instant::now();
        loop {
            let status = program("pg_ctl")
                .args(["start", "-w", "-s", "-D"])
                .arg(&self.folder)
                .arg("-l")
                .arg(self.folder.join("log"))
                .args(["-o", &options])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            if status.success() {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "Postgres does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn log(&self) -> String {
        let log = as_postgres("tail").arg("-n20").arg(self.folder.join("log")).output().unwrap();
        String::from_utf8_lossy(&log.stdout).into_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let stop =
            program("pg_ctl").args(["stop", "-w", "-s", "-m", "immediate", "-D"]).arg(&self.folder).status();
        // What is left behind lies among the temporary files.
        if stop.is_ok() {
            let _ = as_postgres("rm").arg("-rf").arg(&self.folder).status();
        }
    }
}

fn kill(signal: &str, pid: &str) {
    assert!(as_postgres("kill").args(["-s", signal, pid]).status().unwrap().success());
}

/// A program of Postgres: from PATH, or of the newest version where Debian puts it.
fn program(name: &str) -> Command {
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    let debian = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|version| version.path());
        let version = |folder: &Path| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        let newest =
            versions.filter(|folder| version(folder).is_some()).max_by_key(|folder| version(folder))?;
        Some(newest.join("bin").join(name))
    };
    let file = on_path.or_else(debian).unwrap_or_else(|| panic!("{name} of Postgres is not installed"));
    as_postgres(file.to_str().unwrap())
}

/// Postgres refuses to run as root: then as the user it comes with.
fn as_postgres(program: &str) -> Command {
    let id = Command::new("id").arg("-u").output().unwrap();
    let mut command = if id.stdout == b"0\n" {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", program]);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}
