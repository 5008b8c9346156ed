//! The fixed-size structures of a store, to bytes and back. Offsets are those of docs/store-format.md.

use std::path::Path;

use hotset_base::little_endian::{u16_at, u32_at, u64_at};
use hotset_base::{ExpertKey, WeightType};

pub use hotset_outputs::STORE_MAGIC as MAGIC;

use super::span::Span;
use super::{PAGE, StoreError};

/// The newest version this program writes and reads: a model of another architecture than Qwen3-MoE, for
/// which earlier readers would take it.
pub const STORE_VERSION: u32 = 4;
/// Positions are scaled or texts not composed, which readers of the versions before would pass over.
pub(super) const READ_OTHERWISE: u32 = 3;
/// Records lie in the order of families, as they do from here on.
pub(super) const WITH_FAMILIES: u32 = 2;
/// Records lie in the order of experts; there are no families. Written where there is no router to look at.
pub(super) const WITHOUT_FAMILIES: u32 = 1;
const BYTE_ORDER: u32 = 0x0102_0304;
const LAYOUT_GENERIC: u32 = 0;

pub(super) const DENSE_ENTRY: usize = 104;
pub(super) const EXPERT_ENTRY: usize = 80;
pub(super) const NAME_BYTES: usize = 64;
const HEADER: usize = PAGE as usize;
const CRC_AT: usize = HEADER - 4;

/// A section's place and checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub span: Span,
    pub crc: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub version: u32,
    pub file_bytes: u64,
    pub store_id: [u8; 32],
    pub metadata: Section,
    pub dense_table: Section,
    pub dense_count: u32,
    pub expert_table: Section,
    pub expert_count: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DenseEntry {
    pub name: String,
    pub ty: WeightType,
    pub crc: u32,
    pub rows: u64,
    pub cols: u64,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartEntry {
    pub span: Span,
    pub ty: WeightType,
    pub crc: u32,
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn put_section(bytes: &mut [u8], at: usize, section: &Section) {
    put(bytes, at, &section.span.offset.to_le_bytes());
    put(bytes, at + 8, &section.span.bytes.to_le_bytes());
    put(bytes, at + 16, &section.crc.to_le_bytes());
}

fn section_at(bytes: &[u8], at: usize) -> Section {
    Section {
        span: Span { offset: u64_at(bytes, at), bytes: u64_at(bytes, at + 8) },
        crc: u32_at(bytes, at + 16),
    }
}

impl Header {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0; HEADER];
        put(&mut out, 0, &MAGIC);
        put(&mut out, 8, &self.version.to_le_bytes());
        put(&mut out, 12, &BYTE_ORDER.to_le_bytes());
        put(&mut out, 16, &self.file_bytes.to_le_bytes());
        put(&mut out, 24, &self.store_id);
        put_section(&mut out, 56, &self.metadata);
        put(&mut out, 76, &LAYOUT_GENERIC.to_le_bytes());
        put_section(&mut out, 80, &self.dense_table);
        put(&mut out, 100, &self.dense_count.to_le_bytes());
        put_section(&mut out, 104, &self.expert_table);
        put(&mut out, 124, &self.expert_count.to_le_bytes());
        let crc = crc32c::crc32c(&out[..CRC_AT]);
        put(&mut out, CRC_AT, &crc.to_le_bytes());
        out
    }

    /// Reads a header of exactly one page. The version is looked at before the checksum, so that a
    /// store of another version is called that and not damaged.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        if bytes.len() < MAGIC.len() || bytes[..MAGIC.len()] != MAGIC {
            return Err(StoreError::NotAStore { path: path.to_owned() });
        }
        let damaged = |detail: &str| StoreError::Damaged {
            path: path.to_owned(),
            section: "header",
            detail: detail.to_owned(),
        };
        if bytes.len() < HEADER {
            return Err(StoreError::WrongLength {
                path: path.to_owned(),
                state: "store truncated",
                what: "the header".to_owned(),
                end: PAGE,
                actual: bytes.len() as u64,
            });
        }
        let crc_matches = crc32c::crc32c(&bytes[..CRC_AT]) == u32_at(bytes, CRC_AT);
        let unsupported = |what, found, supported| StoreError::Unsupported {
            path: path.to_owned(),
            what,
            found,
            supported,
        };
        if u32_at(bytes, 12) == BYTE_ORDER.swap_bytes() {
            return Err(unsupported("byte order", BYTE_ORDER.swap_bytes(), BYTE_ORDER));
        }
        let version = u32_at(bytes, 8);
        if !(WITHOUT_FAMILIES..=STORE_VERSION).contains(&version) {
            return Err(unsupported("format version", version, STORE_VERSION));
        }
        if !crc_matches {
            return Err(damaged("checksum mismatch"));
        }
        if u32_at(bytes, 12) != BYTE_ORDER {
            return Err(damaged("byte order mark"));
        }
        if u32_at(bytes, 76) != LAYOUT_GENERIC {
            return Err(unsupported("weight layout", u32_at(bytes, 76), LAYOUT_GENERIC));
        }
        Ok(Self {
            version,
            file_bytes: u64_at(bytes, 16),
            store_id: bytes[24..56].try_into().expect("32 bytes"),
            metadata: section_at(bytes, 56),
            dense_table: section_at(bytes, 80),
            dense_count: u32_at(bytes, 100),
            expert_table: section_at(bytes, 104),
            expert_count: u32_at(bytes, 124),
        })
    }
}

