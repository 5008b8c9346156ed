//! Running the `hotset` command on an input.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use wait4::Wait4;

use crate::target::{LONGEST_REFUSAL, Outcome, Used, Verdict};

/// Names of the files that what it says goes to. Files: a pipe that nobody empties would stop it.
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// The command, in `dir`, without settings from the environment.
pub fn hotset(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(dir).stdin(Stdio::null());
    command
}

/// Runs it to its end; what it prints goes to files in `said`.
///
/// # Errors
/// If it ended by a panic or a signal, or with an exit code that has no meaning, or said too much or nothing.
pub fn run(mut command: Command, said: &Path) -> Result<(Outcome, i32), String> {
    // A child's peak begins at that of the process it was started from: back to what this one has now.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let create = |name| File::create(said.join(name)).map_err(|e| e.to_string());
    command.stdout(create(STDOUT)?).stderr(create(STDERR)?);
    let mut child = command.spawn().map_err(|e| format!("cannot start hotset: {e}"))?;
    let end = child.wait4().map_err(|e| e.to_string())?;
    let read = |name| std::fs::read(said.join(name)).map_err(|e| e.to_string());
    let (stdout, stderr) = (read(STDOUT)?, String::from_utf8_lossy(&read(STDERR)?).into_owned());
    let last = stderr.lines().last().unwrap_or_default().to_owned();
    if stderr.contains("panicked at") {
        return Err(format!("panicked: {stderr}"));
    }
    if let Some(line) = stderr.lines().find(|line| line.len() > LONGEST_REFUSAL) {
        return Err(format!("a line of {} bytes on standard error", line.len()));
    }
    let Some(code @ 0..=2) = end.status.code() else {
        return Err(format!("ended with {}: {last}", end.status));
    };
    if code > 0 && last.is_empty() {
        return Err("it failed without a word".to_owned());
    }
    if stdout.starts_with(b"{") && !stdout.ends_with(b"}\n") {
        return Err("JSON that is not whole on standard output".to_owned());
    }
    let verdict = if code == 0 { Verdict::Accepted } else { Verdict::Refused(last) };
    let used = Used { cpu: end.rusage.utime + end.rusage.stime, peak: end.rusage.maxrss };
    Ok((Outcome { verdict, used: Some(used) }, code))
}
