//! The product itself: a release binary in a process of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A running commerce-api; killed when dropped.
pub struct Api {
    pub address: SocketAddr,
    process: Child,
}

impl Api {
    /// With the Meilisearch at this address, if there is one.
    pub async fn start(binary: &Path, database_url: &str, meilisearch: Option<SocketAddr>) -> Result<Self> {
        let url = meilisearch.map(|address| format!("http://{address}")).unwrap_or_default();
        Self::start_with(binary, database_url, &[("MEILISEARCH_URL", url)]).await
    }

    /// With these settings beside the usual ones, or instead of them.
    pub async fn start_with(
        binary: &Path,
        database_url: &str,
        settings: &[(&'static str, String)],
    ) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = Command::new(binary)
            .arg("serve")
            .env("DATABASE_URL", database_url)
            .env("COMMERCE_HTTP_ADDR", address.to_string())
            .env("COMMERCE_SECRET_KEY", crate::goods::SECRET)
            .env("COMMERCE_PAYMENT_PROVIDERS", "mock")
            .env("COMMERCE_RATE_LIMITS", "off")
            .env("MEILISEARCH_URL", "")
            .env("RUST_LOG", "warn")
            .envs(settings.iter().map(|(name, value)| (*name, value)))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", binary.display()))?;
        wait_until_it_listens(address).await?;
        Ok(Self { address, process })
    }

    /// What it has used of the processors.
    pub fn cpu(&self) -> Result<Duration> {
        crate::processes::cpu(self.process.id().unwrap_or(0))
    }

    /// The most resident memory so far.
    pub fn peak_memory_kb(&self) -> Result<u64> {
        peak_memory_kb(self.process.id().unwrap_or(0))
    }

    /// Resident memory.
    pub fn memory_kb(&self) -> Result<u64> {
        from_status(self.process.id().unwrap_or(0), "VmRSS:")
    }
}

/// The most resident memory that a process had so far.
pub fn peak_memory_kb(process: u32) -> Result<u64> {
    from_status(process, "VmHWM:")
}

fn from_status(process: u32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.with_context(|| format!("no {name}"))?.trim().trim_end_matches(" kB").parse()?)
}

pub async fn wait_until_it_listens(address: SocketAddr) -> Result<()> {
    for _ in 0..200 {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("nothing listens at {address}")
}
