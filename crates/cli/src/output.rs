//! How the program speaks: results on standard output, everything else on standard error.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use hotset_base::Bytes;
use hotset_outputs::OutputError;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::llama_flags;

/// A mistake of the user's: exit code 2 instead of 1.
#[derive(Debug)]
pub struct Usage(pub String);

impl Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// What another process of ours has ended with; it has said why.
#[derive(Debug)]
pub struct Forwarded(pub u8);

impl Display for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with exit code {}", self.0)
    }
}

impl std::error::Error for Forwarded {}

/// Prints an error as one line and gives its exit code.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        // The reader has seen enough (`hotset ... | head`).
        return ExitCode::SUCCESS;
    }
    if let Some(Forwarded(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    let line = chain(error).replace(['\n', '\r'], " ");
    // Nothing is left to be done if standard error is closed.
    let _ = writeln!(io::stderr(), "error: {line}");
    if is_usage(error) { ExitCode::from(2) } else { ExitCode::from(1) }
}

/// Whether the user asked for something that could be known to be wrong before any work.
fn is_usage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Usage>().is_some()
        || error.downcast_ref::<OutputError>().is_some_and(OutputError::is_refusal)
}

/// An error and its causes; a cause that the error before it quotes is not said twice.
fn chain(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        match line.as_str() {
            "" => line = cause,
            said if said.ends_with(&cause) => {}
            _ => line = format!("{line}: {cause}"),
        }
    }
    line
}

/// Prints what clap has to say: help as it is, a mistake as one line.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help or version; a closed standard output is the reader's choice.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
        && let Some(answer) = llama_flags::absent(flag)
    {
        let _ = writeln!(io::stderr(), "error: {answer}");
        return ExitCode::from(2);
    }
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("For more information"));
    let told: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("Usage:")).collect();
    let _ = writeln!(io::stderr(), "{}; --help tells more", told.join(" ").replace(" tip:", "; tip:"));
    ExitCode::from(2)
}

/// Prints one JSON object on one line of standard output.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Prints a line on standard output.
pub fn print_line(line: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(())
}

/// Tells the user something beside the result.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A bar over bytes. Appears only on a terminal and only if the work takes longer than a moment.
pub fn byte_bar(what: &'static str, total: Bytes) -> ProgressBar {
    bar(what, total.0, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

/// A bar over countable things.
pub fn count_bar(what: &'static str, total: u64) -> ProgressBar {
    bar(what, total, "{msg} {wide_bar} {pos}/{len} {per_sec} {eta}")
}

fn bar(what: &'static str, total: u64, template: &str) -> ProgressBar {
    let target =
        if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style).with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// "1 context", "2 contexts".
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
