//! Why a ledger could not be read or written.

use std::io;
use std::path::{Path, PathBuf};

use hotset_outputs::OutputError;

/// See the module's text. Messages say what to do where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `open`, `read` ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new file could not be written; the old one is as it was.
    #[error("the trust ledger is not saved: {0}")]
    Save(OutputError),
    /// Other first bytes.
    #[error("{0}: not a trust ledger")]
    NotALedger(PathBuf),
    /// Another format version.
    #[error("{path}: trust ledger format version {found}; this program reads version {known}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Bytes that a whole ledger cannot have.
    #[error("{path}: damaged: {detail}; delete it and a new one is learnt")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Learnt from another model.
    #[error("{path}: learnt from another model ({detail}); give this model a ledger of its own")]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// How it differs.
        detail: String,
    },
}

impl LedgerError {
    /// For `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
