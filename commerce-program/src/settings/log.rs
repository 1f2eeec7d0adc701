use clap::{Args, ValueEnum};

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Pretty,
    /// For machines: one JSON object in each line
    Json,
}

/// The log of the program.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs")]
pub struct LogSettings {
    /// Format of the log. RUST_LOG chooses what is logged
    #[arg(long, env = "COMMERCE_LOG_FORMAT", default_value = "pretty")]
    pub log_format: LogFormat,
}
