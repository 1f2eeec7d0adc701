//! Where Postgres's own programs are on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt;
use crate::process;

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
        apt::install("postgresql")?;
        Self::all().into_iter().next().context("Postgres was installed, but its initdb cannot be found")
    }

    /// Every Postgres on this machine that is new enough: first the one on PATH, then the newest.
    pub fn all() -> Vec<Self> {
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
