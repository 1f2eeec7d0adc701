//! Where things are in this checkout.

use std::path::{Path, PathBuf};

/// The folder of the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// The git-ignored folder for everything that running the shop leaves behind.
pub fn state_dir() -> PathBuf {
    root().join(".commerce")
}
