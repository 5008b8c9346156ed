//! What can go wrong with a token, and with loading.

use hotset_base::{BatchError, SequenceId};
use hotset_format::FormatError;
use hotset_policy::route::NotFinite;
use hotset_residency::PagerError;

/// Why a forward pass ended without logits. The model is usable afterwards.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// An expert could not be made ready.
    #[error(transparent)]
    Pager(#[from] PagerError),
    /// A router's scores were not numbers.
    #[error(transparent)]
    Router(#[from] NotFinite),
    /// Rows that are none of a pass.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// More rows than one pass takes.
    #[error("{rows} tokens are more than the {chunk} that one pass takes")]
    TooManyRows {
        /// How many came.
        rows: usize,
        /// How many there may be.
        chunk: usize,
    },
    /// Rows do not go on where their text ends.
    #[error("{sequence} goes on at position {position}, but its KV cache holds {held}")]
    Position {
        /// The text.
        sequence: SequenceId,
        /// Of its first row.
        position: u32,
        /// Positions that are held.
        held: usize,
    },
    /// The KV cache has no room for the tokens.
    #[error("the context is full: {used} tokens and {more} more do not fit {context}")]
    ContextFull {
        /// Positions in use.
        used: usize,
        /// Tokens asked for.
        more: usize,
        /// Positions there are.
        context: usize,
    },
    /// A row of the embedding table could not be read.
    #[error("cannot read the embedding in {path} at byte {offset}: {source}")]
    EmbeddingRead {
        /// The file.
        path: std::path::PathBuf,
        /// Where the read started.
        offset: u64,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A row of the embedding table is not what it was when the model was opened.
    #[error("the embedding of token {id} in {path} has changed since the model was opened")]
    EmbeddingChecksum {
        /// The file.
        path: std::path::PathBuf,
        /// The token.
        id: u32,
    },
    /// A token id the model has no embedding for.
    #[error("token id {id} is not in the vocabulary of {vocab}")]
    UnknownToken {
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
}

/// Why the dense weights could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes could not be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The bytes are not those that were packed.
    #[error("{path}: tensor `{name}` does not match its checksum: the file was damaged or changed")]
    Checksum {
        /// The file.
        path: std::path::PathBuf,
        /// The tensor.
        name: String,
    },
    /// The system gave no memory.
    #[error("cannot map {bytes} for the dense weights: {source}")]
    Memory {
        /// How much was asked for.
        bytes: hotset_base::Bytes,
        /// What the operating system said.
        source: std::io::Error,
    },
}
