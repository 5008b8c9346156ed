//! Whether a file is still the one that was opened.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use crate::{Checkpoint, FormatError, ModelFile};

/// What the file system says of a file and changes with its content. The time of its last change of any
/// kind is among it, for that of its content can be set back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// What differs first, for people.
    fn difference(&self, now: &Self) -> Option<String> {
        if self.bytes != now.bytes {
            return Some(format!("its length was {} bytes and is {}", self.bytes, now.bytes));
        }
        if self.modified != now.modified {
            return Some("it was written to".to_owned());
        }
        (self != now).then(|| "it was written to, renamed or replaced".to_owned())
    }
}

impl ModelFile {
    /// Refuses a file that changed since it was opened.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] that says what changed.
    pub fn check_unchanged(&self) -> Result<(), FormatError> {
        let now = self.file.metadata().map_err(FormatError::io(&self.path, "look at"))?;
        match self.stamp.difference(&Stamp::of(&now)) {
            None => Ok(()),
            Some(what) => Err(FormatError::malformed(
                &self.path,
                format!(
                    "changed while it was in use ({what}): what was made of it is of two models; do it again"
                ),
            )),
        }
    }
}

impl Checkpoint {
    /// Refuses a model any of whose files changed since it was opened.
    ///
    /// # Errors
    /// As [`ModelFile::check_unchanged`].
    pub fn check_unchanged(&self) -> Result<(), FormatError> {
        self.files.iter().try_for_each(ModelFile::check_unchanged)
    }
}
