use clap::{Args, ValueEnum};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Pretty,
    /// For machines: one JSON object a line
    Json,
}

/// What is written about the program's work.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs")]
pub struct LogSettings {
    /// How log lines look; RUST_LOG chooses what is logged
    #[arg(long, env = "COMMERCE_LOG_FORMAT", default_value = "pretty")]
    pub log_format: LogFormat,
}
