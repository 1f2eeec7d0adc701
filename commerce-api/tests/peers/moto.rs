//! A server that speaks S3: moto, installed into a virtual environment of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A running server; it ends when this is dropped.
pub struct Moto {
    /// `http://127.0.0.1:…`
    pub address: String,
    _process: Child,
}

impl Moto {
    /// `None` where it cannot be had, which is said under the test's name; where CI is set that fails.
    pub async fn start(test: &str) -> Option<Self> {
        match moto().await {
            Ok(program) => Some(serve(&program).await),
            Err(error) => {
                let wanted = std::env::var_os("CI").is_some_and(|ci| ci != "false" && !ci.is_empty());
                assert!(!wanted, "moto cannot be installed: {error}");
                println!("SKIPPED {test}: {error}");
                None
            }
        }
    }

    pub async fn make_bucket(&self, name: &str) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let made = reqwest::Client::new().put(format!("{}/{name}", self.address)).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
    }
}

/// The version that this was written against.
const MOTO: &str = "moto[server]==5.2.5";

/// The program, installed under the target directory if it is not there.
async fn moto() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("MOTO_SERVER_BIN") {
        return Ok(PathBuf::from(named));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let program = folder.join("bin/moto_server");
    if !program.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", MOTO])).await?;
    }
    Ok(program)
}

async fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().await.map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
}

/// A server on a free port.
async fn serve(program: &Path) -> Moto {
    let mut process = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("moto ended");
        if let Some((_, address)) = line.split_once("Running on ") {
            break address.trim().to_owned();
        }
    };
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Moto { address, _process: process }
}
