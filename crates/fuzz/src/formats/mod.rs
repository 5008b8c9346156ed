//! Where the numbers of our binary formats stand, and how their checksums are made right again after a change.
//! Written from docs/*-format.md, on its own: a reader that is tried by its own writer agrees with itself.

pub mod gguf;
pub mod ledger;
pub mod store;
pub mod trace;

use crate::mutate::bytes::Field;

fn u32_at(file: &[u8], at: usize) -> usize {
    Field { at, bytes: 4 }.get(file) as usize
}

fn u64_at(file: &[u8], at: usize) -> usize {
    Field { at, bytes: 8 }.get(file) as usize
}

/// The CRC-32C of a range, as far as it lies in the file.
fn crc(file: &[u8], range: std::ops::Range<usize>) -> u64 {
    let end = range.end.min(file.len());
    u64::from(crc32c::crc32c(&file[range.start.min(end)..end]))
}

fn put_u32(file: &mut [u8], at: usize, number: u64) {
    Field { at, bytes: 4 }.put(file, number);
}
