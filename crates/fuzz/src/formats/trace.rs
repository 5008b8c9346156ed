//! The trace (docs/trace-format.md).

use std::ops::Range;

use hotset_testkit::Random;

use super::{crc, put_u32, u32_at};
use crate::mutate::bytes::{Field, fields_at};
use crate::mutate::{once_in, pick};

const HEAD: usize = 64;
const BLOCK_HEAD: usize = 20;

/// Bytes of the metadata, cut to the file.
pub fn metadata(file: &[u8]) -> Range<usize> {
    let start = HEAD.min(file.len());
    start..(start + u32_at(file, 24)).min(file.len())
}

/// The records of every block, cut to the file.
fn blocks(file: &[u8]) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut at = metadata(file).end;
    while at + BLOCK_HEAD <= file.len() {
        let start = at + BLOCK_HEAD;
        at = (start + u32_at(file, at + 8)).min(file.len());
        blocks.push(start..at);
    }
    blocks
}

/// The records of a sound block.
fn records(file: &[u8], block: Range<usize>) -> Vec<Range<usize>> {
    let number = |at| Field { at, bytes: 2 }.get(file) as usize;
    let (experts, full) = (number(18), number(22) & 1 == 1);
    let mut records = Vec::new();
    let mut at = block.start;
    while at < block.end {
        let bytes = match file[at] {
            1 => 8 + 4 * number(at + 2),
            2 => 17 + experts.div_ceil(8),
            3 => {
                let chosen = usize::from(file.get(at + 1).copied().unwrap_or(0));
                2 + 6 * chosen + if full && chosen > 0 { 2 * experts } else { 0 }
            }
            _ => 25,
        };
        records.push(at..(at + bytes).min(block.end));
        at += bytes;
    }
    records
}

/// The numbers of the head, of blocks and of the first bytes of records.
pub fn fields(file: &[u8]) -> Vec<Field> {
    let mut fields = fields_at(8, &[4, 4, 2, 2, 2, 2, 4, 4]);
    for block in blocks(file) {
        fields.extend(fields_at(block.start - BLOCK_HEAD, &[4, 4, 4, 4, 4]));
        for record in records(file, block) {
            fields.extend(match file[record.start] {
                1 => fields_at(record.start, &[1, 1, 2, 4, 4]),
                2 => fields_at(record.start, &[1, 2, 2, 2, 2, 8, 1]),
                3 => fields_at(record.start, &[1, 1, 2, 4, 2, 4, 2, 2]),
                _ => fields_at(record.start, &[1, 8, 8, 8]),
            });
        }
    }
    fields
}

/// A sound trace with other metadata.
pub fn with_metadata(file: &[u8], json: &[u8]) -> Vec<u8> {
    let mut out = file[..HEAD].to_vec();
    put_u32(&mut out, 24, json.len() as u64);
    out.extend(json);
    out.extend(&file[metadata(file).end..]);
    out
}

/// A sound trace whose records are doubled, left out, moved or repeated many times.
pub fn with_other_records(random: &mut Random, file: &[u8]) -> Vec<u8> {
    let all: Vec<&[u8]> =
        blocks(file).into_iter().flat_map(|block| records(file, block)).map(|range| &file[range]).collect();
    let mut out = all.clone();
    for _ in 0..1 + random.below(4) {
        let at = random.below(out.len().max(1)).min(out.len());
        match random.below(4) {
            0 if at < out.len() => drop(out.remove(at)),
            1 => out.insert(at, *pick(random, &all)),
            2 if at < out.len() => {
                let to = random.below(out.len());
                out.swap(at, to);
            }
            _ if once_in(random, 4) => {
                let (record, times) = (*pick(random, &all), 1 << random.below(12));
                out.splice(at..at, std::iter::repeat_n(record, times));
            }
            _ => out.truncate(at.max(1)),
        }
    }
    let mut trace = file[..metadata(file).end].to_vec();
    for (number, records) in out.chunks(1 + random.below(400)).enumerate() {
        let payload = records.concat();
        trace.extend(b"TBLK");
        trace.extend((number as u32).to_le_bytes());
        trace.extend((payload.len() as u32).to_le_bytes());
        trace.extend([0; 8]);
        trace.extend(payload);
    }
    trace
}

/// Makes every checksum right.
pub fn reseal(file: &mut [u8]) {
    let sum = crc(file, metadata(file));
    put_u32(file, 28, sum);
    let sum = crc(file, 0..HEAD - 4);
    put_u32(file, HEAD - 4, sum);
    for block in blocks(file) {
        let head = block.start - BLOCK_HEAD;
        let sum = crc32c::crc32c_append(crc(file, head + 4..head + 8) as u32, &file[block]);
        put_u32(file, head + 12, sum.into());
        let sum = crc(file, head..head + 16);
        put_u32(file, head + 16, sum);
    }
}
