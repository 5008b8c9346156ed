//! Leaves of the AVX2 formats: 32 codes to a vector of bytes, bytes to f32.

use std::arch::x86_64::*;

use super::{GROUP, HALF};
use crate::half_float::u16_at;

/// 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(bytes: &[u8]) -> __m256i {
    let bytes: &[u8; GROUP] = bytes.try_into().expect("32 bytes");
    // SAFETY: an unaligned load of exactly the 32 bytes of the array.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Nibbles of 16 bytes: the low ones are codes 0 to 15, the high ones 16 to 31.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn nibbles_of_16(bytes: &[u8]) -> __m256i {
    let bytes: &[u8; HALF] = bytes.try_into().expect("16 bytes");
    // SAFETY: an unaligned load of exactly the 16 bytes of the array.
    let low = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(low), low);
    _mm256_and_si256(both, _mm256_set1_epi8(15))
}

/// Bits `shift ..` of every byte, as many as `mask` has.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn bits(bytes: __m256i, shift: usize, mask: i8) -> __m256i {
    // Bits of the neighbouring byte that the 16-bit shift brings in fall to the mask.
    let shifted = _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(shift as i32));
    _mm256_and_si256(shifted, _mm256_set1_epi8(mask))
}

/// `value` for every byte with bit `bit` set, else 0.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn where_bit(bytes: __m256i, bit: usize, value: i8) -> __m256i {
    let bit = _mm256_set1_epi8((1u8 << bit) as i8);
    let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
    _mm256_and_si256(set, _mm256_set1_epi8(value))
}

/// `value` in byte `i` where bit `i` of `mask` is set, else 0.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn where_mask(mask: u32, value: i8) -> __m256i {
    // Byte i of the vector gets byte i / 8 of the mask, of which bit i % 8 is tested.
    let spread = _mm256_set_epi64x(
        0x0303_0303_0303_0303,
        0x0202_0202_0202_0202,
        0x0101_0101_0101_0101,
        0x0000_0000_0000_0000,
    );
    let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(mask as i32), spread);
    let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
    let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
    _mm256_and_si256(set, _mm256_set1_epi8(value))
}

/// `table[code]` for codes 0 to 15.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn looked_up(table: &[i8; 16], codes: __m256i) -> __m256i {
    // SAFETY: an unaligned load of exactly the 16 bytes of the table.
    let table = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
    _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), codes)
}

/// 32 signed bytes as f32.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn widen(codes: __m256i) -> [__m256; 4] {
    let (low, high) = (_mm256_castsi256_si128(codes), _mm256_extracti128_si256::<1>(codes));
    [
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(low)),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(low, low))),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high)),
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(high, high))),
    ]
}

/// The f16 scale at byte `at` of a block, in every lane.
///
/// Broadcast before it is widened: a lone f16 would be put into some register whose other lanes are
/// still being computed, and wait for them.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) fn scale_at(block: &[u8], at: usize) -> __m256 {
    _mm256_cvtph_ps(_mm_set1_epi16(u16_at(&block[at..at + 2], 0) as i16))
}

/// `scale * factor`
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn times(scale: __m256, factor: i32) -> __m256 {
    _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_set1_epi32(factor)))
}

/// `scale * code - min`, two roundings.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn on_grid(code: __m256, scale: __m256, min: Option<__m256>) -> __m256 {
    let scaled = _mm256_mul_ps(scale, code);
    match min {
        Some(min) => _mm256_sub_ps(scaled, min),
        None => scaled,
    }
}
