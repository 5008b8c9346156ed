//! The definition in AVX2.

use std::arch::x86_64::*;
use std::hint::black_box;

use super::block::GROUPS;
use super::{Int8Block, Int8Format};
use crate::format::GROUP;
use crate::half_float::u16_at;

/// Running sums 0 to 7 and 8 to 15 of each vector.
type Sums<const N: usize> = [[__m256; 2]; N];

/// Bytes of weights between those being multiplied and those asked for.
const AHEAD: usize = 4096;
/// Bytes that memory gives at once.
const LINE: usize = 64;

/// Runs `body` for every group of a block with `g` a constant.
macro_rules! for_each_group {
    ($g:ident, $body:block) => { for_each_group!(@ $g $body 0 1 2 3 4 5 6 7) };
    (@ $g:ident $body:block $($i:literal)*) => {{ $({ let $g: usize = $i; $body })* }};
}

/// Fast twin of `scalar::dot` for each of some rows.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn rows<Q: Int8Format>(rows: &[u8], row_bytes: usize, x: &[Int8Block], out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(row_bytes).zip(out) {
        // SAFETY: the same promise.
        [*out] = unsafe { dots::<Q, 1>(row, [x]) };
    }
}

/// Fast twin of `scalar::dot` for `N` vectors.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn dots<Q: Int8Format, const N: usize>(row: &[u8], xs: [&[Int8Block]; N]) -> [f32; N] {
    let steps = row.chunks_exact(Q::STEP);
    let (tail, whole) = (steps.remainder(), steps.len());
    let (mut sums, spreads): (Sums<N>, _) = ([[_mm256_setzero_ps(); 2]; N], spreads());
    for (at, step) in steps.enumerate() {
        let x = xs.map(|x| &x[at]);
        // Measured: with blocks of 32 or more vectors it gains nothing.
        if N == 1 && Q::WEIGHTS > GROUP {
            prefetch::<Q>(step);
        }
        // SAFETY: the same promise.
        unsafe {
            if Q::WEIGHTS == GROUP {
                small_blocks::<Q, N>(step, x, spreads, &mut sums);
            } else {
                large_block::<Q, N>(step, x, spreads, &mut sums);
            }
        }
    }
    if !tail.is_empty() {
        // SAFETY: the same promise. Only rows of small blocks have a tail.
        unsafe { small_blocks::<Q, N>(tail, xs.map(|x| &x[whole]), spreads, &mut sums) };
    }
    let mut out = [0.0; N];
    for n in 0..N {
        out[n] = reduce(sums[n]);
    }
    out
}

