//! Plain numbers: F32, F16, BF16.

use super::{Format, GROUP};
use crate::half_float::{bf16_to_f32, f16_to_f32, u16_at};

pub(crate) struct F32;
pub(crate) struct F16;
pub(crate) struct Bf16;

impl Format for F32 {
    const WEIGHTS: usize = 1;
    const BYTES: usize = 4;

    #[inline(always)]
    fn group(block: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 4 * GROUP] = block.try_into().expect("32 numbers");
        for i in 0..GROUP {
            out[i] = Self::single(block, i);
        }
    }

    #[inline(always)]
    fn single(bytes: &[u8], i: usize) -> f32 {
        f32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
    }
}

impl Format for F16 {
    const WEIGHTS: usize = 1;
    const BYTES: usize = 2;

    #[inline(always)]
    fn group(block: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 2 * GROUP] = block.try_into().expect("32 numbers");
        for i in 0..GROUP {
            out[i] = Self::single(block, i);
        }
    }

    #[inline(always)]
    fn single(bytes: &[u8], i: usize) -> f32 {
        f16_to_f32(u16_at(bytes, i))
    }
}

impl Format for Bf16 {
    const WEIGHTS: usize = 1;
    const BYTES: usize = 2;

    #[inline(always)]
    fn group(block: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let block: &[u8; 2 * GROUP] = block.try_into().expect("32 numbers");
        for i in 0..GROUP {
            out[i] = Self::single(block, i);
        }
    }

    #[inline(always)]
    fn single(bytes: &[u8], i: usize) -> f32 {
        bf16_to_f32(u16_at(bytes, i))
    }
}
