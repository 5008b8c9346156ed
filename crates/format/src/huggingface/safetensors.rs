//! The header of one safetensors file. Format: 8 bytes of header length, a JSON object, the data.
//!
//! Read with our own visitor rather than into a map, so that a name that occurs twice is an error and
//! not the last one of the two.

use std::fmt;
use std::os::unix::fs::FileExt;

use hotset_base::{Bytes, FileId, WeightType, checked_extent, limits};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::json::Few;
use crate::assemble::Declared;
use crate::{FormatError, ModelFile, other_forms, stand_in};

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    /// One more than there may be, so that the tensor is named that has more.
    shape: Few<u64, { limits::MAX_DIMS + 1 }>,
    data_offsets: (u64, u64),
}

/// Entries in the order of the file, repeats included.
struct Header(Vec<(String, Entry)>);

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if entries.len() == limits::MAX_TENSORS || name.len() > limits::MAX_NAME_BYTES {
                return Err(serde::de::Error::custom("more tensors or longer names than any model has"));
            }
            entries.push((name, map.next_value()?));
        }
        Ok(Header(entries))
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// The tensors of one file, with their extents checked: together they must cover the data exactly.
pub(super) fn read(file: &ModelFile, id: FileId) -> Result<Vec<(String, Declared)>, FormatError> {
    let path = &file.path;
    let mut length = [0; 8];
    let wrong = |what: &str| {
        FormatError::malformed(path, stand_in::of_weights(file).unwrap_or_else(|| what.to_owned()))
    };
    if file.bytes.0 < 8 {
        return Err(wrong("is too short for a safetensors file; get it again"));
    }
    file.file.read_exact_at(&mut length, 0).map_err(FormatError::io(path, "read"))?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > limits::MAX_SAFETENSORS_HEADER.0 {
        return Err(wrong(&format!(
            "declares a header of {header_bytes} bytes, more than the format allows"
        )));
    }
    if header_bytes == 0 {
        return Err(wrong("declares no header: it is not a safetensors file"));
    }
    let header = checked_extent(id, 8, header_bytes, 1, file.bytes.0)
        .map_err(|error| FormatError::malformed(path, format!("the header {error}; get the file again")))?;
    let mut json = vec![0; header.bytes.index()];
    file.file.read_exact_at(&mut json, 8).map_err(FormatError::io(path, "read"))?;
    let Header(entries) = serde_json::from_slice(&json).map_err(|error| {
        let error = crate::printable::one_line(&error.to_string());
        FormatError::malformed(path, format!("the header is not usable JSON: {error}"))
    })?;
    let tensors = entries
        .into_iter()
        .map(|(name, entry)| {
            let tensor = declared(file, id, header.end(), &name, &entry)?;
            Ok((name, tensor))
        })
        .collect::<Result<Vec<_>, FormatError>>()?;
    check_cover(file, header.end(), &tensors)?;
    Ok(tensors)
}

fn declared(
    file: &ModelFile,
    id: FileId,
    data: u64,
    name: &str,
    entry: &Entry,
) -> Result<Declared, FormatError> {
    let path = &file.path;
    let ty = match entry.dtype.as_str() {
        "F32" => WeightType::F32,
        "F16" => WeightType::F16,
        "BF16" => WeightType::BF16,
        other => {
            let form = other_forms::form_of(name).map_or_else(String::new, |form| format!(" ({form})"));
            let other = crate::printable::printable(other);
            let what = format!("has dtype {other}{form}; supported are BF16, F16 and F32");
            return Err(FormatError::tensor(path, name, what));
        }
    };
    let (begin, end) = entry.data_offsets;
    let shape = &entry.shape.0;
    let elements = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
    let bytes = elements.and_then(|n| n.checked_mul(ty.block_bytes() as u64));
    if shape.len() > limits::MAX_DIMS || bytes.is_none() || end.checked_sub(begin) != bytes {
        let what = format!("of shape {shape:?} does not fit its bytes {begin} to {end}");
        return Err(FormatError::tensor(path, name, what));
    }
    let offset = data.saturating_add(begin);
    let extent = checked_extent(id, offset, bytes.unwrap_or(0), 1, file.bytes.0)
        .map_err(|error| FormatError::extent(path, name, &error))?;
    Ok(Declared { shape: shape.clone(), ty, extent })
}

/// No hole, no overlap, nothing after the end: what the format demands, and what notices a header
/// that lost a tensor.
fn check_cover(file: &ModelFile, data: u64, tensors: &[(String, Declared)]) -> Result<(), FormatError> {
    let mut order: Vec<&(String, Declared)> = tensors.iter().collect();
    order.sort_by_key(|(_, tensor)| (tensor.extent.offset, tensor.extent.end()));
    let mut at = data;
    for (name, tensor) in order {
        let extent = tensor.extent;
        if extent.offset != at {
            let what =
                if extent.offset < at { "overlaps the one before it" } else { "leaves a hole before it" };
            return Err(FormatError::tensor(
                &file.path,
                name,
                format!("{what} at byte {at}: the file is damaged"),
            ));
        }
        at = extent.end();
    }
    match file.bytes.saturating_sub(Bytes(at)) {
        Bytes(0) => Ok(()),
        rest => {
            Err(FormatError::malformed(&file.path, format!("{rest} after the last tensor belong to nothing")))
        }
    }
}
