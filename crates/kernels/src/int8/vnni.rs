//! The definition in AVX-512 with VNNI: two groups to a vector, sum `l` of a vector of 16 being `I[l]` of even groups
//! and sum `l + 8` of odd ones.
//!
//! **One vector**: as in AVX2, with half the instructions.
//!
//! **Many vectors**: the definition with its factors multiplied in beforehand: `c * k` of a row's block and `m * q` of a vector's both
//! fit into i16 (at most 128 * 63 and 31 * 127), so that one instruction adds 32 products `(c * k) * (m * q)` to 16
//! sums of i32. (In AVX2 the same 32 products take four.) Widening costs as much as some products: a row is
//! widened once for all vectors, a vector once for all rows of a band.

use std::arch::x86_64::*;

use super::avx2::{Spreads, load_i16, prefetch, reduce, scale_at, spreads};
use super::block::GROUPS;
use super::{Int8Block, Int8Format, PANEL, TILE, Wide};

/// Vectors of 32 numbers in a [`Wide`]: even numbers of two groups, odd numbers of the two, and so on.
const CHUNKS: usize = GROUPS;
/// Sums of eight for each row of a panel and each vector of a tile: `I`, then `J`.
type Sums = [[[__m256; 2]; PANEL]; TILE];

/// Runs `body` for every pair of groups of a block with the pair a constant.
macro_rules! for_each_pair {
    ($pair:ident, $body:block) => { for_each_pair!(@ $pair $body 0 1 2 3) };
    (@ $pair:ident $body:block $($i:literal)*) => {{ $({ let $pair: usize = $i; $body })* }};
}

/// What is left of a row's block to be multiplied once its codes are.
#[derive(Clone, Copy)]
struct Scales {
    d: __m256,
    dmin: __m256,
    /// `c` and `n` of the half groups.
    factors: __m256i,
    minima: __m256i,
}

impl Scales {
    // SAFETY: numbers of all bits zero are zeros.
    const NONE: Self = unsafe { std::mem::zeroed() };
}

/// Fast twin of `scalar::dot` for each of some rows.
///
/// # Safety
/// The processor has AVX2, FMA, F16C, AVX-512 F, BW and VL, and AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn rows<Q: Int8Format>(rows: &[u8], row_bytes: usize, x: &[Int8Block], out: &mut [f32]) {
    let spreads = spreads();
    for (row, out) in rows.chunks_exact(row_bytes).zip(out) {
        let mut sums = [_mm256_setzero_ps(); 2];
        for (block, x) in row.chunks_exact(Q::BYTES).zip(x) {
            prefetch::<Q>(block);
            // SAFETY: the caller has promised the instructions.
            unsafe { one::<Q>(block, x, spreads, &mut sums) };
        }
        *out = reduce(sums);
    }
}

/// A block of a row times that of a vector.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn one<Q: Int8Format>(block: &[u8], x: &Int8Block, spreads: &Spreads, sums: &mut [__m256; 2]) {
    let block = &block[..Q::BYTES];
    // SAFETY: the caller has promised the instructions.
    let factors = unsafe { Q::scales_avx2(block) };
    let factors = _mm256_mullo_epi16(factors, load_i16(&x.multipliers));
    let mut products = _mm512_setzero_si512();
    for_each_pair!(pair, {
        // SAFETY: the same promise.
        let pairs = _mm512_maddubs_epi16(unsafe { Q::stored_avx512(block, pair) }, codes(x, pair));
        let factors = _mm512_shuffle_epi8(together(factors, factors), spread(spreads, pair));
        products = dot_pairs(products, pairs, factors);
    });
    let scales = Scales {
        d: scale_at(block, Q::D),
        dmin: Q::DMIN.map_or(_mm256_setzero_ps(), |at| scale_at(block, at)),
        // SAFETY: the same promise.
        minima: if Q::DMIN.is_some() { unsafe { Q::mins_avx2(block) } } else { factors },
        factors,
    };
    add::<Q>(products, factors, &scales, x, sums);
}

