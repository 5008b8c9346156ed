//! The expert half of a layer: route, page, compute what is ready, sum in rank order.

use arrayvec::ArrayVec;
use hotset_base::figures::RoutingTotals;
use hotset_base::{Choice, Contribution, ExpertId, LayerId, Phase};
use hotset_kernels::{Down, GateUp, Matrix, Pair, Pool, activate, axpy, project};
use hotset_policy::route::{Route, RowView, count};
use hotset_residency::{Arrived, Pager};

use crate::ForwardError;
use crate::learning::Learning;
use crate::scratch::Scratch;

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

impl ExpertGeometry {
    fn matrix<'a>(&self, part: usize, bytes: &'a [u8]) -> Matrix<'a> {
        let (rows, cols) = if part == 2 { (self.hidden, self.width) } else { (self.width, self.hidden) };
        Matrix::new(self.types[part], rows, cols, bytes).expect("the reader checked shapes and extents")
    }

    fn gate_up<'a>(&self, [gate, up]: [&'a [u8]; 2], pairs: &'a [Pair]) -> GateUp<'a> {
        GateUp { gate: self.matrix(0, gate), up: self.matrix(1, up), pairs }
    }

    fn down<'a>(&self, down: &'a [u8], pairs: &'a [Pair]) -> Down<'a> {
        Down { down: self.matrix(2, down), pairs }
    }
}

/// Chooses the experts of every token of the chunk, counts what was hot, and tells who learns.
///
/// `tokens_routed`: tokens computed before the chunk.
pub(crate) fn route_chunk(
    layer: LayerId,
    router: &mut dyn Route,
    (tokens_routed, phase): (u64, Phase),
    pager: &Pager,
    s: &mut Scratch,
    (n, k): (usize, usize),
    (stats, mut learning): (&mut RoutingTotals, Option<&mut Learning>),
) -> Result<(), ForwardError> {
    let experts = pager.hot(layer).len();
    let (expert_bytes, read_us) = (pager.expert_bytes(layer), pager.read_us() as f32);
    s.admitted.clear();
    for token in 0..n {
        let logits = &s.scores[token * experts..(token + 1) * experts];
        let tokens_routed = tokens_routed + token as u64;
        let held = pager.held(layer);
        let records = learning.as_ref().map_or(&[][..], |learning| learning.records(layer));
        let view = RowView { layer, tokens_routed, phase, logits, held, expert_bytes, read_us, records };
        router.route(&view, &mut s.decision)?;
        count(stats, (&s.decision.native, &s.decision.chosen), pager.hot(layer), 1.0);
        if let Some(learning) = &mut learning {
            learning.observe(layer, token, &s.decision.native);
        }
        s.chosen[token] = s.decision.chosen.len();
        s.choices[token * k..][..s.decision.chosen.len()].copy_from_slice(&s.decision.chosen);
        s.admitted.extend(s.decision.admit.iter().take(s.admitted.capacity() - s.admitted.len()));
    }
    Ok(())
}

/// Groups the chunk's choices by expert: a counting sort, so pairs of an expert stay in token order.
pub(crate) fn group_by_expert(s: &mut Scratch, n: usize, k: usize) {
    let taken = |token: usize| token * k..token * k + s.chosen[token];
    s.starts.fill(0);
    for pick in (0..n).flat_map(taken) {
        s.starts[s.choices[pick].expert.index() + 1] += 1;
    }
    s.wanted.clear();
    for expert in 0..s.starts.len() - 1 {
        if s.starts[expert + 1] > 0 {
            s.wanted.push(ExpertId(expert as u16));
        }
        s.starts[expert + 1] += s.starts[expert];
    }
    // `starts[e]` serves as e's cursor and ends where e's pairs end; shift back by one afterwards.
    for pick in (0..n).flat_map(taken) {
        let cursor = &mut s.starts[s.choices[pick].expert.index()];
        s.pairs[*cursor] = Pair { input: (pick / k) as u32, output: pick as u32 };
        *cursor += 1;
    }
    s.starts.rotate_right(1);
    s.starts[0] = 0;
    if n == 1 {
        // One token's experts keep their rank order, for the eviction policy.
        s.wanted.clear();
        s.wanted.extend(s.choices[..s.chosen[0]].iter().map(|choice| choice.expert));
    }
}

