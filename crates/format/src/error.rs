//! Why a model file was refused. Every message is one line: what, where, what to do.

use std::io;
use std::path::{Path, PathBuf};

use hotset_base::{ExtentError, WeightType};

use crate::printable::printable;
use crate::store::StoreError;

/// See the module's text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The operating system failed a call.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// `open`, `read` ...
        action: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// None of the three formats.
    #[error(
        "{path}: {what}; hotset reads a GGUF file, a Hugging Face directory (config.json and safetensors) and a packed store"
    )]
    UnknownFormat {
        /// The file or directory.
        path: PathBuf,
        /// What was found instead.
        what: String,
    },
    /// A file whose structure is damaged, truncated or hostile.
    #[error("{path}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which part, and what is wrong with it.
        what: String,
    },
    /// Something real that hotset does not do.
    #[error("{path}: {what} is not supported; supported: {supported}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What the file asks for.
        what: String,
        /// What would do.
        supported: String,
    },
    /// A tensor that is missing, there twice, of the wrong shape, cut off, or unknown.
    #[error("{path}: tensor `{tensor}` {what}")]
    Tensor {
        /// The file, or the model's directory where no file has the tensor.
        path: PathBuf,
        /// Its name in the file.
        tensor: String,
        /// What is wrong.
        what: String,
    },
    /// A packed store was refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FormatError {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    pub(crate) fn malformed(path: &Path, what: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), what: what.into() }
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>, supported: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_owned(), what: what.into(), supported: supported.into() }
    }

    pub(crate) fn tensor(path: &Path, tensor: &str, what: impl Into<String>) -> Self {
        Self::Tensor { path: path.to_owned(), tensor: printable(tensor), what: what.into() }
    }

    pub(crate) fn extent(path: &Path, tensor: &str, error: &ExtentError) -> Self {
        Self::tensor(path, tensor, format!("{error}; get the file again"))
    }

    pub(crate) fn weight_type(path: &Path, tensor: &str, what: &str) -> Self {
        let supported = WeightType::supported_names();
        Self::tensor(
            path,
            tensor,
            format!("has weight type {what}, which is not supported; supported: {supported}"),
        )
    }
}
