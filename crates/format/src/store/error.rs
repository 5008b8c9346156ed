//! What can be wrong with a store.

use std::io;
use std::path::PathBuf;

use hotset_base::{Bytes, ExpertKey};
use hotset_outputs::OutputError;

/// Why a store was refused or could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system failed a call.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The store.
        path: PathBuf,
        /// `open`, `read`, `write` ...
        action: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// Not a store at all.
    #[error("{path}: not a hotset store: it does not begin with the store magic")]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version or for another machine.
    #[error("{path}: {what} {found} is not supported; this hotset reads {supported}. Pack the model again")]
    Unsupported {
        /// The store.
        path: PathBuf,
        /// `format version`, `byte order` or `weight layout`.
        what: &'static str,
        /// What the file says.
        found: u32,
        /// What this program reads.
        supported: u32,
    },
    /// A model of an architecture that this program does not run.
    #[error("{path}: architecture `{found}` is not supported; this hotset runs {supported}")]
    Architecture {
        /// The store.
        path: PathBuf,
        /// Its name in the metadata.
        found: String,
        /// Names of those that are.
        supported: String,
    },
    /// A section does not match its checksum or contradicts itself.
    #[error("{path}: the {section} is damaged ({detail})")]
    Damaged {
        /// The store.
        path: PathBuf,
        /// `header`, `metadata`, `dense table`, `expert table`.
        section: &'static str,
        /// What does not fit.
        detail: String,
    },
    /// The file is shorter or longer than its header says.
    #[error("{path}: {state}: {what} ends at byte {end}, the file has {actual}; copy or pack it again")]
    WrongLength {
        /// The store.
        path: PathBuf,
        /// `store truncated` or `trailing bytes`.
        state: &'static str,
        /// `record L12/E77`, `the store` ...
        what: String,
        /// Where it should end.
        end: u64,
        /// Where the file ends.
        actual: u64,
    },
    /// A dense tensor's bytes do not match.
    #[error("{path}: tensor `{name}` does not match its checksum; pack the model again")]
    TensorChecksum {
        /// The store.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A part of an expert does not match.
    #[error("{path}: record {key}, {part} does not match its checksum; pack the model again")]
    PartChecksum {
        /// The store.
        path: PathBuf,
        /// The expert.
        key: ExpertKey,
        /// `gate`, `up` or `down`.
        part: &'static str,
    },
    /// Bytes that must be zero are not.
    #[error("{path}: padding at byte {offset} is not zero: the file was altered; pack the model again")]
    Padding {
        /// The store.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// The store's file could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The shapes asked for cannot be written.
    #[error("cannot lay out the store: {0}")]
    Layout(String),
    /// A caller gave the writer the wrong number of bytes.
    #[error("{what}: has {actual}, its shape needs {expected}")]
    WrongPayload {
        /// Tensor or part.
        what: String,
        /// What was given.
        actual: Bytes,
        /// What the shape needs.
        expected: Bytes,
    },
}
