//! The small factors of a block of 256 in one vector: first halves of the groups, then second halves.

use std::arch::x86_64::*;

use super::Int8Format;
use crate::format::*;

// Blocks of 32 have one scale and no factors.
impl Int8Format for Q8_0 {
    const SIGNED: bool = true;
}
impl Int8Format for Q4_0 {}
impl Int8Format for Q5_0 {}
impl Int8Format for Iq4Nl {
    const SIGNED: bool = true;
}

impl Int8Format for Q2K {
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { halves_apart(_mm_and_si128(load_16(&block[..16]), _mm_set1_epi8(15))) }
    }

    #[inline(always)]
    unsafe fn mins_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let high = _mm_srli_epi16::<4>(load_16(&block[..16]));
            halves_apart(_mm_and_si128(high, _mm_set1_epi8(15)))
        }
    }
}

impl Int8Format for Q3K {
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // Low nibbles of scales 0 to 7 and of 8 to 15; the top pairs of scales i, i + 4, i + 8 and i + 12 share
        // byte i of the last four.
        let nibbles = u64::from_le_bytes(block[96..104].try_into().expect("8 bytes"));
        let pairs = u64::from(u32::from_le_bytes(block[104..108].try_into().expect("4 bytes")));
        let pairs = |shift: u32| (pairs >> shift & 0x0303_0303) << 4;
        let first = nibbles & 0x0f0f_0f0f_0f0f_0f0f | pairs(0) | pairs(2) << 32;
        let second = nibbles >> 4 & 0x0f0f_0f0f_0f0f_0f0f | pairs(4) | pairs(6) << 32;
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let scales = _mm_set_epi64x(second as i64, first as i64);
            halves_apart(_mm_sub_epi8(scales, _mm_set1_epi8(32)))
        }
    }
}

impl Int8Format for Q4K {
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { six_bits(block).0 }
    }

    #[inline(always)]
    unsafe fn mins_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { six_bits(block).1 }
    }
}

impl Int8Format for Q5K {
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { six_bits(block).0 }
    }

    #[inline(always)]
    unsafe fn mins_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { six_bits(block).1 }
    }
}

impl Int8Format for Q6K {
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { halves_apart(load_16(&block[192..208])) }
    }
}

impl Int8Format for Iq4Xs {
    const SIGNED: bool = true;

    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // Nibble g of the 32 low bits and pair g of the 16 top bits, each spread to a byte of its own.
        let low = u64::from(u32::from_le_bytes([block[4], block[5], block[6], block[7]]));
        let low = (low | low << 16) & 0x0000_ffff_0000_ffff;
        let low = (low | low << 8) & 0x00ff_00ff_00ff_00ff;
        let low = (low | low << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        let top = u64::from(u16::from_le_bytes([block[2], block[3]]));
        let top = (top | top << 24) & 0x0000_00ff_0000_00ff;
        let top = (top | top << 12) & 0x000f_000f_000f_000f;
        let top = (top | top << 6) & 0x0303_0303_0303_0303;
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let scales = _mm_cvtepu8_epi16(_mm_cvtsi64_si128((low | top << 4) as i64));
            _mm256_broadcastsi128_si256(_mm_sub_epi16(scales, _mm_set1_epi16(32)))
        }
    }
}

/// Eight scales and eight minima of Q4_K and Q5_K, twice each; the packing is at `six_bit_scale_and_min`.
#[inline]
#[target_feature(enable = "avx2")]
fn six_bits(block: &[u8]) -> (__m256i, __m256i) {
    let first = u64::from_le_bytes(block[4..12].try_into().expect("8 bytes"));
    let last = u64::from(u32::from_le_bytes(block[12..16].try_into().expect("4 bytes")));
    // Four scales, then four minima: of groups 0 to 3, then of groups 4 to 7.
    let low = first & 0x3f3f_3f3f_3f3f_3f3f;
    let nibbles = (last | last << 28) & 0x0f0f_0f0f_0f0f_0f0f;
    let high = nibbles | (first >> 2 & 0x3030_3030_3030_3030);
    let mixed = _mm_set_epi64x(high as i64, low as i64);
    let sorted = _mm256_cvtepu8_epi16(_mm_shuffle_epi32::<0b11_01_10_00>(mixed));
    (_mm256_permute2x128_si256::<0x00>(sorted, sorted), _mm256_permute2x128_si256::<0x11>(sorted, sorted))
}

/// 16 signed bytes in i16: the even ones, then the odd ones.
#[inline]
#[target_feature(enable = "avx2")]
fn halves_apart(bytes: __m128i) -> __m256i {
    let order = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    _mm256_cvtepi8_epi16(_mm_shuffle_epi8(bytes, order))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_16(bytes: &[u8]) -> __m128i {
    let bytes: &[u8; 16] = bytes.try_into().expect("16 bytes");
    // SAFETY: an unaligned load of exactly the 16 bytes of the array.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}