/// `PANEL` rows of `row_bytes`, one after the other, times each of `vectors` (at most `TILE`): `out[vector][row]`.
/// `wide` holds the widened blocks of the vectors, one vector after the other.
///
/// # Safety
/// The processor has AVX2, FMA, F16C, AVX-512 F, BW and VL, and AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn panel<Q: Int8Format>(
    rows: &[u8],
    row_bytes: usize,
    wide: &[Wide],
    vectors: &[&[Int8Block]],
    out: &mut [[f32; PANEL]; TILE],
) {
    let blocks = row_bytes / Q::BYTES;
    let mut sums: Sums = [[[_mm256_setzero_ps(); 2]; PANEL]; TILE];
    let mut weights = [Wide::ZERO; PANEL];
    for at in 0..blocks {
        let mut scales = [Scales::NONE; PANEL];
        for r in 0..PANEL {
            let block = &rows[r * row_bytes + at * Q::BYTES..][..Q::BYTES];
            // SAFETY: the caller has promised the instructions.
            scales[r] = unsafe { widen_row::<Q>(block, &mut weights[r]) };
        }
        let part = |v: usize| (&wide[v * blocks + at], &vectors[v][at]);
        let mut v = 0;
        while v + 2 <= vectors.len() {
            multiply::<Q, 2>(&weights, &scales, [part(v), part(v + 1)], &mut sums[v..v + 2]);
            v += 2;
        }
        if v < vectors.len() {
            multiply::<Q, 1>(&weights, &scales, [part(v)], &mut sums[v..]);
        }
    }
    for (out, sums) in out.iter_mut().zip(&sums).take(vectors.len()) {
        for r in 0..PANEL {
            out[r] = reduce(sums[r]);
        }
    }
}

/// A block of `PANEL` rows times that of `N` vectors.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
fn multiply<Q: Int8Format, const N: usize>(
    weights: &[Wide; PANEL],
    scales: &[Scales; PANEL],
    xs: [(&Wide, &Int8Block); N],
    sums: &mut [[[__m256; 2]; PANEL]],
) {
    let mut products = [[_mm512_setzero_si512(); PANEL]; N];
    for i in 0..CHUNKS {
        for r in 0..PANEL {
            let weights = load(&weights[r], i);
            for n in 0..N {
                products[n][r] = dot_pairs(products[n][r], weights, load(xs[n].0, i));
            }
        }
    }
    for n in 0..N {
        let x = xs[n].1;
        for (r, scales) in scales.iter().enumerate() {
            let factors = match Q::BIAS {
                0 => scales.factors,
                _ => _mm256_mullo_epi16(scales.factors, load_i16(&x.multipliers)),
            };
            add::<Q>(products[n][r], factors, scales, x, &mut sums[n][r]);
        }
    }
}

