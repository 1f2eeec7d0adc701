//! A Chromium for the tests that look at what a person sees.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::apt;

/// The browser's program: `CHROMIUM_BIN`, one on this machine, or Debian's package, installed now.
pub fn find_or_install() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    apt::install("chromium")?;
    find().context("Chromium was installed, but its program cannot be found")
}

fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM_BIN") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let on_path = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let applications =
        ["Chromium.app/Contents/MacOS/Chromium", "Google Chrome.app/Contents/MacOS/Google Chrome"];
    let on_mac = applications.iter().map(|name| PathBuf::from("/Applications").join(name));
    on_path.chain(on_mac).find(|program| program.is_file())
}
