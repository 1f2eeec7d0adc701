//! The account Postgres runs as when we are root, since it refuses to run as root.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// A user and its group.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// `None` when we are an ordinary user and Postgres simply runs as us.
    pub fn to_drop_to() -> Result<Option<Self>> {
        if process::effective_user()? != 0 {
            return Ok(None);
        }
        let id = |flag| -> Result<u32> {
            let printed = process::output(Command::new("id").args([flag, "postgres"]))
                .context("Postgres refuses to run as root and there is no user `postgres` to run it as")?;
            Ok(printed.trim().parse()?)
        };
        Ok(Some(Self { uid: id("-u")?, gid: id("-g")? }))
    }

    /// Whether this account can reach the folder, or the nearest parent that exists.
    pub fn can_reach(self, folder: &Path) -> bool {
        let Some(existing) = folder.ancestors().find(|ancestor| ancestor.is_dir()) else { return false };
        let mut test = Command::new("test");
        test.arg("-x").arg(existing).uid(self.uid).gid(self.gid).current_dir("/");
        test.status().is_ok_and(|status| status.success())
    }
}

/// Makes the command run as the account, if there is one to drop to.
pub fn as_account(command: &mut Command, account: Option<Account>) -> &mut Command {
    match account {
        Some(Account { uid, gid }) => command.uid(uid).gid(gid).env("HOME", "/").env("USER", "postgres"),
        None => command,
    }
}
