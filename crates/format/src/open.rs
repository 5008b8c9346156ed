//! Opening a model: the one place that knows all formats.

use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::directory::{self, Held};
use crate::file::open_file;
use crate::store::{self, MAGIC};
use crate::{Checkpoint, FormatError, ModelFile, gguf, huggingface, stand_in};

/// Opens a model of any format and checks everything but the weights. A directory is a Hugging Face
/// checkpoint or holds exactly one model file; files are told apart by their first bytes.
pub fn open(path: &Path) -> Result<Checkpoint, FormatError> {
    let metadata = std::fs::metadata(path).map_err(FormatError::io(path, "open"))?;
    if !metadata.is_dir() {
        return open_model_file(path);
    }
    match directory::look(path)? {
        Held::HuggingFace => huggingface::open(path),
        Held::File(path) => open_model_file(&path),
    }
}

fn open_model_file(path: &Path) -> Result<Checkpoint, FormatError> {
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
