//! Opening and reading model files.

use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use hotset_base::{Bytes, Extent, limits};
use rustix::fs::{Advice, fadvise};

use crate::store::{self, MAGIC};
use crate::{Checkpoint, FormatError, ModelFile, Stamp, directory, gguf, stand_in};

/// Opens a model of any format and checks everything but the weights. A directory is a Hugging Face
/// checkpoint or holds exactly one model file; files are told apart by their first bytes.
pub fn open(path: &Path) -> Result<Checkpoint, FormatError> {
    let metadata = std::fs::metadata(path).map_err(FormatError::io(path, "open"))?;
    if metadata.is_dir() {
        return directory::open(path);
    }
    let mut magic = [0; 8];
    let file = open_file(path)?;
    let length = magic.len().min(file.bytes.index());
    file.file.read_exact_at(&mut magic[..length], 0).map_err(FormatError::io(path, "read"))?;
    match magic {
        MAGIC => Ok(store::open(path)?),
        [b'G', b'G', b'U', b'F', ..] => gguf::open(path),
        _ => Err(not_a_model(path, &file)),
    }
}

/// Names what somebody took for a model.
fn not_a_model(path: &Path, file: &ModelFile) -> FormatError {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let unknown = |what: &str| FormatError::UnknownFormat { path: path.to_owned(), what: what.to_owned() };
    if let Some(what) = stand_in::of_file(file) {
        return FormatError::malformed(path, what);
    }
    if matches!(extension, "safetensors" | "json" | "jinja") {
        return unknown("one file of a Hugging Face checkpoint: name the directory it lies in");
    }
    match stand_in::of_weights(file) {
        Some(what) => FormatError::malformed(path, what),
        None => unknown("neither GGUF nor a packed store by its first bytes"),
    }
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
pub(crate) fn push_file(
    files: &mut Vec<ModelFile>,
    file: ModelFile,
) -> Result<hotset_base::FileId, FormatError> {
    if files.len() == limits::MAX_FILES {
        return Err(FormatError::malformed(
            &file.path,
            format!("a model has at most {} files", limits::MAX_FILES),
        ));
    }
    files.push(file);
    Ok(hotset_base::FileId((files.len() - 1) as u16))
}