impl DenseEntry {
    pub fn to_bytes(&self) -> [u8; DENSE_ENTRY] {
        let mut out = [0; DENSE_ENTRY];
        put(&mut out, 0, self.name.as_bytes());
        put(&mut out, 64, &self.ty.ggml_id().to_le_bytes());
        put(&mut out, 68, &self.crc.to_le_bytes());
        put(&mut out, 72, &self.rows.to_le_bytes());
        put(&mut out, 80, &self.cols.to_le_bytes());
        put(&mut out, 88, &self.span.offset.to_le_bytes());
        put(&mut out, 96, &self.span.bytes.to_le_bytes());
        out
    }

    /// `None` if the name is not UTF-8 or the type unknown.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let name = &bytes[..NAME_BYTES];
        let end = name.iter().position(|&b| b == 0).unwrap_or(NAME_BYTES);
        Some(Self {
            name: std::str::from_utf8(&name[..end]).ok()?.to_owned(),
            ty: WeightType::from_ggml_id(u32_at(bytes, 64))?,
            crc: u32_at(bytes, 68),
            rows: u64_at(bytes, 72),
            cols: u64_at(bytes, 80),
            span: Span { offset: u64_at(bytes, 88), bytes: u64_at(bytes, 96) },
        })
    }
}

pub(super) fn expert_entry_to_bytes(key: ExpertKey, parts: &[PartEntry; 3]) -> [u8; EXPERT_ENTRY] {
    let mut out = [0; EXPERT_ENTRY];
    put(&mut out, 0, &key.layer.0.to_le_bytes());
    put(&mut out, 2, &key.expert.0.to_le_bytes());
    for (i, part) in parts.iter().enumerate() {
        let at = 8 + 24 * i;
        put(&mut out, at, &part.span.offset.to_le_bytes());
        put(&mut out, at + 8, &part.span.bytes.to_le_bytes());
        put(&mut out, at + 16, &part.ty.ggml_id().to_le_bytes());
        put(&mut out, at + 20, &part.crc.to_le_bytes());
    }
    out
}

/// `None` if the entry names another expert or an unknown type.
pub(super) fn parse_expert_entry(bytes: &[u8], key: ExpertKey) -> Option<[PartEntry; 3]> {
    if u16_at(bytes, 0) != key.layer.0 || u16_at(bytes, 2) != key.expert.0 || u32_at(bytes, 4) != 0 {
        return None;
    }
    let part = |i: usize| {
        let at = 8 + 24 * i;
        Some(PartEntry {
            span: Span { offset: u64_at(bytes, at), bytes: u64_at(bytes, at + 8) },
            ty: WeightType::from_ggml_id(u32_at(bytes, at + 16))?,
            crc: u32_at(bytes, at + 20),
        })
    };
    Some([part(0)?, part(1)?, part(2)?])
}
