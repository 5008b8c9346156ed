//! Why a trace could not be read or written.

use std::io;
use std::path::{Path, PathBuf};

use hotset_outputs::OutputError;

/// See the module's text. Messages say what to do where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `open`, `read`, `write` ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Other first bytes.
    #[error("{0}: not a trace of hotset, nor a routing trace in CSV")]
    NotATrace(PathBuf),
    /// Another format version.
    #[error("{path}: trace format version {found}; this program reads versions 1 to {known}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Bytes that a whole trace cannot have.
    #[error("{path}: damaged at byte {offset}: {detail}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Of the block or section.
        offset: u64,
        /// What is wrong.
        detail: String,
    },
    /// A line of a CSV file that makes no sense.
    #[error("{path}: line {line}: {detail}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// More than this program takes.
    #[error("{path}: {detail}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What, and the limit.
        detail: String,
    },
    /// The file to write was refused.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The Parquet writer refused.
    #[error("cannot write {path}: {source}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: ::parquet::errors::ParquetError,
    },
}

impl TraceError {
    /// For `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
