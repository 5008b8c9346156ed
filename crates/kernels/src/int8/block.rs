//! A vector in int8: 256 numbers to a block.

use crate::cpu::multiversion;
use crate::format::GROUP;

/// Numbers of one block.
pub const BLOCK: usize = 256;
/// Groups of a block.
pub(crate) const GROUPS: usize = BLOCK / GROUP;
/// Largest multiplier of a group; see the bounds in the module above.
const MULTIPLIER: i32 = 31;
/// Largest code.
const CODE: i32 = 127;
/// Blocks whose numbers are all smaller than this are zero: their scale would lose bits, or be none.
const SMALLEST: f32 = 1e-30;

/// 256 numbers `x[i] = scale * multipliers[i / 32] * codes[i]`, nearly.
///
/// A block has one scale, so that sums over a block are sums of integers. Each group of 32 has a multiplier of
/// its own, so that one large number costs only the 32 numbers around it their precision. (With one scale
/// for 256, as in llama.cpp's Q8_K, it costs all of them.)
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Int8Block {
    /// -127 to 127.
    pub(crate) codes: [i8; BLOCK],
    /// Sums of the codes of half a group: the first halves of all groups, then the second halves.
    pub(crate) sums: [i16; 2 * GROUPS],
    /// 1 to 31, for the same half groups: two times the same eight.
    pub(crate) multipliers: [i16; 2 * GROUPS],
    /// `scale * multiplier` of each group.
    pub(crate) scales: [f32; GROUPS],
    /// NaN if a number of the block is not finite.
    pub(crate) scale: f32,
}

impl Int8Block {
    /// 256 zeros.
    pub const ZERO: Self = Self {
        codes: [0; BLOCK],
        sums: [0; 2 * GROUPS],
        multipliers: [1; 2 * GROUPS],
        scales: [0.0; GROUPS],
        scale: 0.0,
    };
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
    let mut largest = [0.0f32; GROUPS];
    for (x, largest) in x.as_chunks::<GROUP>().0.iter().zip(&mut largest) {
        *largest = largest_of(x);
    }
    // The largest bits are those of the largest number, of an infinity or of a NaN.
    let max = f32::from_bits(largest.iter().fold(0, |max, largest| largest.to_bits().max(max)));
    if !max.is_finite() || max < SMALLEST {
        let scale = if max.is_finite() { 0.0 } else { f32::NAN };
        *block = Int8Block { scale, scales: [scale; GROUPS], ..Int8Block::ZERO };
        return;
    }
    block.scale = max / (CODE * MULTIPLIER) as f32;
    for (g, x) in x.as_chunks::<GROUP>().0.iter().enumerate() {
        // The least multiple of the scale that brings the group into the range of the codes.
        let least = (largest[g] * (1.0 / (block.scale * CODE as f32))).ceil() as i32;
        let multiplier = least.clamp(1, MULTIPLIER);
        let scale = block.scale * multiplier as f32;
        block.scales[g] = scale;
        let codes: &mut [i8; GROUP] = block.codes.as_chunks_mut::<GROUP>().0.get_mut(g).expect("8 groups");
        let sums = round_group(x, 1.0 / scale, codes);
        for half in 0..2 {
            block.sums[half * GROUPS + g] = sums[half];
            block.multipliers[half * GROUPS + g] = multiplier as i16;
        }
    }
}

/// The largest magnitude. Compared as integers, so that infinities and NaNs are the largest of all.
#[inline(always)]
fn largest_of(x: &[f32; GROUP]) -> f32 {
    f32::from_bits(x.iter().fold(0, |max, x| max.max(x.to_bits() & 0x7fff_ffff)))
}

/// `x / scale`, to the nearest, ties to even; the sums of both halves.
#[inline(always)]
fn round_group(x: &[f32; GROUP], inverse: f32, codes: &mut [i8; GROUP]) -> [i16; 2] {
    // From 2^23 to 2^24 floats are the whole numbers, so adding this rounds; the low bits are the result.
    const WHOLE: f32 = 12_582_912.0;
    let mut rounded = [0i32; GROUP];
    for i in 0..GROUP {
        let bits = (x[i] * inverse + WHOLE).to_bits() as i32;
        rounded[i] = (bits - WHOLE.to_bits() as i32).clamp(-CODE, CODE);
    }
    let mut sums = [0; 2];
    for (half, rounded) in rounded.as_chunks::<{ GROUP / 2 }>().0.iter().enumerate() {
        sums[half] = rounded.iter().sum::<i32>() as i16;
    }
    for i in 0..GROUP {
        codes[i] = rounded[i] as i8;
    }
    sums
}
