//! Starting, signalling and outliving child processes, with the standard library and `sh`.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs a command to its end and returns what it printed; an error carries what it complained about.
pub fn output(command: &mut Command) -> Result<String> {
    filter(command, "")
}

/// The same, with `input` on the command's standard input.
pub fn filter(command: &mut Command, input: &str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start {program}"))?;
    if let Some(mut stdin) = child.stdin.take()
        && !input.is_empty()
    {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{program} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The user id this process acts as; 0 is root.
pub fn effective_user() -> Result<u32> {
    Ok(output(Command::new("id").arg("-u"))?.trim().parse()?)
}

/// Sends a signal (`"INT"`, `"TERM"`, …). A process that is gone already is no error.
pub fn signal(pid: u32, signal: &str) {
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {pid}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// Whether a process with this id exists (whoever owns it).
pub fn is_alive(pid: u32) -> bool {
    Command::new("ps")
        .args(["-p", &pid.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Waits until the child has ended or the time is over.
pub fn wait_at_most(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Err(_) => return None,
            Ok(None) if Instant::now() >= deadline => return None,
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Asks the child to end with the first signal, then insists with the next ones, and at last kills it.
pub fn stop(child: &mut Child, steps: &[(&str, Duration)]) {
    for (name, patience) in steps {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        signal(child.id(), name);
        if wait_at_most(child, *patience).is_some() {
            return;
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A shell that waits for this process to end.
///
/// `Drop` does not run when this process is killed outright; then the pipe closes and the shell stops the child and
/// removes its folder. In every other case it is sent away unused.
#[derive(Debug)]
pub struct Guardian(Child);

impl Guardian {
    /// Watches over `pid`; after an outright kill of this process it gets `signal`, and `folder` is removed.
    pub fn over(pid: u32, signal: &str, folder: Option<&Path>) -> Result<Self> {
        const SCRIPT: &str = r#"
            read -r _
            kill -"$2" "$1"
            n=0; while kill -0 "$1" && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done
            if [ -n "$3" ]; then rm -rf "$3"; fi"#;
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "guardian", &pid.to_string(), signal])
            .arg(folder.unwrap_or(Path::new("")))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("could not start sh")?;
        Ok(Self(child))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
