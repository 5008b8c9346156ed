//! The loops over a row in NEON: the canonical order with eight vectors of four running sums.

use std::arch::aarch64::*;

use bytemuck::cast_slice;

use crate::dot::{dequantize_tail, finish};
use crate::format::{F32, Format, GROUP};

/// Vectors of a group.
const PARTS: usize = GROUP / 4;

/// Fast twin of `scalar::dequantize_row`; `row` is `out.len()` weights.
///
/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn dequantize<B: Format>(row: &[u8], out: &mut [f32]) {
    let (steps, mut outs) = (row.chunks_exact(B::STEP_BYTES), out.chunks_exact_mut(GROUP * B::STEP_GROUPS));
    let tail = steps.remainder();
    for (step, out) in steps.zip(&mut outs) {
        for (g, out) in out.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
            // SAFETY: the same promise.
            store(unsafe { B::group_neon(step, g) }, out);
        }
    }
    dequantize_tail::<B>(tail, outs.into_remainder());
}

/// Fast twin of `scalar::dot`; `row` is `x.len()` weights.
///
/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn dot<B: Format>(row: &[u8], x: &[f32]) -> f32 {
    let (steps, xs) = (row.chunks_exact(B::STEP_BYTES), x.chunks_exact(GROUP * B::STEP_GROUPS));
    let (tail, x_tail) = (steps.remainder(), xs.remainder());
    let mut acc = [vdupq_n_f32(0.0); PARTS];
    for (step, x) in steps.zip(xs) {
        for (g, x) in x.as_chunks::<GROUP>().0.iter().enumerate() {
            // SAFETY: the same promise.
            let w = unsafe { B::group_neon(step, g) };
            for k in 0..PARTS {
                acc[k] = vfmaq_f32(acc[k], w[k], load(x, k));
            }
        }
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
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn dots<const N: usize>(row: &[f32], xs: [&[f32]; N]) -> [f32; N] {
    let (groups, tail) = row.as_chunks::<GROUP>();
    let xs = xs.map(|x| x[..row.len()].as_chunks::<GROUP>());
    let mut acc = [[vdupq_n_f32(0.0); PARTS]; N];
    for (at, w) in groups.iter().enumerate() {
        for k in 0..PARTS {
            let w = load(w, k);
            for n in 0..N {
                acc[n][k] = vfmaq_f32(acc[n][k], w, load(&xs[n].0[at], k));
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
/// The processor has NEON.
#[target_feature(enable = "neon")]
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
                if i + 2 <= m {
                    tile_of::<B, 2>([row(i), row(i + 1)], b, b_stride, tile, c_stride)
                } else {
                    tile_of::<B, 1>([row(i)], b, b_stride, tile, c_stride)
                }
            };
        }
    }
    whole
}

/// One group of columns of `N` rows of `c`, kept in registers meanwhile; returns `N`.
///
/// # Safety
/// The processor has NEON.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn tile_of<B: Format, const N: usize>(
    a: [&[f32]; N],
    b: &[u8],
    b_stride: usize,
    c: &mut [f32],
    c_stride: usize,
) -> usize {
    let mut sums = [[vdupq_n_f32(0.0); PARTS]; N];
    for i in 0..N {
        for k in 0..PARTS {
            sums[i][k] = load(&c[i * c_stride..].as_chunks::<GROUP>().0[0], k);
        }
    }
    for l in 0..a[0].len() {
        // SAFETY: the same promise.
        let b = unsafe { B::group_neon(&b[l * b_stride..][..B::STEP_BYTES], 0) };
        for i in 0..N {
            for k in 0..PARTS {
                sums[i][k] = vfmaq_n_f32(sums[i][k], b[k], a[i][l]);
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
#[target_feature(enable = "neon")]
fn reduce(acc: [float32x4_t; PARTS]) -> f32 {
    let sixteen = [0, 1, 2, 3].map(|k| vaddq_f32(acc[k], acc[k + 4]));
    let eight = [0, 1].map(|k| vaddq_f32(sixteen[k], sixteen[k + 2]));
    let four = vaddq_f32(eight[0], eight[1]);
    let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    vpadds_f32(two)
}

/// Elements `4 k` to `4 k + 3`.
#[inline]
#[target_feature(enable = "neon")]
fn load(x: &[f32; GROUP], k: usize) -> float32x4_t {
    let four: &[f32; 4] = &x.as_chunks().0[k];
    // SAFETY: a load of exactly the four numbers of the array.
    unsafe { vld1q_f32(four.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(values: [float32x4_t; PARTS], out: &mut [f32; GROUP]) {
    for (values, four) in values.into_iter().zip(out.as_chunks_mut::<4>().0) {
        // SAFETY: a store to exactly the four numbers of the array.
        unsafe { vst1q_f32(four.as_mut_ptr(), values) };
    }
}
