//! Ctrl-C, SIGTERM and a closed terminal, turned into a flag that waiting loops look at.
//!
//! Nothing is killed from inside a signal handler: whoever waits sees the flag, returns, and its owner's `Drop`
//! stops the children in the right order.
//!
//! A signal that was ignored when this process began stays ignored: `nohup` ignores the closed terminal, and a shell lets
//! what a script starts in the background ignore Ctrl-C.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Begins to listen. From here on the signals no longer end this process by themselves.
pub fn listen() -> Result<()> {
    let received = RECEIVED.get_or_init(Arc::default);
    // Only Linux tells.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if is_ignored(signal, &status) {
            continue;
        }
        signal_hook::flag::register_usize(signal, Arc::clone(received), usize::try_from(signal)?)?;
    }
    Ok(())
}

/// The signal that asked this process to end, if one did.
pub fn received() -> Option<usize> {
    match RECEIVED.get().map(|signal| signal.load(Ordering::Relaxed)) {
        None | Some(0) => None,
        Some(signal) => Some(signal),
    }
}

/// The name of the signal that asked this process to end, if one did.
pub fn reason() -> Option<&'static str> {
    match i32::try_from(received()?).ok()? {
        SIGINT => Some("SIGINT (Ctrl-C)"),
        SIGTERM => Some("SIGTERM"),
        SIGHUP => Some("SIGHUP (the terminal was closed)"),
        _ => Some("a signal"),
    }
}

/// Whether the process with this `/proc/…/status` ignores the signal.
fn is_ignored(signal: i32, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// An error once the person has asked this process to end.
pub fn check() -> Result<()> {
    if received().is_some() {
        bail!("interrupted");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// As `nohup` starts a program.
    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_ignored_at_the_start_is_known() {
        let status = |trap: &str| {
            let script = format!("{trap} exec cat /proc/self/status");
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let ignoring = status("trap '' HUP INT;");
        assert!(is_ignored(SIGHUP, &ignoring) && is_ignored(SIGINT, &ignoring), "{ignoring}");
        assert!(!is_ignored(SIGTERM, &ignoring), "{ignoring}");
        assert!(!is_ignored(SIGTERM, &status("")) && !is_ignored(SIGHUP, ""));
    }
}
