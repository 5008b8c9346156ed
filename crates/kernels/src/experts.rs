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

/// One expert's weights and everything it has to compute.
#[derive(Clone, Copy)]
pub struct ExpertJob<'a> {
    /// `[width, hidden]`
    pub gate: Matrix<'a>,
    /// `[width, hidden]`
    pub up: Matrix<'a>,
    /// `[hidden, width]`
    pub down: Matrix<'a>,
    /// Who uses it. A slot that occurs twice, over all jobs of a call, gets an unspecified result.
    pub pairs: &'a [Pair],
}

/// Computes every pair of every job.
///
/// `x`: `[tokens, hidden]`; `h`: `[slots, width]`, overwritten; `y`: `[slots, hidden]`, only the
/// slots of the pairs are written. The bits do not depend on how pairs are grouped into jobs or calls.
///
/// # Panics
/// If shapes disagree or a pair names a token or slot outside its buffer.
pub fn experts(pool: &Pool, jobs: &[ExpertJob<'_>], x: &[f32], h: &mut [f32], y: &mut [f32]) {
    let Some(first) = jobs.first() else { return };
    let (width, hidden) = (first.gate.rows(), first.gate.cols());
    let same_shape = |job: &ExpertJob<'_>| {
        [job.gate, job.up].iter().all(|m| (m.rows(), m.cols()) == (width, hidden))
            && (job.down.rows(), job.down.cols()) == (hidden, width)
    };
    assert!(jobs.iter().all(same_shape), "the experts of one call have one shape");
    if width == 0 || hidden == 0 {
        return;
    }
    activate(pool, jobs, x, h, (width, hidden));
    project(pool, jobs, h, y, (width, hidden));
}

/// How a phase is cut: `(job, band of rows)` tasks, enough of them to keep every thread busy.
fn bands(pool: &Pool, jobs: usize, rows: usize) -> (usize, usize) {
    let per_job = (pool.threads() * TASKS_PER_THREAD).div_ceil(jobs);
    let band = rows.div_ceil(per_job);
    (band, rows.div_ceil(band))
}

/// `h[slot] = silu(gate x) * (up x)`
fn activate(pool: &Pool, jobs: &[ExpertJob<'_>], x: &[f32], h: &mut [f32], (width, hidden): (usize, usize)) {
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

/// `y[slot] = down h[slot]`
fn project(pool: &Pool, jobs: &[ExpertJob<'_>], h: &[f32], y: &mut [f32], (width, hidden): (usize, usize)) {
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
