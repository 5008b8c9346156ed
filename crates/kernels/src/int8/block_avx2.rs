//! Putting a vector into int8 in AVX2.

use std::arch::x86_64::*;

use super::block::{BLOCK, CODE, GROUPS, Int8Block, MULTIPLIER, scales};
use crate::format::GROUP;

/// Fast twin of `block::quantize_block`.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn quantize_block(x: &[f32; BLOCK], block: &mut Int8Block) {
    let x = x.as_chunks::<8>().0;
    let largest = [0, 1].map(|half| largest_of_halves(x, half));
    let Some((scale, inverse)) = scales(f32::from_bits(largest_bits(largest))) else {
        *block = Int8Block::ZERO;
        return;
    };
    if scale.is_nan() {
        *block = Int8Block { scale, ..Int8Block::ZERO };
        return;
    }
    block.scale = scale;
    let of_code = _mm256_set1_ps(inverse / CODE as f32);
    let mut multipliers = [_mm256_setzero_si256(); 2];
    let mut inverses = [[0.0; GROUPS]; 2];
    for half in 0..2 {
        let least = _mm256_ceil_ps(_mm256_mul_ps(_mm256_castsi256_ps(largest[half]), of_code));
        let most = _mm256_min_epi32(_mm256_cvttps_epi32(least), _mm256_set1_epi32(MULTIPLIER));
        multipliers[half] = _mm256_max_epi32(most, _mm256_set1_epi32(1));
        let of_half = _mm256_div_ps(_mm256_set1_ps(inverse), _mm256_cvtepi32_ps(multipliers[half]));
        // SAFETY: an unaligned store of eight numbers to an array of eight.
        unsafe { _mm256_storeu_ps(inverses[half].as_mut_ptr(), of_half) };
    }
    // Packing works within halves of a vector: afterwards quarters 1 and 2 change places.
    let packed = _mm256_packs_epi32(multipliers[0], multipliers[1]);
    store_i16(_mm256_permute4x64_epi64::<0b11_01_10_00>(packed), &mut block.multipliers);
    let mut sums = [_mm256_setzero_si256(); GROUPS];
    for g in 0..GROUPS {
        let codes = round_group(&x[4 * g..4 * g + 4], [inverses[0][g], inverses[1][g]]);
        let out: &mut [i8; GROUP] = &mut block.codes.as_chunks_mut::<GROUP>().0[g];
        // SAFETY: an unaligned store of 32 bytes to an array of 32.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), codes) };
        sums[g] = fours(codes);
    }
    let four_groups = |g: usize| {
        let (a, b) = (_mm256_hadd_epi32(sums[g], sums[g + 1]), _mm256_hadd_epi32(sums[g + 2], sums[g + 3]));
        _mm256_hadd_epi32(a, b)
    };
    store_i16(_mm256_packs_epi32(four_groups(0), four_groups(4)), &mut block.sums);
}

/// Largest magnitudes, as bits, of half `half` of each of the eight groups.
#[inline]
#[target_feature(enable = "avx2")]
fn largest_of_halves(x: &[[f32; 8]], half: usize) -> __m256i {
    let eight = |g: usize| {
        let magnitude = |x| _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fff_ffff));
        let at = 4 * g + 2 * half;
        _mm256_max_epu32(magnitude(load(&x[at])), magnitude(load(&x[at + 1])))
    };
    // Two vectors to one that has both their largest numbers, then four, then eight.
    let two = |g: usize| {
        let (a, b) = (eight(g), eight(g + 1));
        _mm256_max_epu32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b))
    };
    let four = |g: usize| {
        let (a, b) = (two(g), two(g + 2));
        _mm256_max_epu32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b))
    };
    let (a, b) = (four(0), four(4));
    _mm256_max_epu32(_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b))
}

/// The largest of 16 numbers without a sign.
#[inline]
#[target_feature(enable = "avx2")]
fn largest_bits([a, b]: [__m256i; 2]) -> u32 {
    let eight = _mm256_max_epu32(a, b);
    let four = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_max_epu32(four, _mm_unpackhi_epi64(four, four));
    _mm_cvtsi128_si32(_mm_max_epu32(two, _mm_shuffle_epi32::<1>(two))) as u32
}

/// The 32 codes of a group; conversion rounds to the nearest, ties to even.
#[inline]
#[target_feature(enable = "avx2")]
fn round_group(x: &[[f32; 8]], inverses: [f32; 2]) -> __m256i {
    let rounded = |i: usize| {
        let scaled = _mm256_mul_ps(load(&x[i]), _mm256_set1_ps(inverses[i / 2]));
        _mm256_cvtps_epi32(scaled)
    };
    let first = _mm256_packs_epi32(rounded(0), rounded(1));
    let second = _mm256_packs_epi32(rounded(2), rounded(3));
    // Each half of the vector has every other four codes.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, second), order)
}

/// Sums of four codes.
#[inline]
#[target_feature(enable = "avx2")]
fn fours(codes: __m256i) -> __m256i {
    _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), codes), _mm256_set1_epi16(1))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(x: &[f32; 8]) -> __m256 {
    // SAFETY: an unaligned load of exactly the eight numbers of the array.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_i16(values: __m256i, out: &mut [i16; 2 * GROUPS]) {
    // SAFETY: an unaligned store of 16 numbers to an array of 16.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), values) };
}
