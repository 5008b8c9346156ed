//! Reads every byte of a store: weights against their checksums, padding against zero.

use std::os::unix::fs::FileExt;

use hotset_base::{Bytes, ExpertId, ExpertKey, LayerId};

use super::checksum::{part_seed, tensor_seed};
use super::{PAGE, StoreError};
use crate::{Checkpoint, ModelFile};

/// What a verification has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Bytes of the file, all of them checked.
    pub file_bytes: Bytes,
    /// Dense tensors checked.
    pub tensors: usize,
    /// Expert records checked.
    pub records: usize,
}

const PART_NAMES: [&str; 3] = ["gate", "up", "down"];

/// Verifies an opened store from the first byte to the last; `progress` is told the bytes done.
///
/// Reads in file order through one buffer of the size of the largest tensor.
pub fn verify(checkpoint: &Checkpoint, progress: &mut dyn FnMut(Bytes)) -> Result<VerifyReport, StoreError> {
    let store = &checkpoint.files[0];
    let mut walk = Walk { store, at: 0, buffer: Vec::new() };
    walk.skip_tables(checkpoint)?;
    let mut report = VerifyReport { file_bytes: store.bytes, ..Default::default() };
    for (name, tensor) in checkpoint.dense.named() {
        let crc = walk.checksum(tensor.extent.offset, tensor.extent.bytes, tensor_seed(&name))?;
        if Some(crc) != tensor.crc {
            return Err(StoreError::TensorChecksum { path: store.path.clone(), name });
        }
        report.tensors += 1;
        progress(Bytes(walk.at));
    }
    let mut records: Vec<_> = checkpoint.experts.iter().enumerate().collect();
    records.sort_by_key(|(_, parts)| parts.gate.extent.offset);
    for (flat, parts) in records {
        let key = key_of(checkpoint, flat);
        for (i, part) in parts.in_order().iter().enumerate() {
            let crc = walk.checksum(part.extent.offset, part.extent.bytes, part_seed(key, i))?;
            if Some(crc) != part.crc {
                return Err(StoreError::PartChecksum { path: store.path.clone(), key, part: PART_NAMES[i] });
            }
        }
        report.records += 1;
        progress(Bytes(walk.at));
    }
    walk.zero_until(store.bytes.0)?;
    progress(store.bytes);
    Ok(report)
}

fn key_of(checkpoint: &Checkpoint, flat: usize) -> ExpertKey {
    let experts = checkpoint.config.experts;
    ExpertKey::new(LayerId((flat / experts) as u16), ExpertId((flat % experts) as u16))
}

/// Position in the file, and the one buffer.
struct Walk<'a> {
    store: &'a ModelFile,
    at: u64,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    fn read(&mut self, bytes: usize) -> Result<&[u8], StoreError> {
        self.buffer.resize(bytes, 0);
        self.store.file.read_exact_at(&mut self.buffer, self.at).map_err(|source| StoreError::Io {
            path: self.store.path.clone(),
            action: "read",
            source,
        })?;
        self.at += bytes as u64;
        Ok(&self.buffer)
    }

    /// Header and tables were checked by opening; the gaps between them are padding like any other.
    fn skip_tables(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let header = super::header::Header::parse(&self.store.path, self.read(PAGE as usize)?)?;
        for section in [header.metadata, header.dense_table, header.expert_table] {
            self.zero_until(section.span.offset)?;
            self.at = section.span.end();
        }
        self.zero_until(checkpoint.dense.embedding.extent.offset)
    }

    fn checksum(&mut self, offset: u64, bytes: Bytes, seed: u32) -> Result<u32, StoreError> {
        self.zero_until(offset)?;
        Ok(crc32c::crc32c_append(seed, self.read(bytes.index())?))
    }

    fn zero_until(&mut self, offset: u64) -> Result<(), StoreError> {
        let start = self.at;
        // Layouts never leave more than a page between two things.
        let gap = offset.saturating_sub(start).min(PAGE) as usize;
        match self.read(gap)?.iter().position(|&byte| byte != 0) {
            Some(i) => Err(StoreError::Padding { path: self.store.path.clone(), offset: start + i as u64 }),
            None => Ok(()),
        }
    }
}
