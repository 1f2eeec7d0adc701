//! pgbench: what Postgres itself can do on this machine.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::figures::Figures;
use crate::goods::Carts;

/// What pgbench is given to do, once an order.
#[derive(Debug, Clone, Copy)]
pub enum Script {
    /// The checkout's own statements: shows what HTTP and Rust add.
    SameSql,
    /// The smallest order that is still honest: lock, decrement, order, line, payment. Shows what the design adds.
    Smallest,
}

impl Script {
    fn text(self) -> &'static str {
        match self {
            Self::SameSql => include_str!("checkout.sql"),
            Self::Smallest => include_str!("smallest.sql"),
        }
    }
}

pub async fn run(
    pgbench: &Path,
    database_url: &str,
    script: Script,
    carts: &Carts,
    time: Duration,
) -> Result<Figures> {
    let folder = std::env::temp_dir().join(format!("commerce-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("order.sql");
    std::fs::write(&file, script.text())?;
    let log = folder.join("log");
    let output = Command::new(pgbench)
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--log"])
        .arg(format!("--log-prefix={}", log.display()))
        .arg(format!("--client={}", carts.clients))
        .arg(format!("--time={}", time.as_secs()))
        .arg(format!("--define=first={}", carts.first - 1))
        .arg(format!("--define=each={}", carts.each))
        .arg("--define=taken=0")
        .arg(format!("--define=skus={}", carts.spread.skus()))
        .arg(format!("--file={}", file.display()))
        .arg(database_url)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    let latencies = read_log(&folder)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(Figures { latencies, time, ..Default::default() })
}

/// Each line is `client transaction microseconds …`.
fn read_log(folder: &Path) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        if file.file_name().to_string_lossy().starts_with("log") {
            let text = std::fs::read_to_string(file.path())?;
            let micros = text.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok());
            latencies.extend(micros.map(Duration::from_micros));
        }
    }
    Ok(latencies)
}
