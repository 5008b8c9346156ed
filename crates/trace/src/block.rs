//! Blocks: whole records under a checksum, so that a file cut anywhere is readable up to the last of them.

use hotset_base::limits::MAX_TRACE_BLOCK;
use hotset_base::little_endian::u32_at;

const MAGIC: [u8; 4] = *b"TBLK";
/// Bytes in front of a block's records.
pub(crate) const BLOCK_HEAD: usize = 20;

/// The head of a block: magic, number, payload bytes, payload CRC-32C, CRC-32C of those four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHead {
    /// Counted from 0.
    number: u32,
    pub bytes: usize,
    crc: u32,
}

impl BlockHead {
    pub fn of(number: u32, payload: &[u8]) -> Self {
        Self { number, bytes: payload.len(), crc: checksum(number, payload) }
    }

    pub fn to_bytes(self) -> [u8; BLOCK_HEAD] {
        let mut out = [0; BLOCK_HEAD];
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&self.number.to_le_bytes());
        out[8..12].copy_from_slice(&(self.bytes as u32).to_le_bytes());
        out[12..16].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32c::crc32c(&out[..16]);
        out[16..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the head of block `number`. Its own checksum tells a damaged length from a file that was cut.
    pub fn parse(number: u32, bytes: &[u8; BLOCK_HEAD]) -> Result<Self, String> {
        if bytes[..4] != MAGIC || crc32c::crc32c(&bytes[..16]) != u32_at(bytes, 16) {
            return Err(format!("the head of block {number} does not match its checksum"));
        }
        let (found, length) = (u32_at(bytes, 4), u32_at(bytes, 8));
        if found != number {
            return Err(format!("block {found} where block {number} belongs"));
        }
        if u64::from(length) > MAX_TRACE_BLOCK.0 {
            return Err(format!("block {number} has {length} bytes, more than {MAX_TRACE_BLOCK}"));
        }
        Ok(Self { number, bytes: length as usize, crc: u32_at(bytes, 12) })
    }

    pub fn check(&self, payload: &[u8]) -> Result<(), String> {
        if checksum(self.number, payload) == self.crc {
            return Ok(());
        }
        Err(format!("block {} does not match its checksum", self.number))
    }
}

/// Seeded with the block's number: a valid block in another's place does not match.
fn checksum(number: u32, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), payload)
}
