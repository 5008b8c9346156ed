//! The block formats: how 32 consecutive weights become numbers.
//!
//! Every format gives its weights in groups of 32. A quantised weight is `scale * code - min` with
//! two roundings, never fused, where `scale` and `min` are themselves rounded to f32 (for K-quants
//! `d * sc` and `dmin * m`): the values ggml's `dequantize_row_*` give.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod float;
mod iq4;
mod k_quants;
mod legacy;
#[cfg(target_arch = "aarch64")]
mod neon;

pub(crate) use float::{Bf16, F16, F32};
pub(crate) use iq4::{Iq4Nl, Iq4Xs, VALUES as IQ4_VALUES};
pub(crate) use k_quants::{Q2K, Q3K, Q4K, Q5K, Q6K};
pub(crate) use legacy::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};

pub(crate) use k_quants::six_bit_scale_and_min;

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use crate::half_float::scale_at;

/// Weights of a group: the width of the canonical sum.
pub(crate) const GROUP: usize = 32;
const HALF: usize = GROUP / 2;

/// A format, as the loops over rows see it.
pub(crate) trait Format {
    /// Weights of one block; 1 for plain numbers.
    const WEIGHTS: usize;
    /// Bytes of one block.
    const BYTES: usize;
    /// Bytes the loops take at a time: one block, or 32 plain numbers.
    const STEP_BYTES: usize = if Self::WEIGHTS == 1 { GROUP * Self::BYTES } else { Self::BYTES };
    /// Groups in that many bytes.
    const STEP_GROUPS: usize = if Self::WEIGHTS == 1 { 1 } else { Self::WEIGHTS / GROUP };

    /// Weights `32 * g ..` of a step.
    fn group(step: &[u8], g: usize, out: &mut [f32; GROUP]);

    /// [`Format::group`] with the same bits, eight weights a vector.
    ///
    /// # Safety
    /// The processor has AVX2 and F16C.
    #[cfg(target_arch = "x86_64")]
    unsafe fn group_avx2(step: &[u8], g: usize) -> [__m256; 4];

    /// [`Format::group`] with the same bits, four weights a vector.
    ///
    /// # Safety
    /// The processor has NEON.
    #[cfg(target_arch = "aarch64")]
    unsafe fn group_neon(step: &[u8], g: usize) -> [float32x4_t; 8];

    /// One number of a plain format; block formats have no tails.
    fn single(_bytes: &[u8], _i: usize) -> f32 {
        unreachable!("rows of blocks are whole groups")
    }
}

/// A format whose weights are `scale * code - min` with `scale = d * sub_scale`, `min = dmin * sub_min`,
/// where `d` and `dmin` belong to a block and the small factors to half a group.
pub(crate) trait Quantised {
    /// Weights of one block.
    const WEIGHTS: usize;
    /// Bytes of one block.
    const BYTES: usize;
    /// Byte of a block where the f16 `d` lies.
    const D: usize;
    /// Byte of a block where the f16 `dmin` lies; without one, minima are 0. With one, stored codes are not
    /// negative.
    const DMIN: Option<usize> = None;

    /// Factor of `d` for half 0 or 1 of group `g`.
    #[inline(always)]
    fn sub_scale(_block: &[u8], _g: usize, _half: usize) -> i32 {
        1
    }

    /// Factor of `dmin` for half 0 or 1 of group `g`.
    #[inline(always)]
    fn sub_min(_block: &[u8], _g: usize, _half: usize) -> i32 {
        1
    }

    /// What is subtracted from a stored code; with a bias, stored codes are not negative.
    const BIAS: i8 = 0;

    /// The codes of group `g` as stored, before the bias.
    fn stored(block: &[u8], g: usize) -> [i8; GROUP];

    /// [`Quantised::stored`] in one vector.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    unsafe fn stored_avx2(block: &[u8], g: usize) -> __m256i;

    /// [`Quantised::stored`] in two vectors.
    ///
    /// # Safety
    /// The processor has NEON.
    #[cfg(target_arch = "aarch64")]
    unsafe fn stored_neon(block: &[u8], g: usize) -> [int8x16_t; 2];

    /// The codes of group `g`.
    #[inline(always)]
    fn codes(block: &[u8], g: usize) -> [i8; GROUP] {
        Self::stored(block, g).map(|code| code - Self::BIAS)
    }

    /// [`Quantised::codes`] in one vector.
    ///
    /// # Safety
    /// The processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn codes_avx2(block: &[u8], g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let stored = Self::stored_avx2(block, g);
            if Self::BIAS == 0 { stored } else { _mm256_sub_epi8(stored, _mm256_set1_epi8(Self::BIAS)) }
        }
    }

    /// [`Quantised::codes`] in two vectors.
    ///
    /// # Safety
    /// The processor has NEON.
    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn codes_neon(block: &[u8], g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let ([first, second], bias) = (Self::stored_neon(block, g), vdupq_n_s8(Self::BIAS));
            if Self::BIAS == 0 { [first, second] } else { [vsubq_s8(first, bias), vsubq_s8(second, bias)] }
        }
    }
}

impl<Q: Quantised> Format for Q {
    const WEIGHTS: usize = Q::WEIGHTS;
    const BYTES: usize = Q::BYTES;

    #[inline(always)]
    fn group(step: &[u8], g: usize, out: &mut [f32; GROUP]) {
        let (d, dmin) = (scale_at(step, Q::D), Q::DMIN.map(|at| scale_at(step, at)));
        let codes = Q::codes(step, g);
        for half in 0..2 {
            let scale = d * Q::sub_scale(step, g, half) as f32;
            let min = dmin.map_or(0.0, |dmin| dmin * Q::sub_min(step, g, half) as f32);
            for i in half * HALF..(half + 1) * HALF {
                out[i] = scale * f32::from(codes[i]) - min;
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn group_avx2(step: &[u8], g: usize) -> [__m256; 4] {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let (d, dmin) = (avx2::scale_at(step, Q::D), Q::DMIN.map(|at| avx2::scale_at(step, at)));
            let mut out = avx2::widen(Q::codes_avx2(step, g));
            for half in 0..2 {
                let scale = avx2::times(d, Q::sub_scale(step, g, half));
                let min = dmin.map(|dmin| avx2::times(dmin, Q::sub_min(step, g, half)));
                for out in &mut out[2 * half..2 * half + 2] {
                    *out = avx2::on_grid(*out, scale, min);
                }
            }
            out
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn group_neon(step: &[u8], g: usize) -> [float32x4_t; 8] {
        let (d, dmin) = (scale_at(step, Q::D), Q::DMIN.map(|at| scale_at(step, at)));
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let mut out = neon::widen(Q::codes_neon(step, g));
            for half in 0..2 {
                let scale = d * Q::sub_scale(step, g, half) as f32;
                let min = dmin.map(|dmin| dmin * Q::sub_min(step, g, half) as f32);
                for out in &mut out[4 * half..4 * half + 4] {
                    *out = neon::on_grid(*out, scale, min);
                }
            }
            out
        }
    }
}
