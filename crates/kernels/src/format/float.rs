//! Plain numbers: F32, F16, BF16.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(target_arch = "aarch64")]
use super::neon;
use super::{Format, GROUP};
#[cfg(target_arch = "aarch64")]
use crate::half_float::f16s_to_f32s;
use crate::half_float::{bf16_to_f32, f16_to_f32, u16_at};

pub(crate) struct F32;
pub(crate) struct F16;
pub(crate) struct Bf16;

/// Eight 16-bit numbers, `8 * k ..`.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn eight_halves(step: &[u8], k: usize) -> __m128i {
    let halves: &[u8; 16] = step[16 * k..16 * (k + 1)].try_into().expect("16 bytes");
    // SAFETY: an unaligned load of exactly the 16 bytes of the array.
    unsafe { _mm_loadu_si128(halves.as_ptr().cast()) }
}

/// The 16-bit numbers of a group, eight a vector, each half of a vector widened by `widen`.
#[cfg(target_arch = "aarch64")]
#[inline]
#[target_feature(enable = "neon")]
fn widened_neon(step: &[u8], widen: impl Fn(uint16x4_t) -> float32x4_t) -> [float32x4_t; 8] {
    let mut out = [vdupq_n_f32(0.0); 8];
    for k in 0..4 {
        let eight = vreinterpretq_u16_u8(neon::load_half(&step[16 * k..16 * (k + 1)]));
        out[2 * k] = widen(vget_low_u16(eight));
        out[2 * k + 1] = widen(vget_high_u16(eight));
    }
    out
}

impl Format for F32 {
    const WEIGHTS: usize = 1;
    const BYTES: usize = 4;

    #[inline(always)]
    fn group(step: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let step: &[u8; 4 * GROUP] = step.try_into().expect("32 numbers");
        for i in 0..GROUP {
            out[i] = Self::single(step, i);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn group_avx2(step: &[u8], _g: usize) -> [__m256; 4] {
        // SAFETY: the caller has promised the instructions; loads stay inside the array's 128 bytes.
        unsafe {
            let step: &[u8; 4 * GROUP] = step.try_into().expect("32 numbers");
            let mut out = [_mm256_setzero_ps(); 4];
            for k in 0..4 {
                out[k] = _mm256_loadu_ps(step.as_ptr().add(32 * k).cast());
            }
            out
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn group_neon(step: &[u8], _g: usize) -> [float32x4_t; 8] {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let mut out = [vdupq_n_f32(0.0); 8];
            for k in 0..8 {
                out[k] = vreinterpretq_f32_u8(neon::load_half(&step[16 * k..16 * (k + 1)]));
            }
            out
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
    fn group(step: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let step: &[u8; 2 * GROUP] = step.try_into().expect("32 numbers");
        for i in 0..GROUP {
            out[i] = Self::single(step, i);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn group_avx2(step: &[u8], _g: usize) -> [__m256; 4] {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let mut out = [_mm256_setzero_ps(); 4];
            for k in 0..4 {
                out[k] = _mm256_cvtph_ps(eight_halves(step, k));
            }
            out
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn group_neon(step: &[u8], _g: usize) -> [float32x4_t; 8] {
        // SAFETY: the caller has promised the instructions.
        unsafe { widened_neon(step, |halves| f16s_to_f32s(halves)) }
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
    fn group(step: &[u8], _g: usize, out: &mut [f32; GROUP]) {
        let step: &[u8; 2 * GROUP] = step.try_into().expect("32 numbers");
        for i in 0..GROUP {
            out[i] = Self::single(step, i);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn group_avx2(step: &[u8], _g: usize) -> [__m256; 4] {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let mut out = [_mm256_setzero_ps(); 4];
            for k in 0..4 {
                let wide = _mm256_cvtepu16_epi32(eight_halves(step, k));
                out[k] = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide));
            }
            out
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn group_neon(step: &[u8], _g: usize) -> [float32x4_t; 8] {
        // SAFETY: the caller has promised the instructions.
        unsafe { widened_neon(step, |halves| vreinterpretq_f32_u32(vshll_n_u16::<16>(halves))) }
    }

    #[inline(always)]
    fn single(bytes: &[u8], i: usize) -> f32 {
        bf16_to_f32(u16_at(bytes, i))
    }
}
