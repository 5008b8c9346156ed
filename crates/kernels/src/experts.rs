//! SwiGLU experts over borrowed weights: `down (silu(gate x) * (up x))`.

use std::ops::Range;

use crate::cells::{cells, map};
use crate::matmul::{times_exact, times_int8};
use crate::{Int8Buffer, Matrix, Pool, Vectors, silu};

/// A token that uses an expert, and the row its result goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Row of the input.
    pub input: u32,
    /// Row of the output.
    pub output: u32,
}

/// The first two matrices of an expert and who uses it.
#[derive(Clone, Copy)]
pub struct GateUp<'a> {
    /// `[width, hidden]`
    pub gate: Matrix<'a>,
    /// `[width, hidden]`
    pub up: Matrix<'a>,
    /// An output row that occurs twice, over all jobs of a call, gets an unspecified result.
    pub pairs: &'a [Pair],
}

/// The last matrix of an expert and who uses it.
#[derive(Clone, Copy)]
pub struct Down<'a> {
    /// `[hidden, width]`
    pub down: Matrix<'a>,
    /// An output row that occurs twice, over all jobs of a call, gets an unspecified result.
    pub pairs: &'a [Pair],
}

/// `h[output] = silu(gate x) * (up x)` for every pair of every job.
///
/// `x`: `[inputs, hidden]`; `h`: `[outputs, width]`, only the output rows of the pairs are written. The bits do not
/// depend on how pairs are grouped into jobs or calls.
///
/// # Panics
/// If shapes disagree or a pair names a row outside its buffer.
pub fn activate(pool: &Pool, jobs: &[GateUp<'_>], x: Vectors<'_>, h: &mut [f32]) {
    let Some(first) = jobs.first() else { return };
    let (width, hidden) = (first.gate.rows(), first.gate.cols());
    let same = |m: Matrix<'_>| (m.rows(), m.cols()) == (width, hidden);
    assert!(jobs.iter().all(|job| same(job.gate) && same(job.up)), "the experts of one call have one shape");
    assert_eq!(x.vector_len(), hidden, "vectors as long as the rows");
    let vectors = jobs.iter().map(|job| job.pairs.len()).sum::<usize>() / jobs.len();
    let band = pool.band(width, first.gate.row_len() + first.up.row_len(), vectors, jobs.len());
    let per_job = width.div_ceil(band);
    let h = cells(h);
    pool.run(jobs.len() * per_job, &|thread, i| {
        let job = &jobs[i / per_job];
        let band = band_rows(i % per_job, band, width);
        let cell = |r: usize, pair: usize| &h[job.pairs[pair].output as usize * width + r];
        times(pool, thread, job.gate, band.clone(), x, job.pairs, |r, pair, sum| cell(r, pair).set(sum));
        for pair in job.pairs {
            let row = &h[pair.output as usize * width..(pair.output as usize + 1) * width];
            map(&row[band.clone()], silu);
        }
        times(pool, thread, job.up, band, x, job.pairs, |r, pair, sum| {
            let cell = cell(r, pair);
            cell.set(cell.get() * sum);
        });
    });
}

/// A band of rows times the inputs of some pairs.
fn times(
    pool: &Pool,
    thread: usize,
    w: Matrix<'_>,
    band: Range<usize>,
    x: Vectors<'_>,
    pairs: &[Pair],
    put: impl Fn(usize, usize, f32),
) {
    let input = |pair: usize| pairs[pair].input as usize;
    match x.int8_for(w.ty()) {
        Some(int8) => times_int8(pool, thread, w, band, pairs.len(), |pair| int8.at(input(pair)), put),
        None => times_exact(pool, thread, w, band, pairs.len(), |pair| x.exact_at(input(pair)), put),
    }
}

/// `y[output] = down h[output]` for every pair of every job.
///
/// `h`: `[outputs, width]`; `y`: `[outputs, hidden]`, only the rows of the pairs are written. `int8` has room for as
/// many vectors of `width` as there are pairs, or none: see [`Int8Buffer`]. The bits do not depend on how pairs
/// are grouped into jobs or calls.
///
/// # Panics
/// If shapes disagree or a pair names a row outside its buffer.
pub fn project(pool: &Pool, jobs: &[Down<'_>], h: &[f32], int8: &mut Int8Buffer, y: &mut [f32]) {
    let Some(first) = jobs.first() else { return };
    let (hidden, width) = (first.down.rows(), first.down.cols());
    let same = |m: Matrix<'_>| (m.rows(), m.cols(), m.ty()) == (hidden, width, first.down.ty());
    assert!(jobs.iter().all(|job| same(job.down)), "the experts of one call have one shape and type");
    let pairs = jobs.iter().map(|job| job.pairs.len()).sum::<usize>();
    let band = pool.band(hidden, first.down.row_len(), pairs / jobs.len(), jobs.len());
    let per_job = hidden.div_ceil(band);
    let y = cells(y);
    let input = |pair: Pair| &h[pair.output as usize * width..(pair.output as usize + 1) * width];
    // The int8 forms lie in the order of the pairs, so that no two tasks write one.
    let pairs_before = |job: usize| jobs[..job].iter().map(|job| job.pairs.len()).sum::<usize>();
    let nth = |n: usize| {
        let mut n = n;
        let mut of = jobs.iter().map(|job| job.pairs);
        let pairs = of.find(|pairs| {
            n < pairs.len() || {
                n -= pairs.len();
                false
            }
        });
        input(pairs.expect("as many as all jobs have")[n])
    };
    let int8 = int8.fill(pool, width, pairs, &[first.down.ty()], &nth);
    pool.run(jobs.len() * per_job, &|thread, i| {
        let (w, pairs) = (jobs[i / per_job].down, jobs[i / per_job].pairs);
        let (band, count) = (band_rows(i % per_job, band, hidden), pairs.len());
        let put = |r: usize, pair: usize, sum| y[pairs[pair].output as usize * hidden + r].set(sum);
        match int8 {
            Some(int8) => {
                let before = pairs_before(i / per_job);
                times_int8(pool, thread, w, band, count, |pair| int8.at(before + pair), put);
            }
            None => times_exact(pool, thread, w, band, count, |pair| input(pairs[pair]), put),
        }
    });
}

fn band_rows(index: usize, band: usize, rows: usize) -> Range<usize> {
    index * band..((index + 1) * band).min(rows)
}
