//! A Postgres of one test's own, for what cannot be tried on a server that tests share.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;

use crate::db;

/// A server on 127.0.0.1, as durable as a shop's. Dropping it stops it and deletes its data.
pub struct PostgresServer {
    folder: PathBuf,
    port: u16,
    language: Option<&'static str>,
    options: String,
}

#[expect(clippy::expect_used, reason = "a test without its server cannot go on")]
impl PostgresServer {
    /// Starts a server that trusts everybody. Its superuser is `postgres`.
    pub fn start() -> Self {
        let server = Self::stopped();
        server.serve();
        server
    }

    /// Starts a server whose messages are in this language, such as `de`.
    pub fn speaking(language: &'static str) -> Self {
        let mut server = Self::stopped();
        server.language = Some(language);
        server.serve();
        server
    }

    /// Starts a server that offers TLS with this certificate and key (PEM).
    pub fn with_certificate(certificate: &str, key: &str) -> Self {
        let mut server = Self::stopped();
        server.options = format!(
            "-c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
            server.write("server.crt", certificate).display(),
            server.write("server.key", key).display(),
        );
        server.serve();
        server
    }

    fn stopped() -> Self {
        let folder =
            std::env::temp_dir().join(format!("commerce-postgres-{}", uuid::Uuid::now_v7().simple()));
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = free.local_addr().expect("a listener has an address").port();
        let made = program("initdb")
            .arg("-D")
            .arg(&folder)
            // The language of messages has an effect in every locale but C.
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"])
            .output()
            .expect("initdb can be run");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { folder, port, language: None, options: String::new() }
    }

    /// A new database with the schema. Returns its URL.
    pub async fn database(&self) -> String {
        let mut conn = db::connect(&self.url("postgres")).await.expect("the server answers");
        conn.batch_execute("CREATE DATABASE shop").await.expect("a database can be created");
        let url = self.url("shop");
        db::migrate(&url).await.expect("the migrations run");
        url
    }

    /// The URL of this database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with the socket for connections on this machine.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// kill -9 of the postmaster, and a new start on the same data.
    pub async fn kill(&self) {
        let read = as_postgres("cat").arg(self.folder.join("postmaster.pid")).output();
        let read = String::from_utf8(read.expect("cat can be run").stdout).expect("a pid is text");
        let pid = read.lines().next().expect("the server runs");
        let killed = as_postgres("kill").args(["-s", "KILL", pid]).status().expect("kill can be run");
        assert!(killed.success(), "process {pid} cannot be killed");
        self.serve();
    }

    /// A file that only the server's account can read.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.join(name);
        let mut shell = as_postgres("sh")
            .args(["-c", "umask 077; cat > \"$0\""])
            .arg(&file)
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh can be run");
        shell.stdin.take().expect("it has a pipe").write_all(text.as_bytes()).expect("the file is written");
        assert!(shell.wait().expect("sh ends").success());
        file
    }

    /// Starts it with durability on. After a kill the last server's children may need a moment to go.
    fn serve(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=on \
             -c synchronous_commit=on -c full_page_writes=on -c max_connections=100 {}",
            self.port,
            self.folder.display(),
            self.options
        );
        let started = Instant::now();
        loop {
            let mut start = program("pg_ctl");
            if let Some(language) = self.language {
                start.env("LANGUAGE", language);
            }
            let status = start
                .args(["start", "-w", "-s", "-D"])
                .arg(&self.folder)
                .arg("-l")
                .arg(self.folder.join("log"))
                .args(["-o", &options])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("pg_ctl can be run");
            if status.success() {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "Postgres does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn log(&self) -> String {
        let log = as_postgres("tail").arg("-n20").arg(self.folder.join("log")).output();
        log.map(|log| String::from_utf8_lossy(&log.stdout).into_owned()).unwrap_or_default()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let stop =
            program("pg_ctl").args(["stop", "-w", "-s", "-m", "immediate", "-D"]).arg(&self.folder).status();
        // What is left behind lies among the temporary files.
        if stop.is_ok() {
            let _ = as_postgres("rm").arg("-rf").arg(&self.folder).status();
        }
    }
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
    as_postgres(&file.to_string_lossy())
}

/// Postgres refuses to run as root: then as the user it comes with.
fn as_postgres(program: &str) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let mut command = if is_root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", program]);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}
