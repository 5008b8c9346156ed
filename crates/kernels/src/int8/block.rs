//! A vector in int8: 256 numbers to a block.

#[cfg(target_arch = "x86_64")]
use super::block_avx2;
#[cfg(target_arch = "aarch64")]
use super::block_neon;
use crate::cpu::{Level, level};
use crate::format::GROUP;

/// Numbers of one block.
pub const BLOCK: usize = 256;
/// Groups of a block.
pub(crate) const GROUPS: usize = BLOCK / GROUP;
/// Half groups of a block.
const HALVES: usize = 2 * GROUPS;
/// Numbers of each.
const HALF: usize = GROUP / 2;
/// Largest multiplier of a half group; see the bounds in the module above.
pub(super) const MULTIPLIER: i32 = 31;
/// Largest code.
pub(super) const CODE: i32 = 127;
/// Blocks whose numbers are all smaller than this are zero: their scale would lose bits, or be none.
const SMALLEST: f32 = 1e-30;

/// 256 numbers `x[i] = scale * multiplier * codes[i]`, nearly, with a multiplier for every 16.
///
/// A block has one scale, so that sums over a block are sums of integers. The multipliers make that nearly as
/// fine as a scale for every 16: one large number takes precision from the 15 around it, from the others only
/// what is below a 31st of their step. (With one scale for 256, as in llama.cpp's Q8_K, it takes it from all.)
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Int8Block {
    /// -127 to 127.
    pub(crate) codes: [i8; BLOCK],
    /// Sums of the codes of half a group: the first halves of all groups, then the second halves.
    pub(crate) sums: [i16; HALVES],
    /// 1 to 31, of the half groups in the same order.
    pub(crate) multipliers: [i16; HALVES],
    /// NaN if a number of the block is not finite.
    pub(crate) scale: f32,
}

impl Int8Block {
    /// 256 zeros.
    pub const ZERO: Self =
        Self { codes: [0; BLOCK], sums: [0; HALVES], multipliers: [1; HALVES], scale: 0.0 };
}

/// Blocks of the numbers `x`; the last block is filled up with zeros.
///
/// # Panics
/// If `blocks` is not as many as that takes.
pub fn quantize_vector(x: &[f32], blocks: &mut [Int8Block]) {
    match level() {
        // SAFETY: `level` has found the extensions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => each_block(x, blocks, |x, block| unsafe { block_avx2::quantize_block(x, block) }),
        // SAFETY: both have NEON.
        #[cfg(target_arch = "aarch64")]
        Level::Neon | Level::DotProd => {
            each_block(x, blocks, |x, block| unsafe { block_neon::quantize_block(x, block) });
        }
        Level::Baseline => each_block(x, blocks, quantize_block),
    }
}

/// The slow twin.
pub(super) fn quantize_vector_scalar(x: &[f32], blocks: &mut [Int8Block]) {
    each_block(x, blocks, quantize_block);
}

fn each_block(x: &[f32], blocks: &mut [Int8Block], quantize: impl Fn(&[f32; BLOCK], &mut Int8Block)) {
    assert_eq!(x.len().div_ceil(BLOCK), blocks.len(), "a block for every 256 numbers");
    for (x, block) in x.chunks(BLOCK).zip(blocks) {
        match x.try_into() {
            Ok(x) => quantize(x, block),
            Err(_) => {
                let mut filled = [0.0; BLOCK];
                filled[..x.len()].copy_from_slice(x);
                quantize(&filled, block);
            }
        }
    }
}

/// Scale and inverse scale of a block whose largest number is `max`: none if it is zero, NaN if `max` is no
/// number.
#[inline(always)]
pub(super) fn scales(max: f32) -> Option<(f32, f32)> {
    const WHOLE_RANGE: f32 = (CODE * MULTIPLIER) as f32;
    match max.is_finite() {
        true if max < SMALLEST => None,
        true => Some((max / WHOLE_RANGE, WHOLE_RANGE / max)),
        false => Some((f32::NAN, f32::NAN)),
    }
}

fn quantize_block(x: &[f32; BLOCK], block: &mut Int8Block) {
    *block = Int8Block::ZERO;
    // Compared as bits, infinities and NaNs are the largest of all.
    let largest = |x: &[f32]| x.iter().fold(0, |max, x| max.max(x.abs().to_bits()));
    let Some((scale, inverse)) = scales(f32::from_bits(largest(x))) else { return };
    block.scale = scale;
    if scale.is_nan() {
        return;
    }
    for (i, (x, codes)) in x.chunks(HALF).zip(block.codes.chunks_mut(HALF)).enumerate() {
        // The least multiple of the scale that brings the half group into the range of the codes.
        let least = (f32::from_bits(largest(x)) * (inverse / CODE as f32)).ceil() as i32;
        let multiplier = least.clamp(1, MULTIPLIER);
        let inverse = inverse / multiplier as f32;
        for (x, code) in x.iter().zip(&mut *codes) {
            *code = (x * inverse).round_ties_even() as i8;
        }
        let at = i % 2 * GROUPS + i / 2;
        block.multipliers[at] = multiplier as i16;
        block.sums[at] = codes.iter().map(|code| i16::from(*code)).sum();
    }
}
