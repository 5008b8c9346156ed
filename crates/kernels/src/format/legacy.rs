//! Blocks of 32 weights with one f16 scale (and, for the `_1` types, one f16 offset).
//! Layouts: `block_q4_0`, `block_q4_1`, `block_q5_0`, `block_q5_1`, `block_q8_0` in ggml-common.h.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::{GROUP, HALF, Quantised};

pub(crate) struct Q8_0;
pub(crate) struct Q4_0;
pub(crate) struct Q4_1;
pub(crate) struct Q5_0;
pub(crate) struct Q5_1;

/// Nibbles of 16 bytes: the low ones are weights 0 to 15, the high ones 16 to 31.
#[inline(always)]
pub(super) fn nibbles(bytes: &[u8]) -> [i8; GROUP] {
    let bytes: &[u8; HALF] = bytes.try_into().expect("16 bytes");
    let mut out = [0; GROUP];
    for i in 0..HALF {
        out[i] = (bytes[i] & 15) as i8;
        out[i + HALF] = (bytes[i] >> 4) as i8;
    }
    out
}

/// The 32 fifth bits at byte `at`: bit `i` belongs to weight `i`.
#[inline(always)]
fn fifth_bits(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

#[inline(always)]
fn five_bits(high: u32, low: &[u8]) -> [i8; GROUP] {
    let mut out = nibbles(low);
    for i in 0..GROUP {
        out[i] |= (((high >> i) & 1) << 4) as i8;
    }
    out
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn five_bits_avx2(high: u32, low: &[u8]) -> __m256i {
    _mm256_or_si256(avx2::nibbles_of_16(low), avx2::where_mask(high, 16))
}

#[cfg(target_arch = "aarch64")]
#[inline]
#[target_feature(enable = "neon")]
fn five_bits_neon(high: u32, low: &[u8]) -> [int8x16_t; 2] {
    neon::or(neon::nibbles_of_16(low), neon::where_mask(high, 16))
}

impl Quantised for Q8_0 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 34;
    const D: usize = 0;

    #[inline(always)]
    fn stored(block: &[u8], _g: usize) -> [i8; GROUP] {
        let codes: &[u8; GROUP] = block[2..34].try_into().expect("32 bytes");
        codes.map(|code| code as i8)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], _g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::load(&block[2..34]) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], _g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { neon::signed(neon::load(&block[2..34])) }
    }
}

impl Quantised for Q4_0 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 18;
    const D: usize = 0;
    const BIAS: i8 = 8;

    #[inline(always)]
    fn stored(block: &[u8], _g: usize) -> [i8; GROUP] {
        nibbles(&block[2..18])
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], _g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::nibbles_of_16(&block[2..18]) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], _g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { neon::signed(neon::nibbles_of_16(&block[2..18])) }
    }
}

// The `_1` types add their offset: it is a minimum times -1, which changes no bit.
impl Quantised for Q4_1 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 20;
    const D: usize = 0;
    const DMIN: Option<usize> = Some(2);

    #[inline(always)]
    fn sub_min(_block: &[u8], _g: usize, _half: usize) -> i32 {
        -1
    }

    #[inline(always)]
    fn stored(block: &[u8], _g: usize) -> [i8; GROUP] {
        nibbles(&block[4..20])
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], _g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::nibbles_of_16(&block[4..20]) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], _g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { neon::signed(neon::nibbles_of_16(&block[4..20])) }
    }
}

impl Quantised for Q5_0 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 22;
    const D: usize = 0;
    const BIAS: i8 = 16;

    #[inline(always)]
    fn stored(block: &[u8], _g: usize) -> [i8; GROUP] {
        five_bits(fifth_bits(block, 2), &block[6..22])
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], _g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { five_bits_avx2(fifth_bits(block, 2), &block[6..22]) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], _g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { five_bits_neon(fifth_bits(block, 2), &block[6..22]) }
    }
}

impl Quantised for Q5_1 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 24;
    const D: usize = 0;
    const DMIN: Option<usize> = Some(2);

    #[inline(always)]
    fn sub_min(_block: &[u8], _g: usize, _half: usize) -> i32 {
        -1
    }

    #[inline(always)]
    fn stored(block: &[u8], _g: usize) -> [i8; GROUP] {
        five_bits(fifth_bits(block, 4), &block[8..24])
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx2(block: &[u8], _g: usize) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { five_bits_avx2(fifth_bits(block, 4), &block[8..24]) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn stored_neon(block: &[u8], _g: usize) -> [int8x16_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { five_bits_neon(fifth_bits(block, 4), &block[8..24]) }
    }
}
