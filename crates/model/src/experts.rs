//! The expert half of a layer: route, page, compute what is ready, sum in rank order.

use arrayvec::ArrayVec;
use hotset_base::figures::RoutingTotals;
use hotset_base::{Batch, Choice, Contribution, ExpertId, LayerId, Row};
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

/// Chooses the experts of every row, counts what was hot, and tells who learns.
///
/// `tokens_routed`: before the pass.
pub(crate) fn route_rows(
    layer: LayerId,
    router: &mut dyn Route,
    (tokens_routed, batch): (u64, &Batch<'_>),
    pager: &Pager,
    s: &mut Scratch,
    k: usize,
    (stats, mut learning): (&mut RoutingTotals, Option<&mut Learning>),
) -> Result<(), ForwardError> {
    let experts = pager.hot(layer).len();
    s.admitted.clear();
    let places = batch.runs().flat_map(|run| 0..run.len());
    for (i, (row, place)) in batch.rows().iter().zip(places).enumerate() {
        let logits = &s.scores[i * experts..(i + 1) * experts];
        let view = view(layer, (tokens_routed, i), row, logits, pager, learning.as_deref());
        router.route(&view, &mut s.decision)?;
        count(stats, (&s.decision.native, &s.decision.chosen), pager.hot(layer), 1.0);
        if let Some(learning) = &mut learning {
            learning.observe(row.sequence, layer, place, &s.decision.native);
        }
        s.native[i * k..(i + 1) * k].copy_from_slice(&s.decision.native);
        s.chosen[i] = s.decision.chosen.len();
        s.choices[i * k..][..s.decision.chosen.len()].copy_from_slice(&s.decision.chosen);
        for &expert in &s.decision.admit {
            if !s.admitted.contains(&expert) {
                s.admitted.push(expert);
            }
        }
    }
    Ok(())
}

/// A row as the policy is shown it in a layer, with its scores there or those that are predicted. `place`: in the
/// pass, before which so many tokens were routed.
pub(crate) fn view<'a>(
    layer: LayerId,
    (tokens_routed, place): (u64, usize),
    row: &Row,
    logits: &'a [f32],
    pager: &'a Pager,
    learning: Option<&'a Learning>,
) -> RowView<'a> {
    RowView {
        layer,
        tokens_routed: tokens_routed + place as u64,
        pass: tokens_routed,
        phase: row.phase,
        logits,
        held: pager.held(layer),
        expert_bytes: pager.expert_bytes(layer),
        read_us: pager.read_us() as f32,
        records: learning.map_or(&[], |learning| learning.records(row.sequence, layer)),
    }
}

/// Groups the choices by expert: a counting sort, so pairs of an expert stay in the order of rows.
pub(crate) fn group_by_expert(s: &mut Scratch, batch: &Batch<'_>, k: usize) {
    let n = batch.len();
    let taken = |row: usize| row * k..row * k + s.chosen[row];
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
    if batch.goes_row_by_row() {
        // For the eviction policy: by row, then by rank. An expert's first pair is where it was first chosen.
        let (starts, pairs) = (&s.starts, &s.pairs);
        s.wanted.sort_unstable_by_key(|expert| pairs[starts[expert.index()]].output);
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
    batch: &Batch<'_>,
    k: usize,
    hidden: usize,
    (layer, mut learning): (LayerId, Option<&mut Learning>),
) {
    for (token, row) in batch.rows().iter().enumerate() {
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
            learning.contribute(row.sequence, layer, &s.contributions);
        }
        x.iter_mut().zip(sum).for_each(|(x, sum)| *x += *sum);
    }
}

/// Euclidean length.
fn norm(x: &[f32]) -> f32 {
    x.iter().map(|x| x * x).sum::<f32>().sqrt()
}
