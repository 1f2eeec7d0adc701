use clap::Args;
use commerce_core::accounts::SecretKey;

/// The shop's secret.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Secrets")]
pub struct SecretKeySettings {
    /// At least 32 random bytes in base64 (`openssl rand -base64 32`), the same for API and worker. Mailed
    /// codes are derived from it
    #[arg(long, env = "COMMERCE_SECRET_KEY", hide_env_values = true, value_parser = SecretKey::parse)]
    pub secret_key: SecretKey,
}
