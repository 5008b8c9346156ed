//! Rows of weights: to f32, and times a vector.
//!
//! **The canonical order.** Element `i` of a row is first dequantised to f32, then
//! `acc[i % 32] = fma(w[i], x[i], acc[i % 32])` in increasing `i`, from 32 zeros; at the end lane `l`
//! takes lane `l + 16`, then `l + 8`, `l + 4`, `l + 2`, `l + 1`. Every dot product of this crate
//! follows it, so a result does not depend on the instruction set, on how many tokens shared the
//! weights, or on whether the same values were stored as F32, F16 or BF16.

use bytemuck::cast_slice;
use hotset_base::WeightType;

use crate::cpu::multiversion;
use crate::format::*;

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

/// `a . b` in the canonical order; `a` holds f16 bits.
pub fn dot_f16(a: &[u16], b: &[f32]) -> f32 {
    dot(WeightType::F16, cast_slice(a), b)
}

fn check(ty: WeightType, row: &[u8], cols: usize) {
    let expected = ty.row_bytes(cols).map(|bytes| bytes.index());
    assert_eq!(expected, Some(row.len()), "a row of {cols} {ty} weights");
}

multiversion! {
    fn dequantize_fast<B: Format>(row: &[u8], out: &mut [f32]) = dequantize_body::<B>;
}

multiversion! {
    fn dot_fast<B: Format>(row: &[u8], x: &[f32]) -> f32 = dot_body::<B>;
}

/// Bytes that `visit` gets at a time: one block, or 32 plain numbers.
const fn step_bytes<B: Format>() -> usize {
    if B::WEIGHTS == 1 { GROUP * B::BYTES } else { B::BYTES }
}

/// Groups in that many bytes.
const fn step_groups<B: Format>() -> usize {
    if B::WEIGHTS == 1 { 1 } else { B::WEIGHTS / GROUP }
}

#[inline(always)]
fn dequantize_body<B: Format>(row: &[u8], out: &mut [f32]) {
    let (blocks, weights) = (row.chunks_exact(step_bytes::<B>()), GROUP * step_groups::<B>());
    let (tail, mut outs) = (blocks.remainder(), out.chunks_exact_mut(weights));
    for (block, out) in blocks.zip(&mut outs) {
        for g in 0..step_groups::<B>() {
            let group: &mut [f32; GROUP] =
                (&mut out[g * GROUP..(g + 1) * GROUP]).try_into().expect("one group");
            B::group(block, g, group);
        }
    }
    for (i, out) in outs.into_remainder().iter_mut().enumerate() {
        *out = B::single(tail, i);
    }
}

#[inline(always)]
fn dot_body<B: Format>(row: &[u8], x: &[f32]) -> f32 {
    let (blocks, weights) = (row.chunks_exact(step_bytes::<B>()), GROUP * step_groups::<B>());
    let (tail, xs) = (blocks.remainder(), x.chunks_exact(weights));
    let x_tail = xs.remainder();
    let mut sums = [0.0f32; GROUP];
    for (block, x) in blocks.zip(xs) {
        for g in 0..step_groups::<B>() {
            let mut group = [0.0; GROUP];
            B::group(block, g, &mut group);
            let x: &[f32; GROUP] = x[g * GROUP..(g + 1) * GROUP].try_into().expect("one group");
            for i in 0..GROUP {
                sums[i] = group[i].mul_add(x[i], sums[i]);
            }
        }
    }
    for (i, x) in x_tail.iter().enumerate() {
        sums[i] = B::single(tail, i).mul_add(*x, sums[i]);
    }
    reduce(sums)
}

/// The fixed tree at the end of the canonical order.
#[inline(always)]
pub(crate) fn reduce(mut sums: [f32; GROUP]) -> f32 {
    let mut width = GROUP / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] += sums[i + width];
        }
        width /= 2;
    }
    sums[0]
}
