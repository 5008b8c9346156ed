//! One file or several: the index, and the agreement between it and the shards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use hotset_base::limits;
use serde::Deserialize;

use super::absent::{self, INDEX, SINGLE, is_there};
use super::json::Pairs;
use super::safetensors;
use crate::assemble::Declared;
use crate::file::{open_file, push_file, read_small};
use crate::{FormatError, ModelFile};

#[derive(Deserialize)]
struct Index {
    /// Tensor to shard.
    weight_map: Pairs<String, { limits::MAX_TENSORS }>,
}

/// Every tensor of the directory's shards, each found exactly once and where the index says.
pub(super) fn read(dir: &Path) -> Result<(Vec<ModelFile>, BTreeMap<String, Declared>), FormatError> {
    let index_path = dir.join(INDEX);
    let Some(bytes) = read_small(&index_path, limits::MAX_TABLE_FILE)? else {
        if !is_there(&dir.join(SINGLE)) {
            return Err(absent::no_weights(dir)?);
        }
        return gather(dir, &BTreeSet::from([SINGLE.to_owned()]), None);
    };
    let Index { weight_map: Pairs(entries) } = super::parse::parse(&index_path, &bytes)?;
    let mut index = BTreeMap::new();
    for (tensor, shard) in entries {
        check_shard_name(&index_path, &shard)?;
        if index.insert(tensor.clone(), shard).is_some() {
            return Err(FormatError::tensor(&index_path, &tensor, "is listed twice"));
        }
    }
    let shards: BTreeSet<String> = index.values().cloned().collect();
    gather(dir, &shards, Some(&index))
}

/// A shard lies beside its index: a name with directories in it is not one.
fn check_shard_name(index: &Path, shard: &str) -> Result<(), FormatError> {
    let mut parts = Path::new(shard).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None)
            if !shard.contains(|c: char| c.is_control() || c == '/' || c == '\\') =>
        {
            Ok(())
        }
        _ => {
            let what = format!(
                "names the shard `{}`, which is not a plain file name",
                crate::printable::printable(shard)
            );
            Err(FormatError::malformed(index, what))
        }
    }
}

fn gather(
    dir: &Path,
    shards: &BTreeSet<String>,
    index: Option<&BTreeMap<String, String>>,
) -> Result<(Vec<ModelFile>, BTreeMap<String, Declared>), FormatError> {
    absent::check_shards(dir, shards)?;
    let mut files = Vec::new();
    let mut tensors: BTreeMap<String, Declared> = BTreeMap::new();
    for shard in shards {
        let path = dir.join(shard);
        let id = push_file(&mut files, open_file(&path)?)?;
        for (name, tensor) in safetensors::read(&files[id.index()], id)? {
            check_listed(&path, shard, &name, index)?;
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(FormatError::tensor(
                    &path,
                    &name,
                    "is there twice: remove or get the checkpoint again",
                ));
            }
        }
    }
    let missing = index.and_then(|index| index.iter().find(|(name, _)| !tensors.contains_key(*name)));
    match missing {
        None => Ok((files, tensors)),
        Some((name, shard)) => Err(FormatError::tensor(
            &dir.join(shard),
            name,
            "is missing although the index lists it; get the file again",
        )),
    }
}

fn check_listed(
    path: &Path,
    shard: &str,
    name: &str,
    index: Option<&BTreeMap<String, String>>,
) -> Result<(), FormatError> {
    let Some(index) = index else { return Ok(()) };
    match index.get(name) {
        Some(listed) if listed == shard => Ok(()),
        Some(listed) => {
            let what = format!(
                "is also listed in {}: shards and index disagree",
                crate::printable::printable(listed)
            );
            Err(FormatError::tensor(path, name, what))
        }
        None => Err(FormatError::tensor(
            path,
            name,
            format!("is not listed in {INDEX}: shards and index disagree"),
        )),
    }
}
