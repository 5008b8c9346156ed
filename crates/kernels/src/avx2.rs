//! The loops over a row in AVX2: the canonical order with four vectors of eight running sums.

use std::arch::x86_64::*;

use bytemuck::cast_slice;

use crate::dot::{dequantize_tail, finish};
use crate::format::{F32, Format, GROUP};

/// Runs `body` for every group of a step with `g` a constant: the places of a group's codes and scales
/// in a block of 256 are then part of the instructions, where a loop would work them out every time.
macro_rules! for_each_group {
    ($format:ty, $g:ident, $body:block) => {
        if <$format>::STEP_GROUPS == 1 {
            for_each_group!(@ $g $body 0)
        } else {
            for_each_group!(@ $g $body 0 1 2 3 4 5 6 7)
        }
    };
    (@ $g:ident $body:block $($i:literal)*) => {{ $({ let $g: usize = $i; $body })* }};
}

/// Fast twin of `scalar::dequantize_row`; `row` is `out.len()` weights.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn dequantize<B: Format>(row: &[u8], out: &mut [f32]) {
    let (steps, mut outs) = (row.chunks_exact(B::STEP_BYTES), out.chunks_exact_mut(GROUP * B::STEP_GROUPS));
    let tail = steps.remainder();
    for (step, out) in steps.zip(&mut outs) {
        let out = out.as_chunks_mut::<GROUP>().0;
        for_each_group!(B, g, {
            // SAFETY: the same promise.
            store(unsafe { B::group_avx2(step, g) }, &mut out[g]);
        });
    }
    dequantize_tail::<B>(tail, outs.into_remainder());
}

/// Fast twin of `scalar::dot`; `row` is `x.len()` weights.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn dot<B: Format>(row: &[u8], x: &[f32]) -> f32 {
    let (steps, xs) = (row.chunks_exact(B::STEP_BYTES), x.chunks_exact(GROUP * B::STEP_GROUPS));
    let (tail, x_tail) = (steps.remainder(), xs.remainder());
    let mut acc = [_mm256_setzero_ps(); 4];
    for (step, x) in steps.zip(xs) {
        let x = x.as_chunks::<GROUP>().0;
        for_each_group!(B, g, {
            // SAFETY: the same promise.
            let w = unsafe { B::group_avx2(step, g) };
            let x = load(&x[g]);
            for k in 0..4 {
                acc[k] = _mm256_fmadd_ps(w[k], x[k], acc[k]);
            }
        });
    }
    if x_tail.is_empty() {
        return reduce(acc);
    }
    let mut sums = [0.0; GROUP];
    store(acc, &mut sums);
    finish::<B>(sums, tail, x_tail)
}

/// `row . x` for each of `N` vectors as long as the row, sharing the loads of the row.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn dots<const N: usize>(row: &[f32], xs: [&[f32]; N]) -> [f32; N] {
    let (groups, tail) = row.as_chunks::<GROUP>();
    let xs = xs.map(|x| x[..row.len()].as_chunks::<GROUP>());
    let mut acc = [[_mm256_setzero_ps(); 4]; N];
    for (at, w) in groups.iter().enumerate() {
        let w = load(w);
        for n in 0..N {
            let x = load(&xs[n].0[at]);
            for k in 0..4 {
                acc[n][k] = _mm256_fmadd_ps(w[k], x[k], acc[n][k]);
            }
        }
    }
    let mut out = [0.0; N];
    for n in 0..N {
        let mut sums = [0.0; GROUP];
        store(acc[n], &mut sums);
        out[n] = finish::<F32>(sums, cast_slice(tail), xs[n].1);
    }
    out
}

/// Fast twin of `product::columns`, for whole groups of columns; returns how many columns these are.
///
/// `a`: `[m, at least k]`, `b`: `[k, at least n]` of a plain format, `c`: `[m, at least n]`.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn multiply_add<B: Format>(
    (m, k, n): (usize, usize, usize),
    a: &[f32],
    b: &[u8],
    c: &mut [f32],
) -> usize {
    const { assert!(B::WEIGHTS == 1, "a plain format") };
    let (a_stride, b_stride, c_stride) = (a.len() / m, b.len() / k, c.len() / m);
    let whole = n - n % GROUP;
    for first in (0..whole).step_by(GROUP) {
        let b = &b[first * B::BYTES..];
        let row = |i: usize| &a[i * a_stride..][..k];
        let mut i = 0;
        while i < m {
            let tile = &mut c[i * c_stride + first..];
            // SAFETY: the same promise.
            i += unsafe {
                let turn = (i / 2, m.div_ceil(2));
                if i + 2 <= m {
                    tile_of::<B, 2>([row(i), row(i + 1)], b, b_stride, tile, c_stride, turn)
                } else {
                    tile_of::<B, 1>([row(i)], b, b_stride, tile, c_stride, turn)
                }
            };
        }
    }
    whole
}

/// One group of columns of `N` rows of `c`, kept in registers meanwhile; returns `N`. As tile `turn` of `turns` it asks
/// for its part of the matrix that follows `b` in memory: in attention, the next block of keys or values.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn tile_of<B: Format, const N: usize>(
    a: [&[f32]; N],
    b: &[u8],
    b_stride: usize,
    c: &mut [f32],
    c_stride: usize,
    (turn, turns): (usize, usize),
) -> usize {
    // Asked for at once, most lines would not be fetched: the tiles of a group share them out, one every few rows.
    let (next, mut ask) = (b.as_ptr().wrapping_add(a[0].len() * b_stride), turn);
    let mut sums = [[_mm256_setzero_ps(); 4]; N];
    for i in 0..N {
        sums[i] = load(&c[i * c_stride..].as_chunks::<GROUP>().0[0]);
    }
    for l in 0..a[0].len() {
        if l == ask {
            _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(l * b_stride).cast());
            ask += turns;
        }
        // SAFETY: the same promise.
        let b = unsafe { B::group_avx2(&b[l * b_stride..][..B::STEP_BYTES], 0) };
        for i in 0..N {
            let a = _mm256_set1_ps(a[i][l]);
            for part in 0..4 {
                sums[i][part] = _mm256_fmadd_ps(a, b[part], sums[i][part]);
            }
        }
    }
    for i in 0..N {
        store(sums[i], &mut c[i * c_stride..].as_chunks_mut::<GROUP>().0[0]);
    }
    N
}

/// The tree of `dot::reduce`.
#[inline]
#[target_feature(enable = "avx2")]
fn reduce(acc: [__m256; 4]) -> f32 {
    let eight = _mm256_add_ps(_mm256_add_ps(acc[0], acc[2]), _mm256_add_ps(acc[1], acc[3]));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(x: &[f32; GROUP]) -> [__m256; 4] {
    let mut out = [_mm256_setzero_ps(); 4];
    for k in 0..4 {
        // SAFETY: an unaligned load of elements 8 k to 8 k + 7 of the array's 32.
        out[k] = unsafe { _mm256_loadu_ps(x.as_ptr().add(8 * k)) };
    }
    out
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(values: [__m256; 4], out: &mut [f32; GROUP]) {
    for k in 0..4 {
        // SAFETY: an unaligned store to elements 8 k to 8 k + 7 of the array's 32.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(8 * k), values[k]) };
    }
}
