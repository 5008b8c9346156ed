//! Why an output was refused or could not be written.

use std::io;
use std::path::{Path, PathBuf};

/// See the module's text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Something is there that must not be replaced: wrong usage, found before any work.
    #[error("{path} {what}")]
    Refused {
        /// As the user wrote it.
        path: PathBuf,
        /// What it is, and what to do.
        what: String,
        /// Who offers force could replace it with that.
        force_would_help: bool,
    },
    /// Another process is writing the same target.
    #[error("{path}: another hotset is writing this file; wait for it or choose another name")]
    Locked {
        /// The target.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The target as the user wrote it.
        path: PathBuf,
        /// `create`, `write` ...
        action: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl OutputError {
    /// Whether the user named something that is not to be replaced.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    pub(crate) fn refused(path: &Path, what: impl Into<String>) -> Self {
        Self::Refused { path: path.to_owned(), what: what.into(), force_would_help: false }
    }

    /// For `map_err`.
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { path: path.to_owned(), action, source }
    }
}
