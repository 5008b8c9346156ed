//! A model file: opened once, read in pieces, known again.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotset_base::{Bytes, Extent, FileId, limits};
use rustix::fs::{Advice, fadvise};

use crate::{FormatError, Stamp};

/// An open model file. Its length was read once, when it was opened; every extent lies inside it.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// Where it was found, for messages.
    pub path: PathBuf,
    /// Opened for reading.
    pub file: Arc<File>,
    /// Length when opened.
    pub bytes: Bytes,
    /// What else was said of it then.
    pub stamp: Stamp,
}

/// Most bytes of the page cache that one read of ours fills before it asks for them to be dropped.
const PIECE: usize = 4 << 20;

/// Reads an extent whole into `buf`, which has its length, and leaves nothing of it in the page cache:
/// the caller keeps what it needs, and a second copy would count against its memory promise.
pub fn read_extent(files: &[ModelFile], extent: &Extent, buf: &mut [u8]) -> Result<(), FormatError> {
    let file = &files[extent.file.index()];
    let mut offset = extent.offset;
    for piece in buf.chunks_mut(PIECE) {
        file.file.read_exact_at(piece, offset).map_err(|source| file.read_error(extent, source))?;
        // Advice: a file system that does not know it costs memory, not correctness.
        let _ = fadvise(&*file.file, offset, NonZeroU64::new(piece.len() as u64), Advice::DontNeed);
        offset += piece.len() as u64;
    }
    Ok(())
}

impl ModelFile {
    /// What to tell the user when an extent could not be read.
    pub fn read_error(&self, extent: &Extent, source: io::Error) -> FormatError {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => FormatError::malformed(
                &self.path,
                format!(
                    "bytes {} to {} are not there any more: the file shrank from {} bytes while in use",
                    extent.offset,
                    extent.end(),
                    self.bytes.0
                ),
            ),
            _ => FormatError::Io { path: self.path.clone(), action: "read", source },
        }
    }

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

/// Opens a regular file and reads its length, once.
pub(crate) fn open_file(path: &Path) -> Result<ModelFile, FormatError> {
    let file = hotset_inputs::open(path).map_err(FormatError::io(path, "open"))?;
    let metadata = file.metadata().map_err(FormatError::io(path, "open"))?;
    let (bytes, stamp) = (Bytes(metadata.len()), Stamp::of(&metadata));
    Ok(ModelFile { path: path.to_owned(), file: Arc::new(file), bytes, stamp })
}

/// Reads a small file whole; `None` if it is not there.
pub(crate) fn read_small(path: &Path, limit: Bytes) -> Result<Option<Vec<u8>>, FormatError> {
    let file = match open_file(path) {
        Err(FormatError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let bytes = hotset_inputs::read_file(&file.file, limit).map_err(FormatError::io(path, "read"))?;
    file.check_unchanged()?;
    Ok(Some(bytes))
}

/// Adds a file to a model's list.
pub(crate) fn push_file(files: &mut Vec<ModelFile>, file: ModelFile) -> Result<FileId, FormatError> {
    if files.len() == limits::MAX_FILES {
        return Err(FormatError::malformed(
            &file.path,
            format!("a model has at most {} files", limits::MAX_FILES),
        ));
    }
    files.push(file);
    Ok(FileId((files.len() - 1) as u16))
}
