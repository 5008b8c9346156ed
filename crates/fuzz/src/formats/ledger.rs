//! The trust ledger (docs/ledger-format.md).

use super::{crc, put_u32};
use crate::mutate::bytes::{Field, fields_at};

const HEADER: usize = 128;

/// The numbers of the header, of the first context and of its first records.
pub fn fields() -> Vec<Field> {
    let mut fields = fields_at(8, &[4, 4, 2, 2, 2, 2, 8]);
    fields.extend(fields_at(HEADER, &[8, 8, 4, 4]));
    fields.extend(fields_at(HEADER + 24, &[4; 10]));
    fields
}

/// Makes both checksums right.
pub fn reseal(file: &mut [u8]) {
    let sum = crc(file, HEADER..file.len());
    put_u32(file, 64, sum);
    let sum = crc(file, 0..HEADER - 4);
    put_u32(file, HEADER - 4, sum);
}
