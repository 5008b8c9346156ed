//! Why packing, or making a model, stopped. Nothing is left under the target's name.

use std::path::PathBuf;

use hotset_base::Bytes;
use hotset_format::{FormatError, store::StoreError};
use hotset_outputs::OutputError;

/// See the module's text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] FormatError),
    /// The store could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model's file could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Weights that no type can hold.
    #[error("tensor `{tensor}`: {reason}; the source is damaged")]
    Weights {
        /// Canonical name.
        tensor: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A packed source whose bytes are not those that were packed.
    #[error("tensor `{0}` of the source does not match its checksum")]
    SourceChecksum(String),
    /// A type was asked for a kind of tensor that is not there, or is never changed.
    #[error("`{kind}` is not a kind of tensor whose type can be chosen; those of this model are {kinds}")]
    Kind {
        /// As the user wrote it.
        kind: String,
        /// Those there are.
        kinds: String,
    },
    /// A shape that no synthetic model can have.
    #[error("{0}")]
    Shape(String),
    /// The file system is too full to begin.
    #[error(
        "{target}: the file needs {needed}, the file system has {free} free; free some space or choose another place"
    )]
    NoSpace {
        /// The file to be.
        target: PathBuf,
        /// Its size.
        needed: Bytes,
        /// What there is.
        free: Bytes,
    },
}
