//! How the program speaks: results on standard output, everything else on standard error.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Once;
use std::time::{Duration, Instant};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use hotset_base::Bytes;
use hotset_base::limits::MAX_ERROR_LINE;
use hotset_outputs::OutputError;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::advice;
use crate::console::{Console, Shown, is_acted_on};
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

/// An exit code whose reason has been said, by us or by another process of ours.
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
    complain(error);
    if is_usage(error) { ExitCode::from(2) } else { ExitCode::from(1) }
}

/// Whether the user asked for something that could be known to be wrong before any work.
fn is_usage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Usage>().is_some()
        || error.downcast_ref::<OutputError>().is_some_and(OutputError::is_refusal)
}

/// Prints an error as one line.
pub fn complain(error: &anyhow::Error) {
    tell(&format!("error: {}", told(error)));
}

/// An error, its causes, and what can be done about it.
pub fn told(error: &anyhow::Error) -> String {
    format!("{}{}", chain(error), advice::of(error))
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

/// Prints one line on standard error, short and without what a terminal would act on wherever it goes: such
/// lines are kept and looked at later.
fn tell(text: &str) {
    let line = text.replace(['\n', '\r'], " ");
    let line = Shown(&line).to_string();
    // Nothing is left to be done if standard error is closed.
    let _ = Console::Err.print_line(shortened(&line));
}

/// A line of at most [`MAX_ERROR_LINE`] with its newline: of a longer one its middle is left out, for the end says
/// what to do.
fn shortened(line: &str) -> Cow<'_, str> {
    const TAIL: usize = 1000;
    const GAP: &str = " ... ";
    if line.len() < MAX_ERROR_LINE {
        return Cow::Borrowed(line);
    }
    let cut = |mut at: usize, step: isize| {
        while !line.is_char_boundary(at) {
            at = at.wrapping_add_signed(step);
        }
        at
    };
    let (head, tail) = (MAX_ERROR_LINE - 1 - GAP.len() - TAIL, line.len() - TAIL);
    Cow::Owned(format!("{}{GAP}{}", &line[..cut(head, -1)], &line[cut(tail, 1)..]))
}

/// Prints what clap has to say: help as it is, a mistake as one line.
pub fn usage(error: &clap::Error) -> ExitCode {
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
        && let Some(answer) = llama_flags::absent(flag)
    {
        tell(&format!("error: {answer}"));
        return ExitCode::from(2);
    }
    let text = error.render().to_string();
    if !error.use_stderr() {
        // Help or version.
        return Console::Out.print(&text).map_or_else(|error| fail(&error.into()), |()| ExitCode::SUCCESS);
    }
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("For more information"));
    let told: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("Usage:")).collect();
    tell(&format!("{}; --help tells more", told.join(" ").replace(" tip:", "; tip:")));
    ExitCode::from(2)
}

/// Prints one JSON object on one line of standard output: whole, or not at all if it cannot be made.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(value)?;
    if Console::Out.is_terminal() && text.contains(is_acted_on) {
        // What JSON lets stand in a string and a terminal would act on: as JSON writes it.
        let shown = |c| if is_acted_on(c) { format!("\\u{:04x}", u32::from(c)) } else { String::from(c) };
        text = text.chars().map(shown).collect();
    }
    print_line(text)
}

/// A path in JSON: U+FFFD stands for bytes that are no UTF-8, which JSON cannot hold.
pub fn json_path<S: serde::Serializer>(path: &impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.as_ref().display())
}

/// Prints a line on standard output.
pub fn print_line(line: impl Display) -> anyhow::Result<()> {
    Ok(Console::Out.print_line(line)?)
}

/// Tells the user something beside the result.
pub fn note(line: impl Display) {
    // Nothing is left to be done if standard error is closed.
    let _ = Console::Err.print_line(line);
}

/// Tells the user, in one line, that something is not as asked for or expected.
pub fn warn(line: impl Display) {
    tell(&format!("warning: {line}"));
}

/// A bar over bytes.
pub fn byte_bar(what: &'static str, total: Bytes) -> Bar {
    Bar::new(what, total.0, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

/// A bar over countable things.
pub fn count_bar(what: &'static str, total: u64) -> Bar {
    Bar::new(what, total, "{msg} {wide_bar} {pos}/{len} {per_sec} {eta}")
}

/// A bar appears only on a terminal, and only if the work takes longer than a moment. It is drawn when it moves: a
/// thread that draws it would be one that the system may refuse.
pub struct Bar {
    bar: ProgressBar,
    begun: Instant,
    shown: Once,
}

impl Bar {
    const MOMENT: Duration = Duration::from_millis(200);

    fn new(what: &'static str, total: u64, template: &str) -> Self {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let bar = bar.with_style(style).with_message(what);
        Self { bar, begun: Instant::now(), shown: Once::new() }
    }

    fn appear(&self) {
        if self.begun.elapsed() >= Self::MOMENT && Console::Err.is_terminal() {
            self.shown.call_once(|| self.bar.set_draw_target(ProgressDrawTarget::stderr()));
        }
    }

    /// So much more is done.
    pub fn inc(&self, more: u64) {
        self.appear();
        self.bar.inc(more);
    }

    /// So much is done.
    pub fn set_position(&self, done: u64) {
        self.appear();
        self.bar.set_position(done);
    }

    /// The work is over.
    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// "1 context", "2 contexts".
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let quoted = anyhow::Error::from(gone()).context(format!("x: cannot open: {}", gone()));
        assert_eq!(chain(&quoted), format!("x: cannot open: {}", gone()));
        assert_eq!(chain(&anyhow!("b").context("a")), "a: b");
        let empty: anyhow::Result<()> = Err(anyhow!("b")).context("");
        assert_eq!(chain(&empty.unwrap_err()), "b");
    }

    #[test]
    fn a_long_line_loses_its_middle_between_two_characters() {
        for unit in ["x", "\u{e9}", "\u{2014}", "\u{1f600}"] {
            for more in 0..9 {
                let line = format!("{}{}; get it again", "y".repeat(more), unit.repeat(30_000));
                let short = shortened(&line);
                assert!(short.len() < MAX_ERROR_LINE && short.len() > MAX_ERROR_LINE - 20, "{}", short.len());
                assert!(short.ends_with("; get it again") && short.contains(" ... "));
            }
        }
        let fits = "x".repeat(MAX_ERROR_LINE - 1);
        assert_eq!(shortened(&fits), fits);
        assert_eq!(shortened(&"x".repeat(MAX_ERROR_LINE)).len(), MAX_ERROR_LINE - 1);
    }
}
