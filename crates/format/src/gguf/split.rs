//! Split files: `NAME-00001-of-00003.gguf` and its siblings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hotset_base::limits;

use super::header;
use super::metadata::Metadata;
use crate::assemble::Declared;
use crate::file::{open_file, push_file};
use crate::{FormatError, ModelFile};

type Parts = (Vec<ModelFile>, Metadata, BTreeMap<String, Declared>);

/// Reads a file and, if it is one of several, the others. The metadata is the first part's.
pub(super) fn read(path: &Path) -> Result<Parts, FormatError> {
    let mut files = Vec::new();
    let id = push_file(&mut files, open_file(path)?)?;
    let (metadata, tensors) = header::read(&files[id.index()], id)?;
    match metadata.number(path, "split.count")? {
        None | Some(0 | 1) => Ok((files, metadata, tensors)),
        Some(count) if count <= limits::MAX_FILES as u64 => read_parts(path, count),
        Some(count) => {
            Err(FormatError::malformed(path, format!("split.count {count} is more than any model has")))
        }
    }
}

fn read_parts(path: &Path, count: u64) -> Result<Parts, FormatError> {
    let mut files = Vec::new();
    let mut first = None;
    let mut tensors: BTreeMap<String, Declared> = BTreeMap::new();
    for number in 0..count {
        let part = part_path(path, number, count)?;
        if !part.exists() {
            let what = format!("part {} of {count} is missing: {} is not there", number + 1, part.display());
            return Err(FormatError::malformed(path, what));
        }
        let id = push_file(&mut files, open_file(&part)?)?;
        let (metadata, of_part) = header::read(&files[id.index()], id)?;
        check_number(&part, &metadata, number, count)?;
        for (name, tensor) in of_part {
            if tensors.contains_key(&name) {
                return Err(FormatError::tensor(&part, &name, "is in two parts of the split"));
            }
            tensors.insert(name, tensor);
        }
        first.get_or_insert(metadata);
    }
    let metadata = first.ok_or_else(|| FormatError::malformed(path, "has no parts"))?;
    match metadata.number(path, "split.tensors.count")? {
        Some(declared) if declared != tensors.len() as u64 => {
            let what = format!("declares {declared} tensors in all parts, there are {}", tensors.len());
            Err(FormatError::malformed(path, what))
        }
        _ => Ok((files, metadata, tensors)),
    }
}

fn check_number(part: &Path, metadata: &Metadata, number: u64, count: u64) -> Result<(), FormatError> {
    let found = (metadata.number(part, "split.no")?, metadata.number(part, "split.count")?);
    if found == (Some(number), Some(count)) {
        return Ok(());
    }
    let what = format!(
        "should be part {} of {count}, but its header says otherwise: parts were mixed up",
        number + 1
    );
    Err(FormatError::malformed(part, what))
}

/// The name of a part, from that of any other.
fn part_path(any: &Path, number: u64, count: u64) -> Result<PathBuf, FormatError> {
    let name = any.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let tail = format!("-of-{count:05}.gguf");
    let stem = stem(name, &tail).ok_or_else(|| {
        let what = format!(
            "is one of {count} parts but not named like one (NAME-00001{tail}): the others cannot be found"
        );
        FormatError::malformed(any, what)
    })?;
    Ok(any.with_file_name(format!("{stem}-{:05}{tail}", number + 1)))
}

/// `NAME` of `NAME-00001-of-00003.gguf`.
fn stem<'n>(name: &'n str, tail: &str) -> Option<&'n str> {
    let (stem, digits) = name.strip_suffix(tail)?.rsplit_once('-')?;
    is_number(digits).then_some(stem)
}

fn is_number(digits: &str) -> bool {
    digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit())
}

/// One name for all parts of a split set; `None` if a file is not named like a part.
pub(crate) fn set_name(name: &str) -> Option<String> {
    let (_, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let tail = format!("-of-{count}.gguf");
    is_number(count).then(|| stem(name, &tail))?.map(|stem| format!("{stem}-*{tail}"))
}
