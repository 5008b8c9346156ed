//! Weights that are not there: which, how many, and what lies there instead.

use std::collections::BTreeSet;
use std::path::Path;

use hotset_base::limits;

use crate::FormatError;
use crate::printable::printable;

/// Which file holds which tensor, where there are several.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// The file with all tensors, where there is one.
pub(super) const SINGLE: &str = "model.safetensors";

/// Whether a file can be looked for under this name; if that fails, opening it says why.
pub(super) fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// Names the first shard that is not there and counts the others.
pub(super) fn check_shards(dir: &Path, shards: &BTreeSet<String>) -> Result<(), FormatError> {
    let missing = |shard: &&String| !is_there(&dir.join(shard.as_str()));
    let count = shards.iter().filter(missing).count();
    let Some(at) = shards.iter().position(|shard| missing(&shard)) else { return Ok(()) };
    let path = dir.join(shards.iter().nth(at).expect("a position among them"));
    let which = format!("shard {} of {}", at + 1, shards.len());
    let others = match count {
        1 => String::new(),
        _ => format!(" and {} more of the shards that {INDEX} lists are", count - 1),
    };
    // A cache of downloads links to files that may be gone.
    let link = if path.is_symlink() { ", a link to a file that is not there" } else { "" };
    let be = if count == 1 { " is" } else { "" };
    Err(FormatError::malformed(&path, format!("{which}{others}{be} missing{link}: download what is missing")))
}

/// Endings of files that hold weights in forms that are not read.
const OTHER_WEIGHTS: [&str; 9] =
    [".bin", ".pth", ".pt", ".ckpt", ".h5", ".msgpack", ".onnx", ".npz", ".bin.index.json"];
/// Endings that programs give to downloads until they are complete.
const UNFINISHED: [&str; 7] =
    [".incomplete", ".part", ".partial", ".crdownload", ".download", ".aria2", ".tmp"];

/// Why a directory with a config.json has neither `model.safetensors` nor an index of shards.
pub(super) fn no_weights(dir: &Path) -> Result<FormatError, FormatError> {
    let names = names(dir)?;
    let ends = |name: &&String, endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let first = |endings: &[&str]| names.iter().find(|name| ends(name, endings)).map(|name| printable(name));
    if dir.join(SINGLE).is_symlink() {
        let what = "is missing, a link to a file that is not there: download it";
        return Ok(FormatError::malformed(&dir.join(SINGLE), what));
    }
    let shards =
        names.iter().filter(|name| name.starts_with("model-") && name.ends_with(".safetensors")).count();
    if shards > 0 {
        let what =
            format!("is missing, which says what is in the {shards} shards beside it: download it too");
        return Ok(FormatError::malformed(&dir.join(INDEX), what));
    }
    if names.iter().any(|name| name.starts_with("adapter_model.")) {
        let what = "an adapter (LoRA) without its model";
        return Ok(FormatError::unsupported(
            dir,
            what,
            "whole models: merge the adapter into its model first",
        ));
    }
    if let Some(name) = first(&[".safetensors"]) {
        let what = format!("has no model.safetensors and no {INDEX}, only `{name}`, which neither names");
        return Ok(FormatError::malformed(dir, what));
    }
    if let Some(name) = first(&UNFINISHED) {
        let what = format!("has no model.safetensors, only `{name}`, a download that did not finish");
        return Ok(FormatError::malformed(dir, what));
    }
    if let Some(name) = first(&OTHER_WEIGHTS) {
        let what = format!("has no model.safetensors, only `{name}`: weights in that form");
        let supported = "safetensors (`save_pretrained` of transformers writes them) and GGUF";
        return Ok(FormatError::unsupported(dir, what, supported));
    }
    Ok(FormatError::malformed(dir, "has no weights: model.safetensors is missing; download it"))
}

/// What a directory without a config.json and without a model file has instead.
pub(crate) fn without_config(dir: &Path) -> Result<String, FormatError> {
    let names = names(dir)?;
    let first = |endings: &[&str]| {
        let ends = |name: &&String| endings.iter().any(|ending| name.ends_with(ending));
        names.iter().find(ends).map(|name| printable(name))
    };
    let none = "a directory without config.json, .gguf or .hotset file";
    Ok(if names.contains("adapter_config.json") {
        "an adapter (LoRA) without its model".to_owned()
    } else if let Some(name) = first(&[".safetensors", ".safetensors.index.json"]) {
        format!("a directory with `{name}` but without config.json")
    } else if let Some(name) = first(&UNFINISHED) {
        format!("{none}, only `{name}`, a download that did not finish")
    } else if let Some(name) = first(&OTHER_WEIGHTS) {
        format!("{none}, only `{name}`")
    } else {
        none.to_owned()
    })
}

/// Names in the directory, in order, as many as a model may have files.
fn names(dir: &Path) -> Result<BTreeSet<String>, FormatError> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir).map_err(FormatError::io(dir, "list"))?.take(limits::MAX_FILES) {
        let entry = entry.map_err(FormatError::io(dir, "list"))?;
        names.insert(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}
