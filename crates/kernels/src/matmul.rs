//! Weights times many vectors.

use std::ops::Range;

use crate::cells::cells;
use crate::cpu::{Level, level};
use crate::dot::{dequantize_row, dot, dot_f32};
use crate::int8::{Int8Block, Kernels};
use crate::{Matrix, Pool, Vectors};

/// Vectors multiplied with a widened row at a time: as many as the registers hold sums for.
const BLOCK: usize = 3;
/// Vectors in int8 that meet all rows of a band before the next ones do: they stay in the first-level cache.
const INT8_TILE: usize = 8;

/// `y[token * rows + r] = w[r] . x[token]` for every token.
///
/// `x`: `[tokens, cols]`, `y`: `[tokens, rows]`. The bits are those of [`dot()`] or, where `x` has an int8 form
/// and the weights a kernel for it, of [`crate::dot_int8`], token by token.
///
/// # Panics
/// If the shapes disagree, or with more than one token if rows are longer than the pool was made for.
pub fn matmul(pool: &Pool, w: Matrix<'_>, x: Vectors<'_>, y: &mut [f32]) {
    let (rows, tokens) = (w.rows(), x.count());
    assert!(x.vector_len() == w.cols() && y.len() == tokens * rows, "x is [tokens, cols], y [tokens, rows]");
    if y.is_empty() {
        return;
    }
    let band = pool.band(rows, w.row_len(), tokens, 1);
    let (y, int8) = (cells(y), x.int8_for(w.ty()));
    pool.run(rows.div_ceil(band), &|thread, i| {
        let band = i * band..((i + 1) * band).min(rows);
        let put = |r: usize, token: usize, sum| y[token * rows + r].set(sum);
        match int8 {
            Some(int8) => times_int8(w, band, tokens, |token| int8.at(token), put),
            None => times_exact(pool, thread, w, band, tokens, |token| x.exact_at(token), put),
        }
    });
}

/// Multiplies a band of rows with `count` vectors in int8.
pub(crate) fn times_int8<'x>(
    w: Matrix<'_>,
    band: Range<usize>,
    count: usize,
    vector: impl Fn(usize) -> &'x [Int8Block],
    put: impl Fn(usize, usize, f32),
) {
    let kernels = Kernels::of(w.ty());
    for tile in (0..count).step_by(INT8_TILE) {
        let end = count.min(tile + INT8_TILE);
        for r in band.clone() {
            let (row, mut i) = (w.row_bytes(r), tile);
            while i + 4 <= end {
                let sums = (kernels.four)(row, std::array::from_fn(|k| vector(i + k)));
                (0..4).for_each(|k| put(r, i + k, sums[k]));
                i += 4;
            }
            if i + 2 <= end {
                let sums = (kernels.two)(row, [vector(i), vector(i + 1)]);
                (0..2).for_each(|k| put(r, i + k, sums[k]));
                i += 2;
            }
            if i < end {
                put(r, i, (kernels.one)(row, [vector(i)])[0]);
            }
        }
    }
}

/// Multiplies a band of rows with `count` vectors in f32. One vector is multiplied straight from the weights; for
/// more a row is widened once. Both follow the canonical order: the bits are the same.
pub(crate) fn times_exact<'x>(
    pool: &Pool,
    thread: usize,
    w: Matrix<'_>,
    band: Range<usize>,
    count: usize,
    vector: impl Fn(usize) -> &'x [f32],
    put: impl Fn(usize, usize, f32),
) {
    match count {
        0 => {}
        1 => band.for_each(|r| put(r, 0, dot(w.ty(), w.row_bytes(r), vector(0)))),
        _ => {
            let mut buffer = pool.row(thread);
            let row = &mut buffer[..w.cols()];
            for r in band {
                dequantize_row(w.ty(), w.row_bytes(r), row);
                row_times_vectors(row, count, &vector, |i, sum| put(r, i, sum));
            }
        }
    }
}

fn row_times_vectors<'x>(
    row: &[f32],
    count: usize,
    vector: impl Fn(usize) -> &'x [f32],
    put: impl Fn(usize, f32),
) {
    let blocked = count - count % BLOCK;
    for i in (0..blocked).step_by(BLOCK) {
        let sums = dots(row, [vector(i), vector(i + 1), vector(i + 2)]);
        (0..BLOCK).for_each(|k| put(i + k, sums[k]));
    }
    match count - blocked {
        2 => {
            let sums = dots(row, [vector(blocked), vector(blocked + 1)]);
            (0..2).for_each(|k| put(blocked + k, sums[k]));
        }
        1 => put(blocked, dot_f32(row, vector(blocked))),
        _ => {}
    }
}

/// Dot products in the canonical order that share the loads of the row.
fn dots<const N: usize>(row: &[f32], xs: [&[f32]; N]) -> [f32; N] {
    match level() {
        // SAFETY: `level` has found the extensions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { crate::avx2::dots(row, xs) },
        // SAFETY: both have NEON.
        #[cfg(target_arch = "aarch64")]
        Level::Neon | Level::DotProd => unsafe { crate::neon::dots(row, xs) },
        Level::Baseline => xs.map(|x| dot_f32(row, x)),
    }
}
