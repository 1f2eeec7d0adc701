//! Logs: one line for each event, to standard error.

use std::io::{self, IsTerminal as _, Write};

use commerce_core::text::is_hidden;
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogSettings};

/// Starts logging. The variable `RUST_LOG` chooses what is logged. Without it, `filter` does.
pub fn start(settings: &LogSettings, filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Visible(io::stderr()))
        .with_ansi(io::stderr().is_terminal());
    match settings.log_format {
        LogFormat::Pretty => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

/// Writes characters that change how a terminal shows a line as `\u009b`. That is also right in JSON.
///
/// Line breaks end the lines, and colours are sequences that begin with U+001B. tracing-subscriber escapes the
/// latter in what is logged.
struct Visible<W>(W);

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_kept = |c: char| !is_hidden(c) || matches!(c, '\n' | '\t' | '\u{1b}');
        // A line is written in one piece, so no character is cut.
        let text = String::from_utf8_lossy(line);
        if text.chars().all(is_kept) {
            self.0.write_all(line)?;
        } else {
            let mut visible = String::with_capacity(line.len() + 16);
            for c in text.chars() {
                if is_kept(c) {
                    visible.push(c);
                } else {
                    visible.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
            }
            self.0.write_all(visible.as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_a_terminal_is_made_visible() {
        let mut written = Vec::new();
        let line = "\u{1b}[32m INFO\u{1b}[0m path=/a\u{9b}31m\u{202e}b\u{7f}\r é\n";
        Visible(&mut written).write_all(line.as_bytes()).unwrap();
        let expected = "\u{1b}[32m INFO\u{1b}[0m path=/a\\u009b31m\\u202eb\\u007f\\u000d é\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
