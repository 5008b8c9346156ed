//! Reading what the user named; errors name it.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Error, Result};
use hotset_base::Bytes;

use crate::output::Usage;

/// A text file, or what a pipe of the shell gives.
pub fn text(path: &Path, limit: Bytes) -> Result<String> {
    hotset_inputs::read_text(path, limit).map_err(|error| refused(path, error))
}

/// The same, to be read by and by.
pub fn stream(path: &Path) -> Result<File> {
    hotset_inputs::open_stream(path).map_err(|error| refused(path, error))
}

/// The same as bytes.
pub fn bytes(path: &Path, limit: Bytes) -> Result<Vec<u8>> {
    hotset_inputs::read(path, limit).map_err(|error| refused(path, error))
}

/// What a file is, the user could have known; what the system says, not.
fn refused(path: &Path, error: io::Error) -> Error {
    let line = format!("cannot read {}: {error}", path.display());
    if hotset_inputs::is_refusal(&error) { Usage(line).into() } else { Error::msg(line) }
}
