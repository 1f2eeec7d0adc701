//! The programs that run until the shop is stopped, with their output marked by their name.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use super::settings::Settings;
use crate::process::{self, Guardian};
use crate::workspace;

/// How long a program may take to finish what it is doing.
const PATIENCE: Duration = Duration::from_secs(30);

/// One running program.
pub struct Child {
    name: &'static str,
    process: std::process::Child,
    output: Vec<JoinHandle<()>>,
    _guardian: Guardian,
}

impl Child {
    /// Its name and how it ended, once it has.
    pub fn ended(&mut self) -> Option<(&'static str, ExitStatus)> {
        let status = self.process.try_wait().ok().flatten()?;
        // Let the last lines come out before the reason is told.
        self.output.drain(..).for_each(|thread| drop(thread.join()));
        Some((self.name, status))
    }
}

/// All of them; dropping stops them.
#[derive(Default)]
pub struct Children(Vec<Child>);

impl Children {
    /// Starts a program with the settings in its environment.
    pub fn start(
        &mut self,
        name: &'static str,
        program: &Path,
        arguments: &[&str],
        settings: &Settings,
    ) -> Result<()> {
        let mut command = Command::new(program);
        command.args(arguments).envs(settings.for_children()).current_dir(workspace::root());
        if !std::io::stdout().is_terminal() {
            command.env("NO_COLOR", "1");
        }
        // A group of its own: Ctrl-C in the terminal reaches it through us, in order.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process =
            command.spawn().with_context(|| format!("could not start {}", program.display()))?;
        let guardian = Guardian::over(process.id(), "TERM", None)?;
        let mut output = Vec::new();
        output.extend(process.stdout.take().map(|stream| pass_on(name, stream)));
        output.extend(process.stderr.take().map(|stream| pass_on(name, stream)));
        self.0.push(Child { name, process, output, _guardian: guardian });
        Ok(())
    }

    /// Each of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Child> {
        self.0.iter_mut()
    }

    /// Asks all of them to end, together, and waits.
    pub fn stop(&mut self) {
        for child in &mut self.0 {
            if matches!(child.process.try_wait(), Ok(None)) {
                process::signal(child.process.id(), "TERM");
            }
        }
        for mut child in self.0.drain(..) {
            if process::wait_at_most(&mut child.process, PATIENCE).is_none() {
                println!("commerce-{} did not end within {} s: killed.", child.name, PATIENCE.as_secs());
                let _ = child.process.kill();
                let _ = child.process.wait();
            }
            child.output.drain(..).for_each(|thread| drop(thread.join()));
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Prints each line of a stream behind the program's name.
fn pass_on(name: &'static str, stream: impl Read + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line);
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{name:<6} │ {}", text.trim_end());
            let _ = out.flush();
            line.clear();
        }
    })
}
