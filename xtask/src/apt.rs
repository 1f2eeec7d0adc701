//! Installing what a fresh Debian lacks.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::process;

/// Installs a Debian package and says so; elsewhere the error tells what to install.
pub fn install(package: &str) -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "{package} is not installed. Please install it (macOS: `brew install {package}`) and try again"
        );
    }
    let root = process::effective_user()? == 0;
    let may_sudo = || process::output(Command::new("sudo").args(["-n", "true"])).is_ok();
    if !root && !may_sudo() {
        bail!("{package} is not installed. Please run `sudo apt-get install {package}` and try again");
    }
    println!("Installing Debian's package `{package}` with apt-get …");
    let apt = |arguments: &[&str], complaints: Stdio| {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if !root {
            command.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints);
        command.status().is_ok_and(|status| status.success())
    };
    let install = ["install", "--yes", "--no-install-recommends", package];
    // A fresh machine has no package lists yet, and one that is behind asks for versions that are gone.
    if apt(&install, Stdio::null()) || (apt(&["update"], Stdio::inherit()) && apt(&install, Stdio::inherit()))
    {
        return Ok(());
    }
    bail!("apt-get could not install `{package}`; please install it by hand and try again")
}
