//! SwiGLU experts over borrowed weights: `down (silu(gate x) * (up x))`.

use std::ops::Range;

use crate::cells::cells;
use crate::matmul::times_vectors;
use crate::pool::{Pool, TASKS_PER_THREAD};
use crate::{Matrix, silu};

/// A token that uses an expert, and the slot its result goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Row of the input.
    pub token: u32,
    /// Row of the output.
    pub slot: u32,
}

/// The first two matrices of an expert and who uses it.
#[derive(Clone, Copy)]
pub struct GateUp<'a> {
    /// `[width, hidden]`
    pub gate: Matrix<'a>,
    /// `[width, hidden]`
    pub up: Matrix<'a>,
    /// A slot that occurs twice, over all jobs of a call, gets an unspecified result.
    pub pairs: &'a [Pair],
}

/// The last matrix of an expert and who uses it.
#[derive(Clone, Copy)]
pub struct Down<'a> {
    /// `[hidden, width]`
    pub down: Matrix<'a>,
    /// A slot that occurs twice, over all jobs of a call, gets an unspecified result.
    pub pairs: &'a [Pair],
}

/// How a phase is cut: `(job, band of rows)` tasks, enough of them to keep every thread busy.
fn bands(pool: &Pool, jobs: usize, rows: usize) -> (usize, usize) {
    let per_job = (pool.threads() * TASKS_PER_THREAD).div_ceil(jobs);
    // A matrix without rows is cut into no tasks.
    let band = rows.div_ceil(per_job).max(1);
    (band, rows.div_ceil(band))
}

/// `h[slot] = silu(gate x) * (up x)` for every pair of every job.
///
/// `x`: `[tokens, hidden]`; `h`: `[slots, width]`, only the slots of the pairs are written. The bits do not
/// depend on how pairs are grouped into jobs or calls.
///
/// # Panics
/// If shapes disagree or a pair names a token or slot outside its buffer.
pub fn activate(pool: &Pool, jobs: &[GateUp<'_>], x: &[f32], h: &mut [f32]) {
    let Some(first) = jobs.first() else { return };
    let (width, hidden) = (first.gate.rows(), first.gate.cols());
    let same = |m: Matrix<'_>| (m.rows(), m.cols()) == (width, hidden);
    assert!(jobs.iter().all(|job| same(job.gate) && same(job.up)), "the experts of one call have one shape");
    let (band, per_job) = bands(pool, jobs.len(), width);
    let h = cells(h);
    pool.run(jobs.len() * per_job, &|thread, i| {
        let job = &jobs[i / per_job];
        let rows = band_rows(i % per_job, band, width);
        let input = |pair: usize| {
            let token = job.pairs[pair].token as usize;
            &x[token * hidden..(token + 1) * hidden]
        };
        let cell = |r: usize, pair: usize| &h[job.pairs[pair].slot as usize * width + r];
        let count = job.pairs.len();
        times_vectors(pool, thread, job.gate, rows.clone(), count, input, |r, pair, sum| {
            cell(r, pair).set(silu(sum));
        });
        times_vectors(pool, thread, job.up, rows, count, input, |r, pair, sum| {
            let cell = cell(r, pair);
            cell.set(cell.get() * sum);
        });
    });
}

/// `y[slot] = down h[slot]` for every pair of every job.
///
/// `h`: `[slots, width]`; `y`: `[slots, hidden]`, only the slots of the pairs are written. The bits do not
/// depend on how pairs are grouped into jobs or calls.
///
/// # Panics
/// If shapes disagree or a pair names a slot outside its buffer.
pub fn project(pool: &Pool, jobs: &[Down<'_>], h: &[f32], y: &mut [f32]) {
    let Some(first) = jobs.first() else { return };
    let (hidden, width) = (first.down.rows(), first.down.cols());
    let same = |m: Matrix<'_>| (m.rows(), m.cols()) == (hidden, width);
    assert!(jobs.iter().all(|job| same(job.down)), "the experts of one call have one shape");
    let (band, per_job) = bands(pool, jobs.len(), hidden);
    let y = cells(y);
    pool.run(jobs.len() * per_job, &|thread, i| {
        let job = &jobs[i / per_job];
        let rows = band_rows(i % per_job, band, hidden);
        let slot = |pair: usize| job.pairs[pair].slot as usize;
        let input = |pair: usize| &h[slot(pair) * width..(slot(pair) + 1) * width];
        times_vectors(pool, thread, job.down, rows, job.pairs.len(), input, |r, pair, sum| {
            y[slot(pair) * hidden + r].set(sum);
        });
    });
}

fn band_rows(index: usize, band: usize, rows: usize) -> Range<usize> {
    index * band..((index + 1) * band).min(rows)
}
