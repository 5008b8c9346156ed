//! Weights times many vectors.

use std::ops::Range;

use crate::cells::cells;
use crate::cpu::{Level, level};
use crate::dot::{dequantize_row, dot, dot_f32};
use crate::int8::{Int8Block, Kernels, PANEL, Panel, TILE, Wide, Widen};
use crate::{Matrix, Pool, Vectors};

/// Vectors multiplied with a widened row at a time: as many as the registers hold sums for.
const BLOCK: usize = 3;
/// Vectors in int8 that meet all rows of a band before the next ones do: they stay in the first-level cache.
const INT8_TILE: usize = 8;
/// Vectors in int8 from which on it pays to widen them.
const MANY: usize = 6;
/// Rows that one vector in int8 meets in one call.
const INT8_ROWS: usize = 64;

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
            Some(int8) => times_int8(pool, thread, w, band, tokens, |token| int8.at(token), put),
            None => times_exact(pool, thread, w, band, tokens, |token| x.exact_at(token), put),
        }
    });
}

/// Multiplies a band of rows with `count` vectors in int8.
pub(crate) fn times_int8<'x>(
    pool: &Pool,
    thread: usize,
    w: Matrix<'_>,
    band: Range<usize>,
    count: usize,
    vector: impl Fn(usize) -> &'x [Int8Block],
    put: impl Fn(usize, usize, f32),
) {
    let kernels = Kernels::of(w.ty());
    match kernels.many {
        _ if count == 1 => rows_times_one(&kernels, w, band, vector(0), put),
        Some(many) if count >= MANY && band.len() >= PANEL => {
            let left = band.end - band.len() % PANEL;
            panels_times_many(many, &mut pool.wide(thread), w, band.start..left, count, &vector, &put);
            rows_times_few(&kernels, w, left..band.end, count, vector, put);
        }
        _ => rows_times_few(&kernels, w, band, count, vector, put),
    }
}

fn rows_times_one(
    kernels: &Kernels,
    w: Matrix<'_>,
    band: Range<usize>,
    vector: &[Int8Block],
    put: impl Fn(usize, usize, f32),
) {
    let mut sums = [0.0; INT8_ROWS];
    for first in band.clone().step_by(INT8_ROWS) {
        let sums = &mut sums[..INT8_ROWS.min(band.end - first)];
        let rows = w.rows_bytes(first..first + sums.len());
        (kernels.one)(rows, w.row_len(), vector, sums);
        sums.iter().enumerate().for_each(|(i, sum)| put(first + i, 0, *sum));
    }
}

fn rows_times_few<'x>(
    kernels: &Kernels,
    w: Matrix<'_>,
    band: Range<usize>,
    count: usize,
    vector: impl Fn(usize) -> &'x [Int8Block],
    put: impl Fn(usize, usize, f32),
) {
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
                let mut sum = [0.0];
                (kernels.one)(row, row.len(), vector(i), &mut sum);
                put(r, i, sum[0]);
            }
        }
    }
}

/// `wide`: room for a tile of vectors.
fn panels_times_many<'x>(
    (widen, panel): (Widen, Panel),
    wide: &mut [Wide],
    w: Matrix<'_>,
    band: Range<usize>,
    count: usize,
    vector: &impl Fn(usize) -> &'x [Int8Block],
    put: &impl Fn(usize, usize, f32),
) {
    let blocks = vector(0).len();
    let mut sums = [[0.0; PANEL]; TILE];
    for tile in (0..count).step_by(TILE) {
        let vectors: [_; TILE] = std::array::from_fn(|i| vector((tile + i).min(count - 1)));
        let vectors = &vectors[..TILE.min(count - tile)];
        vectors.iter().zip(wide.chunks_exact_mut(blocks)).for_each(|(x, wide)| widen(x, wide));
        for first in band.clone().step_by(PANEL) {
            let rows = w.rows_bytes(first..first + PANEL);
            panel(rows, w.row_len(), wide, vectors, &mut sums);
            for (i, sums) in sums[..vectors.len()].iter().enumerate() {
                sums.iter().enumerate().for_each(|(r, sum)| put(first + r, tile + i, *sum));
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
