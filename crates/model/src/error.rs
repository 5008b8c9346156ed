//! What can go wrong with a token, and with loading.

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
    /// The KV cache has no room for the tokens.
    #[error("the context is full: {used} tokens and {more} more do not fit {context}; raise -c/--ctx-size")]
    ContextFull {
        /// Positions in use.
        used: usize,
        /// Tokens asked for.
        more: usize,
        /// Positions there are.
        context: usize,
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
    #[error(
        "{path}: tensor `{name}` does not match its checksum: the file was damaged or changed. Run `hotset verify` and pack or copy the model again"
    )]
    Checksum {
        /// The file.
        path: std::path::PathBuf,
        /// The tensor.
        name: String,
    },
}
