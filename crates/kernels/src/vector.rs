//! Operations on whole vectors.

use bytemuck::cast_slice;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use hotset_base::WeightType;

use crate::cpu::{Level, level, multiversion};
use crate::dequantize_row;
use crate::half_float::f16_to_f32;

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

/// `y += a * x`, fused, element by element; `x` holds f16 bits.
///
/// # Panics
/// If the lengths differ.
pub fn axpy_f16(a: f32, x: &[u16], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "vectors of one length");
    match level() {
        // SAFETY: `level` has found the extensions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { crate::avx2::axpy::<crate::format::F16>(a, cast_slice(x), y) },
        Level::Baseline => {
            for (y, x) in y.iter_mut().zip(x) {
                *y = a.mul_add(f16_to_f32(*x), *y);
            }
        }
    }
}

/// Rounds to f16 (nearest, ties to even); `out` gets the bits. Too large numbers become infinite.
///
/// # Panics
/// If the lengths differ.
pub fn f32_to_f16_row(row: &[f32], out: &mut [u16]) {
    out.reinterpret_cast_mut::<half::f16>().convert_from_f32_slice(row);
}

/// Widens f16 bits; exact.
///
/// # Panics
/// If the lengths differ.
pub fn f16_to_f32_row(row: &[u16], out: &mut [f32]) {
    dequantize_row(WeightType::F16, cast_slice(row), out);
}

/// RMSNorm of one row: `out = x / sqrt(mean(x^2) + eps) * weight`. Source: 1910.07467.
///
/// # Panics
/// If the lengths differ.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    assert!(x.len() == weight.len() && x.len() == out.len(), "vectors of one length");
    let mean = crate::dot_f32(x, x) / x.len() as f32;
    let scale = 1.0 / (mean + eps).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * scale * weight;
    }
}

/// `exp(x) / sum(exp(x))` in place, from the largest down so that nothing overflows. The sum is taken
/// in order, from first to last. Entries of `-inf` get 0; all of them `-inf`, or any NaN, give NaN.
pub fn softmax(x: &mut [f32]) {
    let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in x.iter_mut() {
        *x = (*x - largest).exp();
        sum += *x;
    }
    for x in x {
        *x /= sum;
    }
}

/// `x * sigmoid(x)`
#[inline]
pub fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}
