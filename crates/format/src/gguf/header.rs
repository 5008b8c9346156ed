//! One file's header: metadata and tensor table, every number checked against the file.

use std::collections::BTreeMap;

use hotset_base::{FileId, WeightType, checked_extent, limits};

use super::config;
use super::cursor::Cursor;
use super::keys::ARCHITECTURE_KEY;
use super::metadata::Metadata;
use crate::assemble::Declared;
use crate::{FormatError, ModelFile, stand_in};

const MAGIC: u32 = u32::from_le_bytes(*b"GGUF");
/// Ids that ik_llama.cpp gives to types that ggml does not have.
const FORK_TYPES: [std::ops::RangeInclusive<u32>; 4] = [133..=158, 202..=233, 335..=352, 398..=399];
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;
const DEFAULT_ALIGNMENT: u64 = 32;
const ALIGNMENTS: std::ops::RangeInclusive<u64> = 8..=1 << 20;
/// Least bytes of a pair (empty key, one-byte value) and of a tensor entry (empty name, one dimension).
const PAIR_BYTES: u64 = 8 + 4 + 1;
const ENTRY_BYTES: u64 = 8 + 4 + 8 + 4 + 8;

/// A tensor entry before its extent is known to lie in the file.
struct Entry {
    name: String,
    /// Innermost dimension first, as the file has them.
    dims: Vec<u64>,
    kind: u32,
    offset: u64,
}

/// Reads the header of one file.
pub(super) fn read(
    file: &ModelFile,
    id: FileId,
) -> Result<(Metadata, BTreeMap<String, Declared>), FormatError> {
    let mut cursor = Cursor::new(file)?;
    if file.bytes.0 < 4 || cursor.u32()? != MAGIC {
        let what = stand_in::of_weights(file).unwrap_or_else(|| "is not a GGUF file".to_owned());
        return Err(FormatError::malformed(&file.path, what));
    }
    check_version(file, cursor.u32()?)?;
    let (tensors, pairs) = (cursor.u64()?, cursor.u64()?);
    cursor.check_room("the metadata", pairs, PAIR_BYTES)?;
    cursor.check_room("the tensor table", tensors, ENTRY_BYTES)?;
    if pairs > limits::MAX_METADATA_PAIRS as u64 || tensors > limits::MAX_TENSORS as u64 {
        return Err(cursor.error(format_args!(
            "{pairs} metadata pairs and {tensors} tensors are more than any model has"
        )));
    }
    let metadata = Metadata::read(&mut cursor, pairs)?;
    // Later parts of a split need not name an architecture. One that is named is checked before the
    // tensors: others have other weight types too, and those would be the wrong thing to complain of.
    if metadata.has(ARCHITECTURE_KEY) {
        config::architecture(&file.path, &metadata)?;
    }
    let alignment = alignment(file, &metadata)?;
    let entries = (0..tensors).map(|_| read_entry(&mut cursor)).collect::<Result<Vec<_>, _>>()?;
    let data = cursor
        .position()
        .checked_next_multiple_of(alignment)
        .ok_or_else(|| cursor.error("the data would start past 2^64"))?;
    let mut table = BTreeMap::new();
    for entry in entries {
        let declared = declared(file, id, data, alignment, &entry)?;
        if table.contains_key(&entry.name) {
            return Err(FormatError::tensor(&file.path, &entry.name, "is there twice"));
        }
        table.insert(entry.name, declared);
    }
    check_overlap(file, &table)?;
    Ok((metadata, table))
}

fn check_version(file: &ModelFile, version: u32) -> Result<(), FormatError> {
    if VERSIONS.contains(&version) {
        return Ok(());
    }
    let what = if VERSIONS.contains(&version.swap_bytes()) {
        "big-endian GGUF".to_owned()
    } else {
        format!("GGUF version {version}")
    };
    Err(FormatError::unsupported(&file.path, what, "little-endian GGUF, versions 2 and 3"))
}

fn alignment(file: &ModelFile, metadata: &Metadata) -> Result<u64, FormatError> {
    let alignment = metadata.number(&file.path, "general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() || !ALIGNMENTS.contains(&alignment) {
        let (least, most) = ALIGNMENTS.into_inner();
        let what =
            format!("general.alignment is {alignment}; it must be a power of two from {least} to {most}");
        return Err(FormatError::malformed(&file.path, what));
    }
    Ok(alignment)
}

