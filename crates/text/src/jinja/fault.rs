//! Why a rendering ended early.

/// Boxed by nobody: the longest variant is one string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What Python or Jinja2 would raise, in their words where they are short.
    Failed(String),
    /// `raise_exception(message)`.
    Raised(String),
    /// The work of a rendering is used up.
    Work,
    /// Values take more memory than a rendering may have.
    Memory,
    /// The text is longer than a prompt may be.
    Output,
    /// Whoever asked for the rendering no longer wants it.
    Cancelled,
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// A failure in these words.
pub(crate) fn fail<T>(what: impl Into<String>) -> Result<T> {
    Err(Fault::Failed(what.into()))
}
