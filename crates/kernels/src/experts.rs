//! SwiGLU experts over borrowed weights: `down (silu(gate x) * (up x))`.

use crate::matmul::times_vectors;
use crate::pool::{Pool, SharedSlice, TASKS_PER_THREAD};
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
    /// Who uses it. No slot may occur twice, over all jobs of a call.
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
    let h = SharedSlice::new(h);
    pool.run(jobs.len() * per_job, &|thread, i| {
        let job = &jobs[i / per_job];
        let first = i % per_job * band;
        let rows = first..(first + band).min(width);
        let input = |pair: usize| {
            let token = job.pairs[pair].token as usize;
            &x[token * hidden..(token + 1) * hidden]
        };
        let cell = |r: usize, pair: usize| {
            let at = job.pairs[pair].slot as usize * width + r;
            // SAFETY: slots are not shared by pairs and rows not by tasks (see `ExpertJob`, `bands`).
            unsafe { &mut h.range(at..at + 1)[0] }
        };
        let count = job.pairs.len();
        times_vectors(pool, thread, job.gate, rows.clone(), count, input, |r, pair, sum| {
            *cell(r, pair) = silu(sum)
        });
        times_vectors(pool, thread, job.up, rows, count, input, |r, pair, sum| *cell(r, pair) *= sum);
    });
}

/// `y[slot] = down h[slot]`
fn project(pool: &Pool, jobs: &[ExpertJob<'_>], h: &[f32], y: &mut [f32], (width, hidden): (usize, usize)) {
    let (band, per_job) = bands(pool, jobs.len(), hidden);
    let y = SharedSlice::new(y);
    pool.run(jobs.len() * per_job, &|thread, i| {
        let job = &jobs[i / per_job];
        let first = i % per_job * band;
        let rows = first..(first + band).min(hidden);
        let slot = |pair: usize| job.pairs[pair].slot as usize;
        let input = |pair: usize| &h[slot(pair) * width..(slot(pair) + 1) * width];
        times_vectors(pool, thread, job.down, rows, job.pairs.len(), input, |r, pair, sum| {
            let at = slot(pair) * hidden + r;
            // SAFETY: as in `activate`.
            unsafe { y.range(at..at + 1)[0] = sum };
        });
    });
}