/// Computes every expert of the pager's visit as it becomes ready; outputs land in the rows of their picks. Gate and
/// up are computed as soon as they are there, even if down is not.
pub(crate) fn compute_wanted(
    pool: &Pool,
    pager: &mut Pager,
    geometry: ExpertGeometry,
    s: &mut Scratch,
    n: usize,
) -> Result<(), ForwardError> {
    let x = s.int8.vectors(pool, &s.normed[..n * geometry.hidden], geometry.hidden, &geometry.types[..2]);
    loop {
        s.arrived.clear();
        pager.take_arrived(&mut s.arrived)?;
        if s.arrived.is_empty() {
            return Ok(());
        }
        let pairs = |expert: ExpertId| &s.pairs[s.starts[expert.index()]..s.starts[expert.index() + 1]];
        let gate_up = |expert| geometry.gate_up(pager.gate_up(expert), pairs(expert));
        for batch in batches(&s.arrived, |arrived| arrived.gate_up, gate_up) {
            activate(pool, &batch, x, &mut s.activations);
        }
        let down = |expert| geometry.down(pager.down(expert), pairs(expert));
        for batch in batches(&s.arrived, |arrived| arrived.down, down) {
            project(pool, &batch, &s.activations, &mut s.activations_int8, &mut s.outputs);
        }
        pager.release(s.arrived.iter().filter(|arrived| arrived.down).map(|arrived| arrived.expert));
    }
}

/// The jobs of those experts that have reached a stage, as many at a time as one parallel region takes.
fn batches<'a, Job>(
    arrived: &'a [Arrived],
    stage: impl Fn(&Arrived) -> bool + 'a,
    job: impl Fn(ExpertId) -> Job + 'a,
) -> impl Iterator<Item = ArrayVec<Job, JOBS>> + 'a {
    let mut left = arrived.iter().filter(move |arrived| stage(arrived));
    std::iter::from_fn(move || {
        let batch: ArrayVec<Job, JOBS> =
            left.by_ref().take(JOBS).map(|arrived| job(arrived.expert)).collect();
        (!batch.is_empty()).then_some(batch)
    })
}

/// Adds the weighted outputs to the residual stream, in rank order whatever the order of arrival.
///
/// `learning`, where the router asks for it, is told what each expert did.
pub(crate) fn sum_in_rank_order(
    s: &mut Scratch,
    n: usize,
    k: usize,
    hidden: usize,
    (layer, mut learning): (LayerId, Option<&mut Learning>),
) {
    for token in 0..n {
        let sum = &mut s.delta[..hidden];
        sum.fill(0.0);
        for pick in token * k..token * k + s.chosen[token] {
            let Choice { weight, .. } = s.choices[pick];
            axpy(weight, &s.outputs[pick * hidden..(pick + 1) * hidden], sum);
        }
        let x = &mut s.x[token * hidden..(token + 1) * hidden];
        if let Some(learning) = &mut learning {
            let whole = norm(sum);
            s.contributions.clear();
            s.contributions.extend((token * k..token * k + s.chosen[token]).map(|pick| {
                let Choice { expert, weight } = s.choices[pick];
                let output = norm(&s.outputs[pick * hidden..(pick + 1) * hidden]);
                Contribution { expert, weight, share: weight * output / whole }
            }));
            learning.contribute(layer, &s.contributions);
        }
        x.iter_mut().zip(sum).for_each(|(x, sum)| *x += *sum);
    }
}

/// Euclidean length.
fn norm(x: &[f32]) -> f32 {
    x.iter().map(|x| x * x).sum::<f32>().sqrt()
}
