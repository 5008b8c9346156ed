//! Operations on whole vectors.

use half::slice::HalfFloatSliceExt;

use crate::cpu::multiversion;
use crate::half_float::f16_to_f32;

multiversion! {
    /// `y += a * x`, fused, element by element.
    pub fn axpy(a: f32, x: &[f32], y: &mut [f32]) = axpy_body;
}

#[inline(always)]
fn axpy_body(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = a.mul_add(*x, *y);
    }
}

multiversion! {
    /// `y += a * x`, fused, element by element; `x` holds f16 bits.
    pub fn axpy_f16(a: f32, x: &[u16], y: &mut [f32]) = axpy_f16_body;
}

#[inline(always)]
fn axpy_f16_body(a: f32, x: &[u16], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = a.mul_add(f16_to_f32(*x), *y);
    }
}

/// Rounds to f16 (nearest, ties to even); `out` gets the bits.
pub fn f32_to_f16_row(row: &[f32], out: &mut [u16]) {
    bytemuck_halves(out).convert_from_f32_slice(row);
}

fn bytemuck_halves(bits: &mut [u16]) -> &mut [half::f16] {
    use half::slice::HalfBitsSliceExt;
    bits.reinterpret_cast_mut()
}

/// RMSNorm of one row: `out = x / sqrt(mean(x^2) + eps) * weight`. Source: 1910.07467.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mean = crate::dot_f32(x, x) / x.len() as f32;
    let scale = 1.0 / (mean + eps).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * scale * weight;
    }
}

/// `x * sigmoid(x)`
#[inline]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}
