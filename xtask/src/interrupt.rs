//! Ctrl-C, SIGTERM and a closed terminal, turned into a flag that waiting loops look at.
//!
//! Nothing is killed from inside a signal handler: whoever waits sees the flag, returns, and its owner's `Drop`
//! stops the children in the right order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Begins to listen. From here on the signals no longer end this process by themselves.
pub fn listen() -> Result<()> {
    let received = RECEIVED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
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

/// An error once the person has asked this process to end.
pub fn check() -> Result<()> {
    if received().is_some() {
        bail!("interrupted");
    }
    Ok(())
}
