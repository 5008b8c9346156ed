//! A directory as a model: a Hugging Face checkpoint, or the one model file that lies in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::gguf::set_name;
use crate::{FormatError, huggingface};

/// What a directory holds.
pub(crate) enum Held {
    /// A Hugging Face checkpoint: the directory itself.
    HuggingFace,
    /// One model file, or a part of one split set.
    File(PathBuf),
}

/// Finds what a directory holds. One with a config.json is a checkpoint, whatever lies beside it, unless it
/// has model files and no safetensors: makers of GGUF files publish the config.json along with them.
pub(crate) fn look(dir: &Path) -> Result<Held, FormatError> {
    let refuse = |what: String| Err(FormatError::UnknownFormat { path: dir.to_owned(), what });
    let configured = dir.join("config.json").is_file();
    if configured && huggingface::has_weights(dir) {
        return Ok(Held::HuggingFace);
    }
    let models = models(dir)?;
    let mut names = models.keys();
    match (names.next(), names.next()) {
        (None, _) if configured => Ok(Held::HuggingFace),
        (None, _) => refuse(huggingface::without_config(dir)?),
        (Some(name), None) => Ok(Held::File(models[name].clone())),
        (Some(one), Some(other)) => {
            let [one, other] = [one, other].map(|name| crate::printable::printable(name));
            refuse(format!("a directory with several models, `{one}` and `{other}`: name one of them"))
        }
    }
}

/// Up to two model files by name; the parts of a split set are one.
fn models(dir: &Path) -> Result<BTreeMap<String, PathBuf>, FormatError> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(FormatError::io(dir, "list"))? {
        let path = entry.map_err(FormatError::io(dir, "list"))?.path();
        let known = [Some(OsStr::new("gguf")), Some(OsStr::new("hotset"))].contains(&path.extension());
        if !known || !path.is_file() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.insert(set_name(&name).unwrap_or(name), path);
        if found.len() > 1 {
            break;
        }
    }
    Ok(found)
}
