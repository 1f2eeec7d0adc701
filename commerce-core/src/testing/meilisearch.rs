//! A Meilisearch for one test: a real server that can be killed, wiped and restarted.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::search::{Meilisearch, MeilisearchSettings};

/// The variable with the program to start. `cargo xtask test` finds or downloads one and sets it.
pub const MEILISEARCH_BIN_VARIABLE: &str = "MEILISEARCH_BIN";

/// A server on 127.0.0.1 with a folder of its own. Dropping it kills the server and deletes the folder.
pub struct MeilisearchServer {
    child: Option<Child>,
    folder: PathBuf,
    port: u16,
}

#[expect(clippy::expect_used, reason = "a test without its server cannot go on")]
impl MeilisearchServer {
    /// Starts a server and waits until it answers.
    pub async fn start() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = free.local_addr().expect("a listener has an address").port();
        drop(free);
        let folder =
            std::env::temp_dir().join(format!("commerce-meilisearch-{}", uuid::Uuid::now_v7().simple()));
        let mut server = Self { child: None, folder, port };
        server.start_again().await;
        server
    }

    /// Starts the server again after [`MeilisearchServer::kill`], on the same port.
    pub async fn start_again(&mut self) {
        let program = std::env::var_os(MEILISEARCH_BIN_VARIABLE).unwrap_or_else(|| {
            panic!("{MEILISEARCH_BIN_VARIABLE} is not set: run the tests with `cargo xtask test`, which finds one for them")
        });
        std::fs::create_dir_all(&self.folder).expect("a folder can be made");
        let child = Command::new(program)
            .args(["--env", "development", "--no-analytics", "--log-level", "ERROR"])
            .args(["--http-addr", &format!("127.0.0.1:{}", self.port)])
            .args(["--max-indexing-threads", "1"])
            .arg("--db-path")
            .arg(self.folder.join("data"))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Meilisearch can be started");
        self.child = Some(child);
        let begun = Instant::now();
        while self.client().check().await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "Meilisearch does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills the server, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Deletes all its data. The server must not be running.
    pub fn wipe(&self) {
        let _ = std::fs::remove_dir_all(self.folder.join("data"));
    }

    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client for the server.
    pub fn client(&self) -> Meilisearch {
        Meilisearch::new(&MeilisearchSettings::new(self.url(), None)).expect("the address is in order")
    }
}

impl Drop for MeilisearchServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
