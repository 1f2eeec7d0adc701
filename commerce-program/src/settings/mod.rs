//! Settings: each is a flag and an environment variable. `--help` of the programs is the reference.

mod database;
mod log;
mod media;
mod payments;
mod search;
mod secret_key;
mod shop;

use anyhow::Context as _;

pub use database::DatabaseSettings;
pub use log::{LogFormat, LogSettings};
pub use media::MediaSettings;
pub use payments::PaymentSettings;
pub use search::SearchSettings;
pub use secret_key::SecretKeySettings;
pub use shop::ShopArguments;

/// Reads the file `.env` in the working directory. Variables of the environment take precedence. The file may
/// be missing, but if it is there it must be readable.
pub fn read_env_file() -> anyhow::Result<()> {
    match dotenvy::dotenv() {
        Err(error) if !error.not_found() => Err(error).context("the file .env cannot be read"),
        _ => Ok(()),
    }
}
