//! A Chromium, and the program that drives it, for the tests that look at what a person sees.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt;

/// What a test needs to drive a browser.
#[derive(Debug)]
pub struct Browser {
    /// Chromium or Chrome.
    pub chromium: PathBuf,
    /// The WebDriver server of the same version.
    pub chromedriver: PathBuf,
}

impl Browser {
    /// `CHROMIUM_BIN` and `CHROMEDRIVER_BIN`, those on this machine, or Debian's packages, installed now.
    pub fn find_or_install() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        // Brings Chromium itself along.
        apt::install("chromium-driver")?;
        Self::find().context("Chromium was installed, but its programs cannot be found")
    }

    fn find() -> Option<Self> {
        let chromium = program(
            "CHROMIUM_BIN",
            &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
            &["Chromium.app/Contents/MacOS/Chromium", "Google Chrome.app/Contents/MacOS/Google Chrome"],
        )?;
        Some(Self { chromium, chromedriver: program("CHROMEDRIVER_BIN", &["chromedriver"], &[])? })
    }
}

/// The program a variable names, or the first of these names on PATH, or of these applications on a Mac.
fn program(variable: &str, names: &[&str], applications: &[&str]) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable).filter(|named| !named.is_empty()) {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let on_path = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let on_mac = applications.iter().map(|name| Path::new("/Applications").join(name));
    on_path.chain(on_mac).find(|program| program.is_file())
}
