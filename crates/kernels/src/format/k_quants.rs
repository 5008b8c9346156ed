//! Blocks of 256 weights with quantised scales. Layouts: `block_q2_K` to `block_q6_K` in ggml-common.h.

use super::{Format, GROUP};
use crate::half_float::scale_at;

pub(crate) struct Q2K;
pub(crate) struct Q3K;
pub(crate) struct Q4K;
pub(crate) struct Q5K;
pub(crate) struct Q6K;

/// Two sub-blocks of 16 weights, each with its scale and offset.
#[inline(always)]
fn halves(codes: [i8; GROUP], scale: [f32; 2], min: [f32; 2], out: &mut [f32; GROUP]) {
    for i in 0..GROUP / 2 {
        out[i] = scale[0] * f32::from(codes[i]) - min[0];
    }
    for i in GROUP / 2..GROUP {
        out[i] = scale[1] * f32::from(codes[i]) - min[1];
    }
}

/// Two bits of 32 bytes.
#[inline(always)]
fn two_bits(bytes: &[u8], shift: usize) -> [i8; GROUP] {
    let bytes: &[u8; GROUP] = bytes.try_into().expect("32 bytes");
    let mut out = [0; GROUP];
    for i in 0..GROUP {
        out[i] = ((bytes[i] >> shift) & 3) as i8;
    }
    out
}

/// Low or high nibbles of 32 bytes.
#[inline(always)]
fn nibbles(bytes: &[u8], high: bool) -> [i8; GROUP] {
    let bytes: &[u8; GROUP] = bytes.try_into().expect("32 bytes");
    let shift = if high { 4 } else { 0 };
    let mut out = [0; GROUP];
    for i in 0..GROUP {
        out[i] = ((bytes[i] >> shift) & 15) as i8;
    }
    out
}

/// Scale and minimum of sub-block `g` (of 8) of Q4_K and Q5_K: 6 bits each in 12 bytes. The first
/// four pairs fill the low 6 bits of bytes 0-7; the others have their low nibbles in bytes 8-11 and
/// their top two bits in the spare bits of bytes 0-7.
#[inline(always)]
pub(crate) fn six_bit_scale_and_min(packed: &[u8], g: usize) -> (u8, u8) {
    if g < 4 {
        (packed[g] & 63, packed[g + 4] & 63)
    } else {
        (packed[g + 4] & 15 | (packed[g - 4] >> 6) << 4, packed[g + 4] >> 4 | (packed[g] >> 6) << 4)
    }
}

/// Scale of sub-block `i` (of 16) of Q3_K, 6 bits with a bias of 32: low nibbles in bytes 0-7, top
/// two bits in bytes 8-11.
#[inline(always)]
fn three_bit_scale(packed: &[u8], i: usize) -> i32 {
    let low = if i < 8 { packed[i] & 15 } else { packed[i - 8] >> 4 };
    let high = (packed[8 + i % 4] >> (2 * (i / 4))) & 3;
    i32::from(low | high << 4) - 32
}

impl Format for Q2K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 84;

    /// 16 bytes of (scale, min) nibbles, 64 bytes of codes, d, dmin.
    #[inline(always)]
    fn group(block: &[u8], g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 84] = block.try_into().expect("one block");
        let (d, dmin) = (scale_at(block, 80), scale_at(block, 82));
        let bytes = [block[2 * g], block[2 * g + 1]];
        let codes = two_bits(&block[16 + g / 4 * 32..][..32], 2 * (g % 4));
        let scale = bytes.map(|b| d * f32::from(b & 15));
        halves(codes, scale, bytes.map(|b| dmin * f32::from(b >> 4)), out);
    }
}

impl Format for Q3K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 110;

    /// 32 bytes of third bits, 64 bytes of low bits, 12 bytes of scales, d.
    #[inline(always)]
    fn group(block: &[u8], g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 110] = block.try_into().expect("one block");
        let d = scale_at(block, 108);
        let mut codes = two_bits(&block[32 + g / 4 * 32..][..32], 2 * (g % 4));
        for i in 0..GROUP {
            // The third bit set means "not below zero": without it the code is 4 less.
            codes[i] -= 4 * (1 - ((block[i] >> g) & 1) as i8);
        }
        let scale = [2 * g, 2 * g + 1].map(|i| d * three_bit_scale(&block[96..108], i) as f32);
        halves(codes, scale, [0.0; 2], out);
    }
}

impl Format for Q4K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 144;

    /// d, dmin, 12 bytes of scales and minima, 128 bytes of nibbles: 64 weights per 32 bytes.
    #[inline(always)]
    fn group(block: &[u8], g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 144] = block.try_into().expect("one block");
        let (scale, min) = six_bit_scale_and_min(&block[4..16], g);
        let scale = scale_at(block, 0) * f32::from(scale);
        let min = scale_at(block, 2) * f32::from(min);
        let codes = nibbles(&block[16 + g / 2 * 32..][..32], g % 2 == 1);
        for i in 0..GROUP {
            out[i] = scale * f32::from(codes[i]) - min;
        }
    }
}

impl Format for Q5K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 176;

    /// As Q4_K with 32 bytes of fifth bits before the nibbles: bit `g` of byte `i` is weight `i` of
    /// group `g`.
    #[inline(always)]
    fn group(block: &[u8], g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 176] = block.try_into().expect("one block");
        let (scale, min) = six_bit_scale_and_min(&block[4..16], g);
        let scale = scale_at(block, 0) * f32::from(scale);
        let min = scale_at(block, 2) * f32::from(min);
        let mut codes = nibbles(&block[48 + g / 2 * 32..][..32], g % 2 == 1);
        for i in 0..GROUP {
            codes[i] |= (((block[16 + i] >> g) & 1) << 4) as i8;
        }
        for i in 0..GROUP {
            out[i] = scale * f32::from(codes[i]) - min;
        }
    }
}

impl Format for Q6K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 210;

    /// 128 bytes of low nibbles, 64 bytes of top bit pairs, 16 signed scales, d. Of each half's four
    /// groups, 0 and 1 are the low nibbles of its two 32-byte runs and 2 and 3 the high ones.
    #[inline(always)]
    fn group(block: &[u8], g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 210] = block.try_into().expect("one block");
        let (half, j) = (g / 4, g % 4);
        let mut codes = nibbles(&block[half * 64 + j % 2 * 32..][..32], j >= 2);
        let high = two_bits(&block[128 + half * 32..][..32], 2 * j);
        for i in 0..GROUP {
            codes[i] = (codes[i] | high[i] << 4) - 32;
        }
        let d = scale_at(block, 208);
        let scale = [2 * g, 2 * g + 1].map(|i| d * f32::from(block[192 + i] as i8));
        halves(codes, scale, [0.0; 2], out);
    }
}
