//! What stands under a name, and whether it may go.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, Stat};

use crate::kind::HEAD;
use crate::{FileKind, OutputError, PARTIAL_MARK};

/// What tells a file from all others, under whatever name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl From<&Stat> for FileId {
    fn from(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// What may be replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Replace {
    /// Nothing.
    Nothing,
    /// A file that begins as the kind that is written.
    SameKind,
    /// Any regular file: the user said so.
    AnyFile,
}

/// Refuses what stands at `at` (links are resolved already) and may not be replaced; gives what may. `shown`
/// is the user's name for it; a refusal says if force would lift it.
///
/// Allocates only to refuse: trust ledgers are judged while decoding.
pub(crate) fn judge(
    at: &Path,
    shown: &Path,
    kind: FileKind,
    replace: Replace,
    force_would_help: bool,
) -> Result<Option<Metadata>, OutputError> {
    let Some(metadata) = look(at).map_err(OutputError::io("look at", shown))? else { return Ok(None) };
    refuse_special(&metadata, shown)?;
    match replace {
        Replace::AnyFile => Ok(Some(metadata)),
        Replace::Nothing => {
            let what = if force_would_help { "exists" } else { "exists; choose another name" };
            Err(OutputError::Refused { path: shown.to_owned(), what: what.to_owned(), force_would_help })
        }
        Replace::SameKind => {
            let (head, length) = head(at).map_err(OutputError::io("look at", shown))?;
            if head[..length].starts_with(kind.begins()) {
                return Ok(Some(metadata));
            }
            let (is, kind) = (describe(&head[..length]), kind.name());
            let what = format!("is {is}, not {kind}, and is not replaced; choose another name");
            Err(OutputError::Refused { path: shown.to_owned(), what, force_would_help })
        }
    }
}

/// Refuses what is no regular file.
pub(crate) fn refuse_special(metadata: &Metadata, shown: &Path) -> Result<(), OutputError> {
    if metadata.is_file() {
        return Ok(());
    }
    let what = format!("is {} and is not replaced; choose another name", special(metadata.file_type()));
    Err(OutputError::refused(shown, what))
}

/// What is there, links not followed.
pub(crate) fn look(at: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(at) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first bytes of a regular file, and how many there are.
fn head(at: &Path) -> io::Result<([u8; HEAD], usize)> {
    // It was a regular file a moment ago: should it be a FIFO now, opening it does not wait.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    read_head(&OpenOptions::new().read(true).custom_flags(flags).open(at)?)
}

pub(crate) fn read_head(mut file: &File) -> io::Result<([u8; HEAD], usize)> {
    let (mut head, mut length) = ([0; HEAD], 0);
    while length < HEAD {
        match file.read(&mut head[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((head, length))
}

/// A file by its first bytes, for people.
pub(crate) fn describe(head: &[u8]) -> &'static str {
    if head.is_empty() {
        return "an empty file";
    }
    if head.starts_with(&PARTIAL_MARK) {
        return "an unfinished file of hotset";
    }
    let text = head.utf8_chunks().next().is_some_and(|chunk| {
        // The last character may be cut off.
        chunk.valid().len() + 3 >= head.len() && !chunk.valid().contains('\0')
    });
    FileKind::of(head).map_or(if text { "a text file" } else { "a file of another kind" }, FileKind::name)
}

fn special(file: FileType) -> &'static str {
    if file.is_dir() {
        "a directory"
    } else if file.is_fifo() {
        "a FIFO"
    } else if file.is_symlink() {
        "a symbolic link"
    } else if file.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
