//! Files for tests to write, without the inputs of a command.

use std::path::Path;
use std::sync::Arc;

use hotset_outputs::{FileKind, Force, Outputs, PartialFile, Target};

/// A file that replaces whatever regular file is there.
///
/// # Panics
/// If it cannot be made.
pub fn claim(kind: FileKind, path: &Path) -> PartialFile {
    Outputs::new(Force::Yes).claim(kind, path).expect("a place to write")
}

/// The same for a file that is written again and again.
///
/// # Panics
/// If it cannot be made.
pub fn claim_repeated(kind: FileKind, path: &Path) -> Arc<Target> {
    Outputs::new(Force::Yes).claim_repeated(kind, path).expect("a place to write")
}
