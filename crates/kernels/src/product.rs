//! Products of small matrices of plain numbers: what attention is made of.
//!
//! An element of `c` takes its products one after the other, fused, in the order of `b`'s rows: whatever
//! computes it, and with whichever neighbours, the bits are the same.

use std::ops::Range;

use bytemuck::{Pod, cast_slice};

use crate::cpu::{Level, level};
use crate::format::{F16, F32, Format};

/// `c += a b` with `m` rows of `a` and `c`, `k` rows of `b` and `n` columns of `b` and `c` that count.
///
/// `a`: `[m, at least k]`, `b`: `[k, at least n]` (f16 bits), `c`: `[m, at least n]`.
///
/// # Panics
/// If a matrix is not `m` or `k` rows of one length, or its rows are too short.
pub fn multiply_add_f16((m, k, n): (usize, usize, usize), a: &[f32], b: &[u16], c: &mut [f32]) {
    multiply_add::<F16, u16>((m, k, n), a, b, c);
}

/// The same with `b` in f32.
///
/// # Panics
/// As [`multiply_add_f16`].
pub fn multiply_add_f32((m, k, n): (usize, usize, usize), a: &[f32], b: &[f32], c: &mut [f32]) {
    multiply_add::<F32, f32>((m, k, n), a, b, c);
}

fn multiply_add<B: Format, T: Pod>((m, k, n): (usize, usize, usize), a: &[f32], b: &[T], c: &mut [f32]) {
    if m == 0 || k == 0 || n == 0 {
        return;
    }
    let rows = |len: usize, count: usize, least: usize| len.is_multiple_of(count) && len / count >= least;
    assert!(rows(a.len(), m, k) && rows(b.len(), k, n) && rows(c.len(), m, n), "rows of one length");
    let b: &[u8] = cast_slice(b);
    let whole = match level() {
        // SAFETY: `level` has found the extensions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { crate::avx2::multiply_add::<B>((m, k, n), a, b, c) },
        // SAFETY: both have NEON.
        #[cfg(target_arch = "aarch64")]
        Level::Neon | Level::DotProd => unsafe { crate::neon::multiply_add::<B>((m, k, n), a, b, c) },
        Level::Baseline => 0,
    };
    columns::<B>(whole..n, a.chunks_exact(a.len() / m), b.chunks_exact(b.len() / k), c);
}

/// Some columns of the product, one number at a time.
fn columns<'a, 'b, B: Format>(
    columns: Range<usize>,
    a: impl ExactSizeIterator<Item = &'a [f32]>,
    b: impl Iterator<Item = &'b [u8]> + Clone,
    c: &mut [f32],
) {
    let c_stride = c.len() / a.len();
    for (a, c) in a.zip(c.chunks_exact_mut(c_stride)) {
        for (a, b) in a.iter().zip(b.clone()) {
            for j in columns.clone() {
                c[j] = a.mul_add(B::single(b, j), c[j]);
            }
        }
    }
}
