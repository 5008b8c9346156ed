//! A vector in int8: 256 numbers to a block.

use crate::cpu::multiversion;
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
const MULTIPLIER: i32 = 31;
/// Largest code.
const CODE: i32 = 127;
/// Blocks whose numbers are all smaller than this are zero: their scale would lose bits, or be none.
const SMALLEST: f32 = 1e-30;

/// 256 numbers `x[i] = scale * multiplier * codes[i]`, nearly, with a multiplier for every 16.
///
/// A block has one scale, so that sums over a block are sums of integers. The multipliers make that nearly as
/// fine as a scale for every 16: one large number takes precision from the 15 around it, from the others only
/// what is below a 31st of their step. (With one scale for 256, as in llama.cpp's Q8_K, it takes it from all.)
#[derive(Clone, Copy, Debug)]
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

multiversion! {
    /// Blocks of the numbers `x`; the last block is filled up with zeros.
    ///
    /// # Panics
    /// If `blocks` is not as many as that takes.
    pub fn quantize_vector(x: &[f32], blocks: &mut [Int8Block]) = quantize_vector_body;
}

#[inline(always)]
fn quantize_vector_body(x: &[f32], blocks: &mut [Int8Block]) {
    assert_eq!(x.len().div_ceil(BLOCK), blocks.len(), "a block for every 256 numbers");
    for (x, block) in x.chunks(BLOCK).zip(blocks) {
        match x.try_into() {
            Ok(x) => quantize_block(x, block),
            Err(_) => {
                let mut filled = [0.0; BLOCK];
                filled[..x.len()].copy_from_slice(x);
                quantize_block(&filled, block);
            }
        }
    }
}

#[inline(always)]
fn quantize_block(x: &[f32; BLOCK], block: &mut Int8Block) {
    let halves = x.as_chunks::<HALF>().0;
    let mut largest = [0u32; HALVES];
    for i in 0..HALVES {
        largest[i] = largest_bits(&halves[i]);
    }
    // The largest bits are those of the largest number, of an infinity or of a NaN.
    let max = f32::from_bits(largest.iter().fold(0, |max, bits| max.max(*bits)));
    if !max.is_finite() || max < SMALLEST {
        *block = Int8Block { scale: if max.is_finite() { 0.0 } else { f32::NAN }, ..Int8Block::ZERO };
        return;
    }
    block.scale = max / (CODE * MULTIPLIER) as f32;
    let inverse = (CODE * MULTIPLIER) as f32 / max;
    for i in 0..HALVES {
        // The least multiple of the scale that brings the half group into the range of the codes.
        let least = (f32::from_bits(largest[i]) * (inverse / CODE as f32)).ceil() as i32;
        let multiplier = least.clamp(1, MULTIPLIER);
        let codes = &mut block.codes.as_chunks_mut::<HALF>().0[i];
        let at = i % 2 * GROUPS + i / 2;
        block.multipliers[at] = multiplier as i16;
        block.sums[at] = round(&halves[i], inverse / multiplier as f32, codes);
    }
}

/// The bits of the largest magnitude. Compared as integers, infinities and NaNs are the largest of all.
#[inline(always)]
fn largest_bits(x: &[f32; HALF]) -> u32 {
    x.iter().fold(0, |max, x| max.max(x.to_bits() & 0x7fff_ffff))
}

/// `x * inverse` to the nearest whole number, ties to even; their sum.
#[inline(always)]
fn round(x: &[f32; HALF], inverse: f32, codes: &mut [i8; HALF]) -> i16 {
    // From 2^23 to 2^24 all floats are whole numbers, so adding this rounds; the low bits are the result.
    const WHOLE: f32 = 12_582_912.0;
    let mut rounded = [0i32; HALF];
    for i in 0..HALF {
        let bits = (x[i] * inverse + WHOLE).to_bits() as i32;
        rounded[i] = (bits - WHOLE.to_bits() as i32).clamp(-CODE, CODE);
    }
    for i in 0..HALF {
        codes[i] = rounded[i] as i8;
    }
    rounded.iter().sum::<i32>() as i16
}
