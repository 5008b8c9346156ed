//! Rows of weights: to f32, and times a vector.
//!
//! **The canonical order.** Element `i` of a row is first dequantised to f32, then
//! `acc[i % 32] = fma(w[i], x[i], acc[i % 32])` in increasing `i`, from 32 zeros; at the end lane `l`
//! takes lane `l + 16`, then `l + 8`, `l + 4`, `l + 2`, `l + 1`. Every dot product with f32 vectors
//! follows it, so a result does not depend on the instruction set, on how many tokens shared the
//! weights, or on whether the same values were stored as F32, F16 or BF16.

use bytemuck::cast_slice;
use hotset_base::WeightType;

#[cfg(target_arch = "x86_64")]
use crate::avx2;
use crate::cpu::{Level, level};
use crate::format::*;
#[cfg(target_arch = "aarch64")]
use crate::neon;
use crate::tree::reduce;

/// Runs a generic function for the format of a weight type.
macro_rules! for_type {
    ($ty:expr, $function:ident($($arg:expr),*)) => {
        match $ty {
            WeightType::F32 => $function::<F32>($($arg),*),
            WeightType::F16 => $function::<F16>($($arg),*),
            WeightType::BF16 => $function::<Bf16>($($arg),*),
            WeightType::Q8_0 => $function::<Q8_0>($($arg),*),
            WeightType::Q4_0 => $function::<Q4_0>($($arg),*),
            WeightType::Q4_1 => $function::<Q4_1>($($arg),*),
            WeightType::Q5_0 => $function::<Q5_0>($($arg),*),
            WeightType::Q5_1 => $function::<Q5_1>($($arg),*),
            WeightType::Q2_K => $function::<Q2K>($($arg),*),
            WeightType::Q3_K => $function::<Q3K>($($arg),*),
            WeightType::Q4_K => $function::<Q4K>($($arg),*),
            WeightType::Q5_K => $function::<Q5K>($($arg),*),
            WeightType::Q6_K => $function::<Q6K>($($arg),*),
            WeightType::IQ4_NL => $function::<Iq4Nl>($($arg),*),
            WeightType::IQ4_XS => $function::<Iq4Xs>($($arg),*),
        }
    };
}

/// The slow twin: the same functions without any instruction-set extension.
pub mod scalar {
    use super::*;

    /// See [`super::dequantize_row`].
    pub fn dequantize_row(ty: WeightType, row: &[u8], out: &mut [f32]) {
        check(ty, row, out.len());
        for_type!(ty, dequantize_body(row, out));
    }

    /// See [`super::dot`].
    pub fn dot(ty: WeightType, row: &[u8], x: &[f32]) -> f32 {
        check(ty, row, x.len());
        for_type!(ty, dot_body(row, x))
    }
}

/// Widens a row of weights to f32.
///
/// # Panics
/// If `row` is not exactly `out.len()` weights of the type.
pub fn dequantize_row(ty: WeightType, row: &[u8], out: &mut [f32]) {
    check(ty, row, out.len());
    for_type!(ty, dequantize_fast(row, out));
}

/// `row . x` in the canonical order.
///
/// # Panics
/// If `row` is not exactly `x.len()` weights of the type.
pub fn dot(ty: WeightType, row: &[u8], x: &[f32]) -> f32 {
    check(ty, row, x.len());
    for_type!(ty, dot_fast(row, x))
}

/// `a . b` in the canonical order.
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    dot(WeightType::F32, cast_slice(a), b)
}

fn check(ty: WeightType, row: &[u8], cols: usize) {
    let expected = ty.row_bytes(cols).map(|bytes| bytes.index());
    assert_eq!(expected, Some(row.len()), "a row of {cols} {ty} weights");
}

fn dequantize_fast<B: Format>(row: &[u8], out: &mut [f32]) {
    match level() {
        // SAFETY: `level` has found the extensions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::dequantize::<B>(row, out) },
        // SAFETY: both have NEON.
        #[cfg(target_arch = "aarch64")]
        Level::Neon | Level::DotProd => unsafe { neon::dequantize::<B>(row, out) },
        Level::Baseline => dequantize_body::<B>(row, out),
    }
}

fn dot_fast<B: Format>(row: &[u8], x: &[f32]) -> f32 {
    match level() {
        // SAFETY: `level` has found the extensions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::dot::<B>(row, x) },
        // SAFETY: both have NEON.
        #[cfg(target_arch = "aarch64")]
        Level::Neon | Level::DotProd => unsafe { neon::dot::<B>(row, x) },
        Level::Baseline => dot_body::<B>(row, x),
    }
}

fn dequantize_body<B: Format>(row: &[u8], out: &mut [f32]) {
    let (steps, mut outs) = (row.chunks_exact(B::STEP_BYTES), out.chunks_exact_mut(GROUP * B::STEP_GROUPS));
    let tail = steps.remainder();
    for (step, out) in steps.zip(&mut outs) {
        for (g, out) in out.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
            B::group(step, g, out);
        }
    }
    dequantize_tail::<B>(tail, outs.into_remainder());
}

fn dot_body<B: Format>(row: &[u8], x: &[f32]) -> f32 {
    let (steps, xs) = (row.chunks_exact(B::STEP_BYTES), x.chunks_exact(GROUP * B::STEP_GROUPS));
    let (tail, x_tail) = (steps.remainder(), xs.remainder());
    let mut sums = [0.0f32; GROUP];
    for (step, x) in steps.zip(xs) {
        for (g, x) in x.as_chunks::<GROUP>().0.iter().enumerate() {
            let mut group = [0.0; GROUP];
            B::group(step, g, &mut group);
            for i in 0..GROUP {
                sums[i] = group[i].mul_add(x[i], sums[i]);
            }
        }
    }
    finish::<B>(sums, tail, x_tail)
}

/// The numbers of a plain format after its last whole group.
#[inline(always)]
pub(crate) fn dequantize_tail<B: Format>(tail: &[u8], out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = B::single(tail, i);
    }
}

/// The end of the canonical order: the numbers after the last whole group, then the tree.
#[inline(always)]
pub(crate) fn finish<B: Format>(mut sums: [f32; GROUP], tail: &[u8], x_tail: &[f32]) -> f32 {
    for (i, x) in x_tail.iter().enumerate() {
        sums[i] = B::single(tail, i).mul_add(*x, sums[i]);
    }
    reduce(sums)
}
