//! Weights times many vectors.

use std::ops::Range;

use crate::Matrix;
use crate::cpu::multiversion;
use crate::dot::{dequantize_row, dot, reduce};
use crate::format::GROUP;
use crate::pool::{Pool, SharedSlice, TASKS_PER_THREAD};

/// Vectors multiplied with a widened row at a time: as many as the registers hold sums for.
const BLOCK: usize = 2;

/// `y[token * rows + r] = w[r] . x[token]` for every token.
///
/// `x`: `[tokens, cols]`, `y`: `[tokens, rows]`. The bits are those of [`dot`], token by token.
///
/// # Panics
/// If the shapes disagree or rows are longer than the pool was made for.
pub fn matmul(pool: &Pool, w: Matrix<'_>, x: &[f32], y: &mut [f32]) {
    let (rows, cols) = (w.rows(), w.cols());
    let tokens = y.len() / rows;
    assert!(y.len() == tokens * rows && x.len() == tokens * cols, "x is [tokens, cols], y [tokens, rows]");
    let band = rows.div_ceil(pool.threads() * TASKS_PER_THREAD);
    let y = SharedSlice::new(y);
    pool.run(rows.div_ceil(band), &|thread, i| {
        let band = i * band..((i + 1) * band).min(rows);
        times_vectors(
            pool,
            thread,
            w,
            band,
            tokens,
            |token| &x[token * cols..(token + 1) * cols],
            |r, token, sum| {
                let at = token * rows + r;
                // SAFETY: every row belongs to one task, so every element of `y` to one thread.
                unsafe { y.range(at..at + 1)[0] = sum };
            },
        );
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
    mut put: impl FnMut(usize, usize, f32),
) {
    if count == 1 {
        for r in band {
            put(r, 0, dot(w.ty(), w.row_bytes(r), vector(0)));
        }
        return;
    }
    let mut buffer = pool.row(thread);
    let row = &mut buffer[..w.cols()];
    for r in band {
        dequantize_row(w.ty(), w.row_bytes(r), row);
        let mut i = 0;
        while i + BLOCK <= count {
            let sums = dot_block(row, vector(i), vector(i + 1));
            sums.into_iter().enumerate().for_each(|(k, sum)| put(r, i + k, sum));
            i += BLOCK;
        }
        for i in i..count {
            put(r, i, crate::dot_f32(row, vector(i)));
        }
    }
}

multiversion! {
    fn dot_block(row: &[f32], x: &[f32], y: &[f32]) -> [f32; BLOCK] = dot_block_body;
}

/// Two dot products in the canonical order that share the loads of the row.
#[inline(always)]
fn dot_block_body(row: &[f32], x: &[f32], y: &[f32]) -> [f32; BLOCK] {
    let mut sums = [[0.0f32; GROUP]; BLOCK];
    let whole = row.len() / GROUP * GROUP;
    for at in (0..whole).step_by(GROUP) {
        let group = |v: &[f32]| -> [f32; GROUP] { v[at..at + GROUP].try_into().expect("one group") };
        let (w, x, y) = (group(row), group(x), group(y));
        for i in 0..GROUP {
            sums[0][i] = w[i].mul_add(x[i], sums[0][i]);
        }
        for i in 0..GROUP {
            sums[1][i] = w[i].mul_add(y[i], sums[1][i]);
        }
    }
    for i in 0..row.len() - whole {
        sums[0][i] = row[whole + i].mul_add(x[whole + i], sums[0][i]);
        sums[1][i] = row[whole + i].mul_add(y[whole + i], sums[1][i]);
    }
    sums.map(reduce)
}
