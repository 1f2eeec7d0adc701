//! A program that runs beside the test, what it says, and how it ends.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// The longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// commerce-api, as it was built for these tests.
pub fn api_binary() -> PathBuf {
    std::env::var_os("COMMERCE_API_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_commerce-api").into(), PathBuf::from)
}

/// commerce-worker.
pub fn worker_binary() -> PathBuf {
    built("COMMERCE_WORKER_BIN", "commerce-worker")
}

/// The peers of Stripe and Razorpay.
pub fn peers_binary() -> PathBuf {
    built("COMMERCE_PEERS_BIN", "commerce-peers")
}

/// A program of another package: `cargo xtask test` builds it and says where it is; otherwise the last one built beside
/// this test.
fn built(variable: &str, name: &str) -> PathBuf {
    let binary = std::env::var_os(variable).map_or_else(
        || {
            let test = std::env::current_exe().unwrap();
            test.ancestors().nth(2).unwrap().join(name)
        },
        PathBuf::from,
    );
    assert!(binary.is_file(), "{} is missing: cargo build -p {name}", binary.display());
    binary
}

/// A running program. Killed when dropped; shows its last lines when the test fails.
pub struct Program {
    name: String,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
}

impl Program {
    pub fn start(name: &str, mut command: Command) -> Self {
        command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let (sender, lines) = watch::channel(0);
        let (sender, said) = (Arc::new(sender), Arc::default());
        listen(child.stdout.take().unwrap(), Arc::clone(&said), Arc::clone(&sender));
        listen(child.stderr.take().unwrap(), Arc::clone(&said), sender);
        Self { name: name.to_owned(), child, said, lines }
    }

    /// Waits until it has said a line with this in it.
    pub async fn says(&mut self, part: &str) -> String {
        let heard = async {
            loop {
                self.lines.mark_unchanged();
                let found = self.said.lock().unwrap().iter().find(|line| line.contains(part)).cloned();
                match found {
                    Some(line) => return Some(line),
                    None => self.lines.changed().await.ok()?,
                }
            }
        };
        let heard = tokio::time::timeout(PATIENCE, heard).await.ok().flatten();
        heard.unwrap_or_else(|| panic!("{} never said {part:?}", self.name))
    }

    /// All it has said so far.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// kill -9.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("{} does not end", self.name)).unwrap()
    }

    /// Asks it to stop, and waits until it has, in good order.
    pub async fn stop(mut self) {
        self.signal("TERM");
        let status = self.ended().await;
        assert!(status.success(), "{}: {status}", self.name);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said();
            let last = said.iter().rev().take(40).rev().map(String::as_str).collect::<Vec<_>>();
            eprintln!("---- the last that {} said:\n{}", self.name, last.join("\n"));
        }
    }
}

fn listen(
    stream: impl AsyncRead + Unpin + Send + 'static,
    said: Arc<Mutex<Vec<String>>>,
    count: Arc<watch::Sender<usize>>,
) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.lock().unwrap().push(line);
            count.send_modify(|count| *count += 1);
        }
    });
}