/// `_mm512_dpwssd_epi32`, which the compiler would take apart again, into two instructions.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn dot_pairs(mut sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: the instruction is there, and reads and writes these registers only.
    unsafe {
        std::arch::asm!(
            "vpdpwssd {0}, {1}, {2}",
            inout(zmm_reg) sums, in(zmm_reg) a, in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Adds what a block gives to the running sums. `factors`: `c * m`, needed with a bias only.
#[inline]
#[target_feature(enable = "avx2,fma,avx512f")]
fn add<Q: Int8Format>(
    products: __m512i,
    factors: __m256i,
    scales: &Scales,
    x: &Int8Block,
    [i_sum, j_sum]: &mut [__m256; 2],
) {
    let (even, odd) = (_mm512_castsi512_si256(products), _mm512_extracti64x4_epi64::<1>(products));
    let mut product = _mm256_add_epi32(even, odd);
    if Q::BIAS != 0 {
        let biases = _mm256_madd_epi16(factors, load_i16(&x.sums));
        let biases = _mm256_mullo_epi32(biases, _mm256_set1_epi32(i32::from(Q::BIAS)));
        product = _mm256_sub_epi32(product, biases);
    }
    let of_vector = _mm256_set1_ps(x.scale);
    *i_sum = _mm256_fmadd_ps(_mm256_mul_ps(scales.d, of_vector), _mm256_cvtepi32_ps(product), *i_sum);
    if Q::DMIN.is_some() {
        let factors = _mm256_mullo_epi16(scales.minima, load_i16(&x.multipliers));
        let minima = _mm256_cvtepi32_ps(_mm256_madd_epi16(factors, load_i16(&x.sums)));
        *j_sum = _mm256_fnmadd_ps(_mm256_mul_ps(scales.dmin, of_vector), minima, *j_sum);
    }
}

/// `c * k` of a row's block.
#[inline]
#[target_feature(enable = "avx2,f16c,avx512f,avx512bw")]
unsafe fn widen_row<Q: Int8Format>(block: &[u8], out: &mut Wide) -> Scales {
    let spreads = spreads();
    // SAFETY: the caller has promised the instructions.
    let factors = unsafe { Q::scales_avx2(block) };
    for_each_pair!(pair, {
        // SAFETY: the same promise.
        let stored = unsafe { Q::stored_avx512(block, pair) };
        widen(stored, factors, spread(spreads, pair), pair, out);
    });
    Scales {
        d: scale_at(block, Q::D),
        dmin: Q::DMIN.map_or(_mm256_setzero_ps(), |at| scale_at(block, at)),
        factors,
        // SAFETY: the same promise.
        minima: if Q::DMIN.is_some() { unsafe { Q::mins_avx2(block) } } else { factors },
    }
}

/// `m * q` of a vector's block.
///
/// # Safety
/// The processor has AVX2, AVX-512 F and BW.
#[target_feature(enable = "avx2,avx512f,avx512bw")]
pub(super) unsafe fn widen_block(block: &Int8Block, out: &mut Wide) {
    let (factors, spreads) = (load_i16(&block.multipliers), spreads());
    for pair in 0..GROUPS / 2 {
        widen(codes(block, pair), factors, spread(spreads, pair), pair, out);
    }
}

/// The codes of groups `2 pair` and `2 pair + 1` times their factors.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw")]
fn widen(codes: __m512i, factors: __m256i, spread: __m512i, pair: usize, out: &mut Wide) {
    let factors = _mm512_shuffle_epi8(together(factors, factors), spread);
    let even = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(codes));
    let odd = _mm512_srai_epi16::<8>(codes);
    store(_mm512_mullo_epi16(even, factors), out, 2 * pair);
    store(_mm512_mullo_epi16(odd, factors), out, 2 * pair + 1);
}

/// The shuffle that spreads the factors of two groups.
#[inline]
#[target_feature(enable = "avx512f")]
fn spread(spreads: &Spreads, pair: usize) -> __m512i {
    let both: &[[i16; 16]; 2] = &spreads.0.as_chunks().0[pair];
    // SAFETY: an unaligned load of exactly the 64 bytes of the arrays.
    unsafe { _mm512_loadu_si512(both.as_ptr().cast()) }
}

/// The codes of two groups.
#[inline]
#[target_feature(enable = "avx512f")]
fn codes(x: &Int8Block, pair: usize) -> __m512i {
    let codes: &[i8; 64] = &x.codes.as_chunks().0[pair];
    // SAFETY: an unaligned load of exactly the 64 bytes of the array.
    unsafe { _mm512_loadu_si512(codes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,avx512f")]
pub(crate) fn together(low: __m256i, high: __m256i) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(wide: &Wide, i: usize) -> __m512i {
    let numbers: &[i16; 32] = &wide.0.as_chunks().0[i];
    // SAFETY: an unaligned load of exactly the 64 bytes of the array.
    unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(values: __m512i, wide: &mut Wide, i: usize) {
    let numbers: &mut [i16; 32] = &mut wide.0.as_chunks_mut().0[i];
    // SAFETY: an unaligned store of exactly the 64 bytes of the array.
    unsafe { _mm512_storeu_si512(numbers.as_mut_ptr().cast(), values) };
}

/// Bits of 32 bytes, as many as `mask` has: from `shifts[0]` on, then from `shifts[1]` on.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw")]
pub(super) fn bits_of_32(bytes: &[u8], shifts: [i16; 2], mask: i8) -> __m512i {
    let bytes: &[u8; 32] = bytes.try_into().expect("32 bytes");
    // SAFETY: an unaligned load of exactly the 32 bytes of the array.
    let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
    // Bits of the neighbouring byte that the 16-bit shift brings in fall to the mask.
    let shifts = together(_mm256_set1_epi16(shifts[0]), _mm256_set1_epi16(shifts[1]));
    _mm512_and_si512(_mm512_srlv_epi16(_mm512_broadcast_i64x4(bytes), shifts), _mm512_set1_epi8(mask))
}

/// Bits `shift ..` of 64 bytes, as many as `mask` has.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn bits_of_64(bytes: &[u8], shift: u32, mask: i8) -> __m512i {
    let bytes: &[u8; 64] = bytes.try_into().expect("64 bytes");
    // SAFETY: an unaligned load of exactly the 64 bytes of the array.
    let bytes = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
    _mm512_and_si512(_mm512_srl_epi16(bytes, _mm_cvtsi32_si128(shift as i32)), _mm512_set1_epi8(mask))
}
