//! A checkpoint whose configuration ties the head to the embedding and which has a head all the same.

use std::path::Path;

use hotset_base::{Bytes, Extent};

use crate::assemble::Declared;
use crate::{FormatError, ModelFile, TensorSlice, read_extent};

/// Bytes compared at a time.
const PIECE: u64 = 1 << 20;

/// Refuses a head that is not a copy of the embedding: programs differ in which of the two they take.
pub(super) fn check_copy(
    dir: &Path,
    files: &[ModelFile],
    name: &str,
    head: &Declared,
    embedding: &TensorSlice,
) -> Result<(), FormatError> {
    let same_form = head.ty == embedding.ty && head.extent.bytes == embedding.extent.bytes;
    if same_form && same_bytes(files, &head.extent, &embedding.extent)? {
        return Ok(());
    }
    let what = "is not a copy of the embedding, but config.json says tie_word_embeddings true: say false there to use it, or remove it";
    Err(FormatError::tensor(dir, name, what))
}

fn same_bytes(files: &[ModelFile], one: &Extent, other: &Extent) -> Result<bool, FormatError> {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for at in (0..one.bytes.0).step_by(PIECE as usize) {
        let bytes = PIECE.min(one.bytes.0 - at);
        let piece = |of: &Extent| Extent { offset: of.offset + at, bytes: Bytes(bytes), ..*of };
        left.resize(bytes as usize, 0);
        right.resize(bytes as usize, 0);
        read_extent(files, &piece(one), &mut left)?;
        read_extent(files, &piece(other), &mut right)?;
        if left != right {
            return Ok(false);
        }
    }
    Ok(true)
}
