//! Blocks of 256 weights with quantised scales. Layouts: `block_q2_K` to `block_q6_K` in ggml-common.h.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::{GROUP, Quantised};

pub(crate) struct Q2K;
pub(crate) struct Q3K;
pub(crate) struct Q4K;
pub(crate) struct Q5K;
pub(crate) struct Q6K;

/// Bits `shift ..` of 32 bytes, as many as `mask` has.
#[inline(always)]
fn bits(bytes: &[u8], shift: usize, mask: u8) -> [i8; GROUP] {
    let bytes: &[u8; GROUP] = bytes.try_into().expect("32 bytes");
    bytes.map(|byte| ((byte >> shift) & mask) as i8)
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

/// 16 bytes of (scale, min) nibbles, 64 bytes of codes, d, dmin.
impl Quantised for Q2K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 84;
    const D: usize = 80;
    const DMIN: Option<usize> = Some(82);

    #[inline(always)]
    fn sub_scale(block: &[u8], g: usize, half: usize) -> i32 {
        i32::from(block[2 * g + half] & 15)
    }

    #[inline(always)]
    fn sub_min(block: &[u8], g: usize, half: usize) -> i32 {
        i32::from(block[2 * g + half] >> 4)
    }

    #[inline(always)]
    fn stored(block: &[u8], g: usize) -> [i8; GROUP] {
        bits(&block[16 + g / 4 * 32..][..32], 2 * (g % 4), 3)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::bits(avx2::load(&block[16 + g / 4 * 32..][..32]), 2 * (g % 4), 3) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { neon::signed(neon::bits(neon::load(&block[16 + g / 4 * 32..][..32]), 2 * (g % 4), 3)) }
    }
}

/// 32 bytes of third bits (bit `g` of byte `i` is weight `i` of group `g`), 64 bytes of low bits,
/// 12 bytes of scales, d. The third bit set means "not below zero": without it the code is 4 less.
impl Quantised for Q3K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 110;
    const D: usize = 108;
    const BIAS: i8 = 4;

    #[inline(always)]
    fn sub_scale(block: &[u8], g: usize, half: usize) -> i32 {
        three_bit_scale(&block[96..108], 2 * g + half)
    }

    #[inline(always)]
    fn stored(block: &[u8], g: usize) -> [i8; GROUP] {
        let mut codes = bits(&block[32 + g / 4 * 32..][..32], 2 * (g % 4), 3);
        for i in 0..GROUP {
            codes[i] |= (((block[i] >> g) & 1) << 2) as i8;
        }
        codes
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let low = avx2::bits(avx2::load(&block[32 + g / 4 * 32..][..32]), 2 * (g % 4), 3);
            let third = avx2::where_bit(avx2::load(&block[..32]), g, 4);
            _mm256_or_si256(low, third)
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let low = neon::bits(neon::load(&block[32 + g / 4 * 32..][..32]), 2 * (g % 4), 3);
            neon::or(low, neon::where_bit(neon::load(&block[..32]), g, 4))
        }
    }
}

/// d, dmin, 12 bytes of scales and minima, 128 bytes of nibbles: 64 weights per 32 bytes.
impl Quantised for Q4K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 144;
    const D: usize = 0;
    const DMIN: Option<usize> = Some(2);

    #[inline(always)]
    fn sub_scale(block: &[u8], g: usize, _half: usize) -> i32 {
        i32::from(six_bit_scale_and_min(&block[4..16], g).0)
    }

    #[inline(always)]
    fn sub_min(block: &[u8], g: usize, _half: usize) -> i32 {
        i32::from(six_bit_scale_and_min(&block[4..16], g).1)
    }

    #[inline(always)]
    fn stored(block: &[u8], g: usize) -> [i8; GROUP] {
        bits(&block[16 + g / 2 * 32..][..32], 4 * (g % 2), 15)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::bits(avx2::load(&block[16 + g / 2 * 32..][..32]), 4 * (g % 2), 15) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { neon::signed(neon::bits(neon::load(&block[16 + g / 2 * 32..][..32]), 4 * (g % 2), 15)) }
    }
}

/// As Q4_K with 32 bytes of fifth bits before the nibbles: bit `g` of byte `i` is weight `i` of
/// group `g`.
impl Quantised for Q5K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 176;
    const D: usize = 0;
    const DMIN: Option<usize> = Some(2);

    #[inline(always)]
    fn sub_scale(block: &[u8], g: usize, _half: usize) -> i32 {
        i32::from(six_bit_scale_and_min(&block[4..16], g).0)
    }

    #[inline(always)]
    fn sub_min(block: &[u8], g: usize, _half: usize) -> i32 {
        i32::from(six_bit_scale_and_min(&block[4..16], g).1)
    }

    #[inline(always)]
    fn stored(block: &[u8], g: usize) -> [i8; GROUP] {
        let mut codes = bits(&block[48 + g / 2 * 32..][..32], 4 * (g % 2), 15);
        for i in 0..GROUP {
            codes[i] |= (((block[16 + i] >> g) & 1) << 4) as i8;
        }
        codes
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let low = avx2::bits(avx2::load(&block[48 + g / 2 * 32..][..32]), 4 * (g % 2), 15);
            _mm256_or_si256(low, avx2::where_bit(avx2::load(&block[16..48]), g, 16))
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let low = neon::bits(neon::load(&block[48 + g / 2 * 32..][..32]), 4 * (g % 2), 15);
            neon::or(low, neon::where_bit(neon::load(&block[16..48]), g, 16))
        }
    }
}

/// 128 bytes of low nibbles, 64 bytes of top bit pairs, 16 signed scales, d. Of each half's four
/// groups, 0 and 1 are the low nibbles of its two 32-byte runs and 2 and 3 the high ones.
impl Quantised for Q6K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 210;
    const D: usize = 208;
    const BIAS: i8 = 32;

    #[inline(always)]
    fn sub_scale(block: &[u8], g: usize, half: usize) -> i32 {
        i32::from(block[192 + 2 * g + half] as i8)
    }

    #[inline(always)]
    fn stored(block: &[u8], g: usize) -> [i8; GROUP] {
        let (half, j) = (g / 4, g % 4);
        let mut codes = bits(&block[half * 64 + j % 2 * 32..][..32], j / 2 * 4, 15);
        let high = bits(&block[128 + half * 32..][..32], 2 * j, 3);
        for i in 0..GROUP {
            codes[i] |= high[i] << 4;
        }
        codes
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let (half, j) = (g / 4, g % 4);
            let low = avx2::bits(avx2::load(&block[half * 64 + j % 2 * 32..][..32]), j / 2 * 4, 15);
            let high = avx2::bits(avx2::load(&block[128 + half * 32..][..32]), 2 * j, 3);
            _mm256_or_si256(low, _mm256_slli_epi16::<4>(high))
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let (half, j) = (g / 4, g % 4);
            let low = neon::bits(neon::load(&block[half * 64 + j % 2 * 32..][..32]), j / 2 * 4, 15);
            let high = neon::bits(neon::load(&block[128 + half * 32..][..32]), 2 * j, 3);
            neon::or(low, high.map(|pairs| vshlq_n_u8::<4>(pairs)))
        }
    }
}
