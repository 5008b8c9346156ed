//! Whether a file is still the one that was opened.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

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
    pub(crate) fn difference(&self, now: &Self) -> Option<String> {
        if self.bytes != now.bytes {
            return Some(format!("its length was {} bytes and is {}", self.bytes, now.bytes));
        }
        if self.modified != now.modified {
            return Some("it was written to".to_owned());
        }
        (self != now).then(|| "it was written to, renamed or replaced".to_owned())
    }
}
