//! What a request is told when an expert cannot be made ready.

use hotset_base::ExpertKey;

/// An expert could not be made ready, although its read was tried twice. The request ends; the
/// engine goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PagerError {
    /// The bytes did not arrive.
    #[error("expert {key}: cannot read {path} at byte {offset}: {source}")]
    Read {
        /// The expert.
        key: ExpertKey,
        /// The file.
        path: std::path::PathBuf,
        /// Where the read started.
        offset: u64,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The bytes arrived and are not those that were packed (or read before).
    #[error("expert {key}: {part} of {path} does not match its checksum: the file was damaged or changed")]
    Checksum {
        /// The expert.
        key: ExpertKey,
        /// `gate`, `up` or `down`.
        part: &'static str,
        /// The file.
        path: std::path::PathBuf,
    },
}
