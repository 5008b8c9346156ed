//! Blocks of 32 weights with one f16 scale (and, for the `_1` types, one f16 offset).
//! Layouts: `block_q4_0`, `block_q4_1`, `block_q5_0`, `block_q5_1`, `block_q8_0` in ggml-common.h.

use super::{Format, GROUP};
use crate::half_float::scale_at;

const HALF: usize = GROUP / 2;

pub(crate) struct Q8_0;
pub(crate) struct Q4_0;
pub(crate) struct Q4_1;
pub(crate) struct Q5_0;
pub(crate) struct Q5_1;

/// Nibbles of 16 bytes: the low ones are weights 0 to 15, the high ones 16 to 31.
#[inline(always)]
pub(super) fn nibbles(bytes: &[u8]) -> [u8; GROUP] {
    let bytes: &[u8; HALF] = bytes.try_into().expect("16 bytes");
    let mut out = [0; GROUP];
    for i in 0..HALF {
        out[i] = bytes[i] & 15;
        out[i + HALF] = bytes[i] >> 4;
    }
    out
}

/// Nibbles with bit `i` of a 32-bit mask as the fifth bit of weight `i`.
#[inline(always)]
fn five_bits(high: &[u8], low: &[u8]) -> [u8; GROUP] {
    let high = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    let mut out = nibbles(low);
    for i in 0..GROUP {
        out[i] |= (((high >> i) & 1) << 4) as u8;
    }
    out
}

#[inline(always)]
fn scaled(codes: [u8; GROUP], bias: i32, scale: f32, out: &mut [f32; GROUP]) {
    for i in 0..GROUP {
        out[i] = scale * (i32::from(codes[i]) - bias) as f32;
    }
}

#[inline(always)]
fn offset(codes: [u8; GROUP], scale: f32, add: f32, out: &mut [f32; GROUP]) {
    for i in 0..GROUP {
        out[i] = scale * i32::from(codes[i]) as f32 + add;
    }
}

impl Format for Q8_0 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 34;

    #[inline(always)]
    fn group(block: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 34] = block.try_into().expect("one block");
        let scale = scale_at(block, 0);
        for i in 0..GROUP {
            out[i] = scale * f32::from(block[2 + i] as i8);
        }
    }
}

impl Format for Q4_0 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 18;

    #[inline(always)]
    fn group(block: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 18] = block.try_into().expect("one block");
        scaled(nibbles(&block[2..]), 8, scale_at(block, 0), out);
    }
}

impl Format for Q4_1 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 20;

    #[inline(always)]
    fn group(block: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 20] = block.try_into().expect("one block");
        offset(nibbles(&block[4..]), scale_at(block, 0), scale_at(block, 2), out);
    }
}

impl Format for Q5_0 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 22;

    #[inline(always)]
    fn group(block: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 22] = block.try_into().expect("one block");
        scaled(five_bits(&block[2..6], &block[6..]), 16, scale_at(block, 0), out);
    }
}

impl Format for Q5_1 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 24;

    #[inline(always)]
    fn group(block: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 24] = block.try_into().expect("one block");
        offset(five_bits(&block[4..8], &block[8..]), scale_at(block, 0), scale_at(block, 2), out);
    }
}
