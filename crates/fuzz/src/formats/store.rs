//! The packed store (docs/store-format.md).

use std::ops::Range;

use hotset_base::{ExpertId, ExpertKey, LayerId};
use hotset_format::store::{part_seed, tensor_seed};

use super::{crc, put_u32, u64_at};
use crate::mutate::bytes::{Field, fields_at};

const PAGE: usize = 4096;
const LINE: usize = 64;
/// Where the header has its three sections: metadata, dense table, expert table.
const SECTIONS: [usize; 3] = [56, 80, 104];
const DENSE_ENTRY: usize = 104;
const EXPERT_ENTRY: usize = 80;

/// A section as the header has it, cut to the file.
fn section(file: &[u8], at: usize) -> Range<usize> {
    let start = u64_at(file, at).min(file.len());
    start..start.saturating_add(u64_at(file, at + 8)).min(file.len())
}

/// Bytes of the metadata.
pub fn metadata(file: &[u8]) -> Range<usize> {
    section(file, SECTIONS[0])
}

/// Every number of the header and of both tables.
pub fn fields(file: &[u8]) -> Vec<Field> {
    let mut fields = fields_at(8, &[4, 4, 8]);
    fields.extend(fields_at(56, &[8, 8, 4, 4, 8, 8, 4, 4, 8, 8, 4, 4]));
    for entry in section(file, SECTIONS[1]).step_by(DENSE_ENTRY) {
        fields.extend(fields_at(entry + 64, &[4, 4, 8, 8, 8, 8]));
    }
    for entry in section(file, SECTIONS[2]).step_by(EXPERT_ENTRY) {
        fields.extend(fields_at(entry, &[2, 2, 4, 8, 8, 4, 4, 8, 8, 4, 4, 8, 8, 4, 4]));
    }
    fields
}

/// A sound store with other metadata: the tables and all weights move by whole pages.
pub fn with_metadata(file: &[u8], json: &[u8]) -> Vec<u8> {
    let [_, dense, experts] = SECTIONS.map(|at| section(file, at));
    let data = experts.end.next_multiple_of(PAGE);
    let mut out = file[..PAGE].to_vec();
    out.extend(json);
    let place = |out: &mut Vec<u8>, at: usize, bytes: &[u8]| {
        let offset = out.len() as u64;
        Field { at, bytes: 8 }.put(out, offset);
        out.extend(bytes);
    };
    Field { at: SECTIONS[0] + 8, bytes: 8 }.put(&mut out, json.len() as u64);
    out.resize(out.len().next_multiple_of(LINE), 0);
    place(&mut out, SECTIONS[1], &file[dense]);
    out.resize(out.len().next_multiple_of(LINE), 0);
    place(&mut out, SECTIONS[2], &file[experts]);
    out.resize(out.len().next_multiple_of(PAGE), 0);
    let moved = out.len().wrapping_sub(data) as u64;
    out.extend(&file[data..]);
    let offsets = |file: &[u8]| {
        let dense = section(file, SECTIONS[1]).step_by(DENSE_ENTRY).map(|entry| entry + 88);
        let parts = |entry| [8, 32, 56].map(|part| entry + part);
        let experts = section(file, SECTIONS[2]).step_by(EXPERT_ENTRY).flat_map(parts);
        dense.chain(experts).collect::<Vec<_>>()
    };
    for at in offsets(&out) {
        let field = Field { at, bytes: 8 };
        let was = field.get(&out);
        field.put(&mut out, was.wrapping_add(moved));
    }
    let length = out.len() as u64;
    Field { at: 16, bytes: 8 }.put(&mut out, length);
    out
}

/// Makes every checksum right: weights, tables, store id, header.
pub fn reseal(file: &mut [u8]) {
    for entry in section(file, SECTIONS[1]).step_by(DENSE_ENTRY) {
        let name = file.get(entry..entry + 64).unwrap_or_default();
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        let seed = std::str::from_utf8(name).map_or(0, tensor_seed);
        reseal_weights(file, entry + 88, entry + 68, seed);
    }
    for entry in section(file, SECTIONS[2]).step_by(EXPERT_ENTRY) {
        let [layer, expert] = [entry, entry + 2].map(|at| Field { at, bytes: 2 }.get(file) as u16);
        for part in 0..3 {
            let seed = part_seed(ExpertKey::new(LayerId(layer), ExpertId(expert)), part);
            let at = entry + 8 + 24 * part;
            reseal_weights(file, at, at + 20, seed);
        }
    }
    let mut id = blake3::Hasher::new();
    for at in SECTIONS {
        let sum = crc(file, section(file, at));
        put_u32(file, at + 16, sum);
        id.update(&file[section(file, at)]);
    }
    if let Some(place) = file.get_mut(24..56) {
        place.copy_from_slice(id.finalize().as_bytes());
    }
    let sum = crc(file, 0..PAGE - 4);
    put_u32(file, PAGE - 4, sum);
}

/// The checksum of the stretch whose offset and length stand at `span`, put to `sum_at`.
fn reseal_weights(file: &mut [u8], span: usize, sum_at: usize, seed: u32) {
    let range = section(file, span);
    let sum = crc32c::crc32c_append(seed, &file[range]);
    put_u32(file, sum_at, sum.into());
}
