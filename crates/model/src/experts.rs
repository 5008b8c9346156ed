//! The expert half of a layer: route, page, compute what is ready, sum in rank order.

use std::ops::Range;

use hotset_base::{ExpertId, LayerId};
use hotset_kernels::{ExpertJob, Matrix, Pair, Pool, axpy, experts};
use hotset_policy::route::{Choice, Route};
use hotset_residency::Pager;

use crate::scratch::Scratch;
use crate::{ForwardError, RoutingStats};

/// Experts computed in one parallel region.
const JOBS: usize = 16;

/// Weight types and sizes of the experts of one layer.
#[derive(Clone, Copy)]
pub(crate) struct ExpertGeometry {
    /// Gate, up, down.
    pub types: [hotset_base::WeightType; 3],
    pub hidden: usize,
    pub width: usize,
}

/// Chooses the experts of every token of the chunk and counts what was hot.
pub(crate) fn route_chunk(
    layer: LayerId,
    router: &mut dyn Route,
    hot: &[bool],
    s: &mut Scratch,
    (n, k): (usize, usize),
    stats: &mut RoutingStats,
) -> Result<(), ForwardError> {
    for token in 0..n {
        let scores = &s.scores[token * hot.len()..(token + 1) * hot.len()];
        let choices = &mut s.choices[token * k..(token + 1) * k];
        router.route(layer, scores, hot, choices)?;
        for choice in choices.iter() {
            stats.routed_slots += 1;
            if hot[choice.expert.index()] {
                stats.hot_slots += 1;
            } else {
                stats.waited_slots += 1;
                stats.waited_mass += f64::from(choice.weight);
            }
        }
    }
    Ok(())
}

/// Groups the chunk's choices by expert: a counting sort, so pairs of an expert stay in token order.
pub(crate) fn group_by_expert(s: &mut Scratch, n: usize, k: usize) {
    let choices = &s.choices[..n * k];
    s.starts.fill(0);
    for choice in choices {
        s.starts[choice.expert.index() + 1] += 1;
    }
    s.wanted.clear();
    for expert in 0..s.starts.len() - 1 {
        if s.starts[expert + 1] > 0 {
            s.wanted.push(ExpertId(expert as u16));
        }
        s.starts[expert + 1] += s.starts[expert];
    }
    // `starts[e]` serves as e's cursor and ends where e's pairs end; shift back by one afterwards.
    for (slot, choice) in choices.iter().enumerate() {
        let cursor = &mut s.starts[choice.expert.index()];
        s.pairs[*cursor] = Pair { token: (slot / k) as u32, slot: slot as u32 };
        *cursor += 1;
    }
    s.starts.rotate_right(1);
    s.starts[0] = 0;
}

/// Computes every wanted expert as it becomes ready; outputs land in their slots.
pub(crate) fn compute_wanted(
    pool: &Pool,
    pager: &mut Pager,
    layer: LayerId,
    geometry: ExpertGeometry,
    s: &mut Scratch,
    n: usize,
) -> Result<(), ForwardError> {
    pager.request(layer, &s.wanted);
    loop {
        s.ready.clear();
        pager.take_ready(&mut s.ready)?;
        if s.ready.is_empty() {
            return Ok(());
        }
        for batch in s.ready.chunks(JOBS) {
            let job = |expert: ExpertId| job(pager, geometry, expert, &s.pairs[pairs_of(&s.starts, expert)]);
            // A fixed array, for a Vec would allocate; entries past the batch repeat its last job.
            let jobs: [ExpertJob; JOBS] = std::array::from_fn(|i| job(batch[i.min(batch.len() - 1)]));
            let normed = &s.normed[..n * geometry.hidden];
            experts(pool, &jobs[..batch.len()], normed, &mut s.activations, &mut s.outputs);
        }
        pager.release(&s.ready);
    }
}

fn pairs_of(starts: &[usize], expert: ExpertId) -> Range<usize> {
    starts[expert.index()]..starts[expert.index() + 1]
}

fn job<'a>(pager: &'a Pager, geometry: ExpertGeometry, expert: ExpertId, pairs: &'a [Pair]) -> ExpertJob<'a> {
    let [gate, up, down] = pager.weights(expert);
    let (hidden, width) = (geometry.hidden, geometry.width);
    let matrix = |i: usize, rows, cols, bytes| {
        Matrix::new(geometry.types[i], rows, cols, bytes).expect("the reader checked shapes and extents")
    };
    ExpertJob {
        gate: matrix(0, width, hidden, gate),
        up: matrix(1, width, hidden, up),
        down: matrix(2, hidden, width, down),
        pairs,
    }
}

/// Adds the weighted outputs to the residual stream, in rank order whatever the order of arrival.
pub(crate) fn sum_in_rank_order(s: &mut Scratch, n: usize, k: usize, hidden: usize) {
    for token in 0..n {
        let sum = &mut s.delta[..hidden];
        sum.fill(0.0);
        for slot in token * k..(token + 1) * k {
            let Choice { weight, .. } = s.choices[slot];
            axpy(weight, &s.outputs[slot * hidden..(slot + 1) * hidden], sum);
        }
        let x = &mut s.x[token * hidden..(token + 1) * hidden];
        x.iter_mut().zip(sum).for_each(|(x, sum)| *x += *sum);
    }
}
