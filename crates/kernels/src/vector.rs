//! Operations on whole vectors.

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use crate::cpu::multiversion;
use crate::exp::exp;

multiversion! {
    /// `y += a * x`, fused, element by element.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn axpy(a: f32, x: &[f32], y: &mut [f32]) = axpy_body;
}

#[inline(always)]
fn axpy_body(a: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "vectors of one length");
    for (y, x) in y.iter_mut().zip(x) {
        *y = a.mul_add(*x, *y);
    }
}

/// Rounds to f16 (nearest, ties to even); `out` gets the bits. Too large numbers become infinite.
///
/// # Panics
/// If the lengths differ.
pub fn f32_to_f16_row(row: &[f32], out: &mut [u16]) {
    out.reinterpret_cast_mut::<half::f16>().convert_from_f32_slice(row);
}

/// RMSNorm of one row: `out = x / sqrt(mean(x^2) + eps) * weight`. Source: 1910.07467.
///
/// # Panics
/// If the lengths differ.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    assert!(x.len() == weight.len() && x.len() == out.len(), "vectors of one length");
    let scale = rms_scale(x, eps);
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * scale * weight;
    }
}

/// [`rms_norm`] over its own input.
///
/// # Panics
/// If the lengths differ.
pub fn rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32) {
    assert_eq!(x.len(), weight.len(), "vectors of one length");
    let scale = rms_scale(x, eps);
    for (x, weight) in x.iter_mut().zip(weight) {
        *x = *x * scale * weight;
    }
}

fn rms_scale(x: &[f32], eps: f32) -> f32 {
    let mean = crate::dot_f32(x, x) / x.len() as f32;
    1.0 / (mean + eps).sqrt()
}

multiversion! {
    /// `x = x * sigmoid(x)`, element by element.
    pub fn silu(numbers: &mut [f32]) = silu_body;
}

#[inline(always)]
fn silu_body(numbers: &mut [f32]) {
    numbers.iter_mut().for_each(|x| *x /= 1.0 + exp(-*x));
}