fn read_entry(cursor: &mut Cursor<'_>) -> Result<Entry, FormatError> {
    let name = cursor.string("a tensor name", limits::MAX_NAME_BYTES)?;
    let count = cursor.u32()?;
    if count == 0 || count as usize > limits::MAX_DIMS {
        let name = crate::printable::printable(&name);
        return Err(cursor.error(format_args!("tensor `{name}` has {count} dimensions, it must have 1 to 4")));
    }
    let dims = (0..count).map(|_| cursor.u64()).collect::<Result<_, _>>()?;
    Ok(Entry { name, dims, kind: cursor.u32()?, offset: cursor.u64()? })
}

fn declared(
    file: &ModelFile,
    id: FileId,
    data: u64,
    alignment: u64,
    entry: &Entry,
) -> Result<Declared, FormatError> {
    let wrong = |what: String| FormatError::tensor(&file.path, &entry.name, what);
    let ty = WeightType::from_ggml_id(entry.kind)
        .ok_or_else(|| FormatError::weight_type(&file.path, &entry.name, &type_name(entry.kind)))?;
    if entry.dims.contains(&0) {
        return Err(wrong(format!("has an empty shape {:?}", entry.dims)));
    }
    let row = usize::try_from(entry.dims[0]).ok().and_then(|cols| ty.row_bytes(cols));
    let row = row.ok_or_else(|| {
        let (cols, block) = (entry.dims[0], ty.block_weights());
        wrong(format!("has rows of {cols} weights, which are not whole {ty} blocks of {block}"))
    })?;
    let rows = entry.dims[1..].iter().try_fold(1u64, |n, &d| n.checked_mul(d));
    let rows = rows.ok_or_else(|| wrong(format!("has a shape {:?} that overflows", entry.dims)))?;
    if !entry.offset.is_multiple_of(alignment) {
        return Err(wrong(format!("starts at {}, which is not a multiple of {alignment}", entry.offset)));
    }
    let offset = data.saturating_add(entry.offset);
    let extent = checked_extent(id, offset, rows, row.0, file.bytes.0)
        .map_err(|error| FormatError::extent(&file.path, &entry.name, &error))?;
    Ok(Declared { shape: entry.dims.iter().rev().copied().collect(), ty, extent })
}

/// Names of ggml types that are not supported, for the message.
fn type_name(kind: u32) -> String {
    let known = [
        (4, "Q4_2"),
        (5, "Q4_3"),
        (9, "Q8_1"),
        (15, "Q8_K"),
        (16, "IQ2_XXS"),
        (17, "IQ2_XS"),
        (18, "IQ3_XXS"),
        (19, "IQ1_S"),
        (21, "IQ3_S"),
        (22, "IQ2_S"),
        (24, "I8"),
        (25, "I16"),
        (26, "I32"),
        (27, "I64"),
        (28, "F64"),
        (29, "IQ1_M"),
        (31, "Q4_0_4_4"),
        (32, "Q4_0_4_8"),
        (33, "Q4_0_8_8"),
        (34, "TQ1_0"),
        (35, "TQ2_0"),
        (36, "IQ4_NL_4_4"),
        (37, "IQ4_NL_4_8"),
        (38, "IQ4_NL_8_8"),
        (39, "MXFP4"),
        (40, "NVFP4"),
        (41, "Q1_0"),
        (42, "Q2_0"),
    ];
    match known.iter().find(|(id, _)| *id == kind) {
        Some((_, name)) => format!("{name} (id {kind})"),
        None if FORK_TYPES.iter().any(|ids| ids.contains(&kind)) => {
            format!("id {kind} (one of ik_llama.cpp's own)")
        }
        None => format!("id {kind}"),
    }
}

fn check_overlap(file: &ModelFile, table: &BTreeMap<String, Declared>) -> Result<(), FormatError> {
    let mut order: Vec<(&String, &Declared)> = table.iter().collect();
    order.sort_by_key(|(_, tensor)| tensor.extent.offset);
    for pair in order.windows(2) {
        let ((before, first), (name, second)) = (pair[0], pair[1]);
        if second.extent.offset < first.extent.end() {
            let what = format!("overlaps `{}`: the file is damaged", crate::printable::printable(before));
            return Err(FormatError::tensor(&file.path, name, what));
        }
    }
    Ok(())
}
