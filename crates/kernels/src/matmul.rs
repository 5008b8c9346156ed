//! Weights times many vectors.

use std::ops::Range;

use crate::Matrix;
use crate::cells::cells;
use crate::cpu::{Level, level};
use crate::dot::{dequantize_row, dot, dot_f32};
use crate::pool::{Pool, TASKS_PER_THREAD};

/// Vectors multiplied with a widened row at a time: as many as the registers hold sums for.
const BLOCK: usize = 3;

/// `y[token * rows + r] = w[r] . x[token]` for every token.
///
/// `x`: `[tokens, cols]`, `y`: `[tokens, rows]`. The bits are those of [`dot()`], token by token.
///
/// # Panics
/// If the shapes disagree, or with more than one token if rows are longer than the pool was made for.
pub fn matmul(pool: &Pool, w: Matrix<'_>, x: &[f32], y: &mut [f32]) {
    let (rows, cols) = (w.rows(), w.cols());
    let tokens = y.len().checked_div(rows).unwrap_or(0);
    assert!(y.len() == tokens * rows && x.len() == tokens * cols, "x is [tokens, cols], y [tokens, rows]");
    if y.is_empty() {
        return;
    }
    let band = rows.div_ceil(pool.threads() * TASKS_PER_THREAD);
    let y = cells(y);
    pool.run(rows.div_ceil(band), &|thread, i| {
        let band = i * band..((i + 1) * band).min(rows);
        let vector = |token: usize| &x[token * cols..(token + 1) * cols];
        times_vectors(pool, thread, w, band, tokens, vector, |r, token, sum| y[token * rows + r].set(sum));
    });
}

/// Multiplies a band of rows with `count` vectors. One vector is multiplied straight from the
/// weights; for more a row is widened once. Both follow the canonical order: the bits are the same.
pub(crate) fn times_vectors<'x>(
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
        Level::Baseline => xs.map(|x| dot_f32(row, x)),
    }
}
