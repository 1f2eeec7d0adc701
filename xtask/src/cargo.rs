//! Running cargo from inside cargo, and finding what it built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, Guardian};
use crate::{interrupt, workspace};

/// The cargo that runs us, in the workspace's folder.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo told us about our own package would look like a changed environment to some build scripts
    // (ring's), and rebuild half the tree.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text.starts_with("CARGO_BIN_")
        {
            command.env_remove(&name);
        }
    }
    command.current_dir(workspace::root());
    command
}

/// Whether `cargo <subcommand>` exists here.
pub fn has_subcommand(name: &str) -> bool {
    process::output(cargo().args([name, "--version"])).is_ok()
}

/// Runs a command in the foreground, passing on Ctrl-C and SIGTERM, and returns its exit code.
pub fn run_to_end(command: &mut Command) -> Result<u8> {
    use std::os::unix::process::CommandExt;
    let program = command.get_program().to_string_lossy().into_owned();
    // A group of its own, so that a signal reaches it once: from us, whether it came from a terminal or a script.
    let mut child = command
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("could not start {program}"))?;
    let _guardian = Guardian::over(child.id(), "TERM", None)?;
    loop {
        if let Some(status) = process::wait_at_most(&mut child, Duration::from_millis(100)) {
            interrupt::check()?;
            return Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
        }
        if interrupt::received().is_some() {
            let patience = Duration::from_secs(20);
            process::stop(&mut child, &[("TERM", patience), ("INT", Duration::from_secs(5))]);
            bail!("interrupted");
        }
    }
}

/// The two binaries of the product, freshly built.
#[derive(Debug)]
pub struct Binaries {
    /// commerce-api
    pub api: PathBuf,
    /// commerce-worker
    pub worker: PathBuf,
    /// The peers of the payment providers, if they were wanted.
    pub peers: Option<PathBuf>,
}

/// Where cargo puts what it builds.
pub fn target_dir() -> Result<PathBuf> {
    // We are target/debug/xtask ourselves, wherever CARGO_TARGET_DIR or a config file puts `target`.
    let own = std::env::current_exe().context("where is this program?")?;
    Ok(own.ancestors().nth(2).context("this program is not in a target folder")?.to_path_buf())
}

/// Builds the binaries with cargo's own progress display. All at once, so that what they share is built once.
pub fn build_binaries(release: bool, with_peers: bool) -> Result<Binaries> {
    let mut build = cargo();
    build.args(["build", "--bins", "--package", "commerce-api", "--package", "commerce-worker"]);
    if with_peers {
        build.args(["--package", "commerce-peers"]);
    }
    if release {
        build.arg("--release");
    }
    if run_to_end(&mut build)? != 0 {
        bail!("the build failed");
    }
    let folder = target_dir()?.join(if release { "release" } else { "debug" });
    Ok(Binaries {
        api: built(&folder, "commerce-api")?,
        worker: built(&folder, "commerce-worker")?,
        peers: with_peers.then(|| built(&folder, "commerce-peers")).transpose()?,
    })
}

fn built(folder: &Path, name: &str) -> Result<PathBuf> {
    let binary = folder.join(name);
    if !binary.is_file() {
        bail!("{} is missing after the build", binary.display());
    }
    Ok(binary)
}