/// Asks for weights that lie [`AHEAD`] bytes on, also beyond the row: rows follow one another.
#[inline(always)]
pub(super) fn prefetch<Q: Int8Format>(step: &[u8]) {
    for line in (0..Q::STEP).step_by(LINE) {
        // SAFETY: an address is only hinted at, and may be any.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(step.as_ptr().wrapping_add(AHEAD + line).cast()) };
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn large_block<Q: Int8Format, const N: usize>(
    block: &[u8],
    xs: [&Int8Block; N],
    spreads: &Spreads,
    sums: &mut Sums<N>,
) {
    let block = &block[..Q::BYTES];
    // SAFETY: the caller has promised the instructions.
    let factors = unsafe { Q::scales_avx2(block) };
    // The factor of a weight: of its half group, times the multiplier of the group.
    let factors = xs.map(|x| _mm256_mullo_epi16(factors, load_i16(&x.multipliers)));
    let mut products = [_mm256_setzero_si256(); N];
    for_each_group!(g, {
        // SAFETY: the same promise.
        let stored = unsafe { Q::stored_avx2(block, g) };
        for n in 0..N {
            let pairs = pairs::<Q>(stored, codes(xs[n], g));
            let quads = _mm256_madd_epi16(pairs, spread(factors[n], g, spreads));
            products[n] = _mm256_add_epi32(products[n], quads);
        }
        if N > 2 {
            in_order(&mut products);
        }
    });
    let d = scale_at(block, Q::D);
    for n in 0..N {
        if Q::BIAS != 0 {
            let biases = _mm256_madd_epi16(factors[n], load_i16(&xs[n].sums));
            let biases = _mm256_mullo_epi32(biases, _mm256_set1_epi32(i32::from(Q::BIAS)));
            products[n] = _mm256_sub_epi32(products[n], biases);
        }
        let scale = _mm256_mul_ps(d, _mm256_set1_ps(xs[n].scale));
        sums[n][0] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(products[n]), sums[n][0]);
    }
    if let Some(at) = Q::DMIN {
        let dmin = scale_at(block, at);
        // SAFETY: the same promise.
        let factors = unsafe { Q::mins_avx2(block) };
        for n in 0..N {
            let factors = _mm256_mullo_epi16(factors, load_i16(&xs[n].multipliers));
            let minima = _mm256_cvtepi32_ps(_mm256_madd_epi16(factors, load_i16(&xs[n].sums)));
            let scale = _mm256_mul_ps(dmin, _mm256_set1_ps(xs[n].scale));
            sums[n][1] = _mm256_fnmadd_ps(scale, minima, sums[n][1]);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn small_blocks<Q: Int8Format, const N: usize>(
    blocks: &[u8],
    xs: [&Int8Block; N],
    spreads: &Spreads,
    sums: &mut Sums<N>,
) {
    let count = blocks.len() / Q::BYTES;
    let mut d = [0; GROUPS];
    for g in 0..GROUPS {
        d[g] = if g < count { u16_at(&blocks[g * Q::BYTES + Q::D..][..2], 0) } else { 0 };
    }
    let d = widened(d);
    // Through memory: from there a number goes to all lanes for nothing, from a register it takes a shuffle.
    let mut scales = [[0.0; GROUPS]; N];
    for n in 0..N {
        store(_mm256_mul_ps(d, _mm256_set1_ps(xs[n].scale)), &mut scales[n]);
    }
    let scales = black_box(&scales);
    for_each_group!(g, {
        if g < count {
            // SAFETY: the caller has promised the instructions.
            let stored = unsafe { Q::stored_avx2(&blocks[g * Q::BYTES..][..Q::BYTES], 0) };
            for n in 0..N {
                let pairs = unbiased_pairs::<Q>(stored, codes(xs[n], g));
                let quads = _mm256_madd_epi16(pairs, spread(load_i16(&xs[n].multipliers), g, spreads));
                let sum = &mut sums[n][g % 2];
                *sum = _mm256_fmadd_ps(_mm256_set1_ps(scales[n][g]), _mm256_cvtepi32_ps(quads), *sum);
            }
        }
    });
}

/// Keeps the compiler from putting off what these sums take: it would do one vector after the other, with the
/// codes of a whole block in registers that it does not have.
#[inline]
#[target_feature(enable = "avx2")]
fn in_order<const N: usize>(sums: &mut [__m256i; N]) {
    for sum in sums {
        // SAFETY: no instruction; the register is what it was.
        unsafe {
            std::arch::asm!("/* {0} */", inout(ymm_reg) * sum, options(pure, nomem, nostack, preserves_flags))
        };
    }
}

/// Sums of two products of a stored code, less its bias, and a code, in i16.
#[inline]
#[target_feature(enable = "avx2")]
fn unbiased_pairs<Q: Int8Format>(stored: __m256i, codes: __m256i) -> __m256i {
    let pairs = pairs::<Q>(stored, codes);
    if Q::BIAS == 0 {
        return pairs;
    }
    _mm256_sub_epi16(pairs, _mm256_maddubs_epi16(_mm256_set1_epi8(Q::BIAS), codes))
}

/// Eight f16 numbers.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn widened(halves: [u16; GROUPS]) -> __m256 {
    let [a, b, c, d, e, f, g, h] = halves.map(|half| half as i16);
    _mm256_cvtph_ps(_mm_setr_epi16(a, b, c, d, e, f, g, h))
}

/// Sums of two products of a stored code and a code, in i16.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs<Q: Int8Format>(stored: __m256i, codes: __m256i) -> __m256i {
    // With a bias or minima, stored codes have no sign.
    if Q::BIAS == 0 && Q::DMIN.is_none() {
        // w * q = |w| * (q with the sign of w); -128 becomes 128 without a sign.
        _mm256_maddubs_epi16(_mm256_abs_epi8(stored), _mm256_sign_epi8(codes, stored))
    } else {
        _mm256_maddubs_epi16(stored, codes)
    }
}

/// The shuffles of [`spread`].
#[repr(align(32))]
pub(super) struct Spreads(pub(super) [[i16; 16]; GROUPS]);

static SPREADS: Spreads = {
    let mut spreads = [[0; 16]; GROUPS];
    let mut g = 0;
    while g < GROUPS {
        // Bytes 2 g and 2 g + 1, everywhere.
        spreads[g] = [(0x0100 + 0x0202 * g) as i16; 16];
        g += 1;
    }
    Spreads(spreads)
};

/// The shuffles, hidden from the compiler: it takes apart those that it knows, into two instructions each.
#[inline(always)]
pub(super) fn spreads() -> &'static Spreads {
    black_box(&SPREADS)
}

/// Number `g` of each half of a vector of i16, in all places of that half.
#[inline]
#[target_feature(enable = "avx2")]
fn spread(values: __m256i, g: usize, spreads: &Spreads) -> __m256i {
    _mm256_shuffle_epi8(values, load_i16(&spreads.0[g]))
}

/// Eight scales and eight minima, twice each, from those of groups 0 to 3 and of groups 4 to 7 in bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn eights_twice([low, high]: [u64; 2]) -> (__m256i, __m256i) {
    let mixed = _mm_set_epi64x(high as i64, low as i64);
    let sorted = _mm256_cvtepu8_epi16(_mm_shuffle_epi32::<0b11_01_10_00>(mixed));
    (_mm256_permute2x128_si256::<0x00>(sorted, sorted), _mm256_permute2x128_si256::<0x11>(sorted, sorted))
}

/// 16 signed bytes in i16: the even ones, then the odd ones.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn halves_apart(bytes: __m128i) -> __m256i {
    let order = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    _mm256_cvtepi8_epi16(_mm_shuffle_epi8(bytes, order))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_16(bytes: &[u8]) -> __m128i {
    let bytes: &[u8; 16] = bytes.try_into().expect("16 bytes");
    // SAFETY: an unaligned load of exactly the 16 bytes of the array.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn codes(x: &Int8Block, g: usize) -> __m256i {
    let codes: &[i8; GROUP] = &x.codes.as_chunks::<GROUP>().0[g];
    // SAFETY: an unaligned load of exactly the 32 bytes of the array.
    unsafe { _mm256_loadu_si256(codes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_i16(values: &[i16; 2 * GROUPS]) -> __m256i {
    // SAFETY: an unaligned load of exactly the 32 bytes of the array.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(values: __m256, out: &mut [f32; GROUPS]) {
    // SAFETY: an unaligned store of eight numbers to an array of eight.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), values) };
}

/// The f16 scale at byte `at` of a block, in every lane.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(super) fn scale_at(block: &[u8], at: usize) -> __m256 {
    _mm256_cvtph_ps(_mm_set1_epi16(u16_at(&block[at..at + 2], 0) as i16))
}

/// The tree of `super::reduce`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn reduce([low, high]: [__m256; 2]) -> f32 {
    let eight = _mm256_add_ps(low, high);
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}
