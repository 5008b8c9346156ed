//! What a user can do about an error. Libraries say what is wrong; which flag or command helps, only this
//! program knows.

use std::borrow::Cow;
use std::error::Error;

use anyhow::anyhow;
use hotset_base::Bytes;
use hotset_convert::PackError;
use hotset_engine::{EngineError, ForwardError, LoadError, NotFinite, PagerError, PlanError, Setting};
use hotset_format::FormatError;
use hotset_format::store::StoreError;
use hotset_ledger::LedgerError;
use hotset_outputs::OutputError;
use hotset_replay::ReplayError;
use hotset_text::TemplateError;
use hotset_trace::TraceError;

/// What to add to an error's line, punctuation first; nothing if there is nothing to advise.
pub fn of(error: &anyhow::Error) -> Cow<'static, str> {
    error.chain().find_map(of_cause).unwrap_or_default()
}

/// An error that is the only one, with its advice.
pub fn told<E: Advise + Error>(error: &E) -> String {
    format!("{error}{}", error.advice().unwrap_or_default())
}

/// An error about which something can be done.
pub trait Advise {
    /// See [`of`].
    fn advice(&self) -> Option<Cow<'static, str>>;
}

/// A setting outside its range, told by its flag as the user wrote it; other errors as they are.
pub fn by_flag(error: EngineError) -> anyhow::Error {
    match error {
        EngineError::Plan(PlanError::OutOfRange { setting, value, range }) => {
            anyhow!("{} {value} is out of range: {range}", flag(setting))
        }
        error => error.into(),
    }
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    macro_rules! first_of {
        ($($error:ty),+) => {
            None$(.or_else(|| cause.downcast_ref::<$error>().and_then(Advise::advice)))+
        };
    }
    first_of!(
        EngineError,
        PlanError,
        ForwardError,
        LoadError,
        PagerError,
        NotFinite,
        FormatError,
        StoreError,
        PackError,
        TraceError,
        ReplayError,
        LedgerError,
        OutputError,
        TemplateError
    )
}

fn say(text: &'static str) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(text))
}

impl Advise for EngineError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Format(error) => error.advice(),
            Self::Load(error) => error.advice(),
            Self::Plan(error) => error.advice(),
            Self::Forward(error) => error.advice(),
            Self::Trace(error) => error.advice(),
            Self::Ledger(error) => error.advice(),
            Self::LockMemory(_) => say("; raise the limit with ulimit -l, or leave --mlock out"),
            Self::PromptTooLong { .. } | Self::PromptOverContext { .. } => say(" or raise -c/--ctx-size"),
            _ => None,
        }
    }
}

impl Advise for PlanError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::TooSmall { smallest, .. } => {
                let hint = as_flag(*smallest);
                Some(format!(". Use --memory {hint} or more, or a smaller -c/--ctx-size").into())
            }
            Self::UnknownMemory => say(": say how much to take, e.g. --memory 8GiB"),
            Self::LruBelowCycle { .. } => say(". Use --evict lfu or least-stale, or more --memory"),
            _ => None,
        }
    }
}

impl Advise for ForwardError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Pager(error) => error.advice(),
            Self::Router(error) => error.advice(),
            Self::ContextFull { .. } => say("; raise -c/--ctx-size"),
            Self::EmbeddingRead { .. } => say(". Check the disk"),
            Self::EmbeddingChecksum { .. } => say(". Run `hotset verify`"),
            _ => None,
        }
    }
}

impl Advise for LoadError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Format(error) => error.advice(),
            Self::Checksum { .. } => say(". Run `hotset verify` and pack or copy the model again"),
            _ => None,
        }
    }
}

impl Advise for PagerError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Read { .. } => say(". Check the disk and run `hotset verify`"),
            Self::Checksum { .. } => say(". Run `hotset verify` and pack or copy the model again"),
            _ => None,
        }
    }
}

impl Advise for NotFinite {
    fn advice(&self) -> Option<Cow<'static, str>> {
        say("; run `hotset verify`")
    }
}

impl Advise for FormatError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        if let Self::Store(error) = self { error.advice() } else { None }
    }
}

impl Advise for StoreError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Damaged { .. } => say("; run `hotset verify` or pack the model again"),
            Self::Output(error) => error.advice(),
            _ => None,
        }
    }
}

impl Advise for PackError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Source(error) => error.advice(),
            Self::Store(error) => error.advice(),
            Self::Output(error) => error.advice(),
            Self::SourceChecksum(_) => say("; run `hotset verify` on it"),
            Self::Kind { .. } => say(" (--tensor-type)"),
            _ => None,
        }
    }
}

impl Advise for TraceError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NotATrace(_) => say("; record one with --trace"),
            Self::Output(error) => error.advice(),
            _ => None,
        }
    }
}

impl Advise for ReplayError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Trace(error) => error.advice(),
            Self::Router(error) => error.advice(),
            Self::NothingDecoded => say("; replay it with --phase all"),
            Self::NeedsScores => say("; leave --router out to replay what was chosen"),
            Self::NeedsKnownDemand => say("; leave --router out, or belady"),
            _ => None,
        }
    }
}

impl Advise for LedgerError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        if let Self::Save(error) = self { error.advice() } else { None }
    }
}

impl Advise for OutputError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Refused { force_would_help: true, .. } => say("; --force overwrites it"),
            _ => None,
        }
    }
}

impl Advise for TemplateError {
    fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Raised(_) => say("; give another one with --chat-template-file"),
            _ => None,
        }
    }
}

/// The flag of a setting.
fn flag(setting: Setting) -> &'static str {
    match setting {
        Setting::Chunk => "--ubatch-size",
        Setting::Threads => "--threads",
        Setting::Sessions => "--parallel",
        Setting::Context => "--ctx-size",
        Setting::ExpertsPerLayer => "--experts-per-layer",
        Setting::ReadDepth => "--read-depth",
        Setting::Lookahead => "--lookahead",
    }
}

/// So much memory and a little more, as one would type it.
fn as_flag(bytes: Bytes) -> String {
    format!("{}MiB", bytes.0.div_ceil(1 << 20) + 1)
}

/// Where the system refuses memory: told by the allocator.
pub const MEMORY_REFUSED: &str =
    "raise the limit (ulimit -v), take a smaller --memory, or close other programs\n";
