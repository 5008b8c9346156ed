//! Checksums that know their place: the seed of a part's CRC-32C is its own name, so that valid bytes
//! in the wrong place do not match.

use hotset_base::ExpertKey;

/// Seed of the checksum of one part (0 gate, 1 up, 2 down) of an expert.
pub fn part_seed(key: ExpertKey, part: usize) -> u32 {
    let layer = key.layer.0.to_le_bytes();
    let expert = key.expert.0.to_le_bytes();
    crc32c::crc32c(&[layer[0], layer[1], expert[0], expert[1], part as u8])
}

/// Seed of the checksum of a dense tensor.
pub fn tensor_seed(name: &str) -> u32 {
    crc32c::crc32c(name.as_bytes())
}
