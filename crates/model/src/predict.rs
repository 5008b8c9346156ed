//! What the next layers will probably want: their routers applied to this layer's gate input.
//!
//! The residual stream changes little from layer to layer, so most picks of the next layer are known one
//! layer early. What is held depends on it and when it is read; what is computed, only where the policy goes by that.

use hotset_base::{Batch, Bytes, ExpertId, LayerId, RowKind, WeightType};
use hotset_format::ModelConfig;
use hotset_kernels::{Matrix, Pool, dequantize_row, matmul, quantize_row};
use hotset_policy::route::Route;
use hotset_residency::Pager;

use crate::DenseWeights;
use crate::experts::view;
use crate::learning::Learning;
use crate::learnt_predictor::LearntPredictor;
use crate::scratch::Scratch;

/// What predictions are made with: copies of the routers in 8 bits. In f32 they would be read from memory once
/// more for every layer looked ahead, which costs much of what looking ahead saves.
pub struct CoarseRouters {
    /// `[layers, experts, hidden]`; empty if nothing is looked ahead.
    memory: Vec<u8>,
    ty: WeightType,
    layers: usize,
    /// Rows and columns of each.
    shape: (usize, usize),
}

impl CoarseRouters {
    /// Memory that they take.
    pub fn planned_bytes(config: &ModelConfig, lookahead: usize) -> Bytes {
        let rows = if lookahead > 0 { config.layers * config.experts } else { 0 };
        Bytes(rows as u64 * Self::row(config).1.0)
    }

    /// Type and size of a row: a hidden size that is not whole blocks stays as it is.
    fn row(config: &ModelConfig) -> (WeightType, Bytes) {
        let bytes_in = |ty: WeightType| ty.row_bytes(config.hidden).map(|bytes| (ty, bytes));
        bytes_in(WeightType::Q8_0).or_else(|| bytes_in(WeightType::F32)).expect("any number of f32 is a row")
    }

    /// Widens a layer's router: `[experts, hidden]`.
    pub(crate) fn widen(&self, layer: LayerId, out: &mut [f32]) {
        let router = self.of(layer).expect("a layer that was predicted has a router");
        for (i, row) in out.chunks_exact_mut(router.cols()).enumerate() {
            dequantize_row(router.ty(), router.row_bytes(i), row);
        }
    }

    pub(crate) fn new(dense: &DenseWeights, config: &ModelConfig, lookahead: usize) -> Self {
        let (ty, row_bytes) = Self::row(config);
        let mut memory = vec![0; Self::planned_bytes(config, lookahead).index()];
        let mut wide = vec![0.0; config.hidden];
        for (i, row) in memory.chunks_exact_mut(row_bytes.index()).enumerate() {
            let router = dense.router(LayerId((i / config.experts) as u16));
            dequantize_row(router.ty(), router.row_bytes(i % config.experts), &mut wide);
            if quantize_row(ty, &wide, row).is_err() {
                // Numbers that are none: routing will say so, a prediction need not.
                row.fill(0);
            }
        }
        Self { memory, ty, layers: config.layers, shape: (config.experts, config.hidden) }
    }

    /// `[experts, hidden]`, if the layer is there.
    fn of(&self, layer: LayerId) -> Option<Matrix<'_>> {
        let ((rows, cols), bytes) = (self.shape, self.memory.len() / self.layers);
        let router = self.memory.get(layer.index() * bytes..(layer.index() + 1) * bytes)?;
        Some(
            Matrix::new(self.ty, rows, cols, router)
                .expect("rows of the type and length they were made with"),
        )
    }
}

/// A look at the layers to come, from one layer of a pass.
pub(crate) struct Lookahead<'a> {
    pub pool: &'a Pool,
    pub routers: &'a CoarseRouters,
    /// Says what it would choose of the scores to come.
    pub policy: &'a dyn Route,
    pub learning: Option<&'a Learning>,
    /// Where predictions learn.
    pub predictor: Option<&'a mut LearntPredictor>,
    /// Tokens routed before the pass.
    pub tokens_routed: u64,
    /// The rows of the pass.
    pub batch: &'a Batch<'a>,
}

impl Lookahead<'_> {
    /// Tells the pager what the rows would choose of the layers it looks ahead, the nearest first: each decoded
    /// one by itself, those of prompts by the top `k` of all of them.
    ///
    /// `s.normed`: `[n, hidden]`, the gate input of `layer`.
    pub fn predict(&mut self, layer: LayerId, pager: &mut Pager, s: &mut Scratch, k: usize) {
        let has = |prompt: bool| self.batch.rows().iter().any(|row| row.kind.is_prompt() == prompt);
        let of = |kind: RowKind| if has(kind.is_prompt()) { pager.lookahead(kind) } else { 0 };
        let (single, together) = (of(RowKind::Decode), of(RowKind::Prompt));
        for ahead in 1..=single.max(together) {
            let next = LayerId(layer.0 + ahead as u16);
            if self.routers.of(next).is_none() {
                return;
            }
            if pager.is_settled(next) {
                continue;
            }
            self.score(next, ahead, s);
            if ahead <= single {
                self.predict_each(next, pager, s);
            }
            if ahead <= together {
                self.predict_together(next, pager, s, k);
            }
        }
    }

    /// Scores of a layer to come: `s.next_scores`, `[n, experts]`.
    fn score(&mut self, next: LayerId, ahead: usize, s: &mut Scratch) {
        let decoding = self.batch.is_decoding();
        // Copies learn from the layer before, and are good for no other distance.
        let learnt = self.predictor.as_ref().filter(|_| decoding && ahead == 1);
        let copy = learnt.and_then(|predictor| predictor.copy_of(next));
        let router = copy.or_else(|| self.routers.of(next)).expect("the caller has looked");
        let (n, experts) = (self.batch.len(), router.rows());
        let normed = &s.normed[..n * router.cols()];
        let vectors = s.int8.vectors(self.pool, normed, router.cols(), &[router.ty()]);
        let scores = &mut s.next_scores[..n * experts];
        matmul(self.pool, router, vectors, scores);
        if let Some(predictor) = self.predictor.as_mut().filter(|_| ahead == 1) {
            predictor.predicted(decoding.then_some(next), normed, scores);
        }
    }

    /// What the policy would choose of each decoded row's scores, as they all find the layer now. Of damaged ones
    /// nothing is predicted: routing will say what is wrong.
    fn predict_each(&self, next: LayerId, pager: &mut Pager, s: &mut Scratch) {
        let experts = pager.held(next).len();
        s.predicted.clear();
        s.predicted_ends.clear();
        for (i, row) in self.batch.rows().iter().enumerate().filter(|(_, row)| !row.kind.is_prompt()) {
            let logits = &s.next_scores[i * experts..(i + 1) * experts];
            let view = view(next, (self.tokens_routed, i), row, logits, pager, self.learning);
            if self.policy.foresee(&view, &mut s.foreseen).is_ok() {
                s.predicted.extend(s.foreseen.chosen.iter().map(|choice| choice.expert));
            }
            s.predicted_ends.push(s.predicted.len());
        }
        let mut first = 0;
        for &end in &s.predicted_ends {
            pager.predicted(next, &s.predicted[first..end], RowKind::Decode);
            first = end;
        }
    }

    /// The top `k` of the rows of prompts.
    fn predict_together(&self, next: LayerId, pager: &mut Pager, s: &mut Scratch, k: usize) {
        let experts = pager.held(next).len();
        let rows = self.batch.rows().iter().zip(s.next_scores.chunks_exact(experts));
        let scores = rows.filter(|(row, _)| row.kind.is_prompt()).map(|(_, scores)| scores);
        rank(scores, k, &mut s.votes, &mut s.predicted);
        pager.predicted(next, &s.predicted, RowKind::Prompt);
    }
}

/// The experts in the top `k` of any row's scores, those of most rows first.
fn rank<'a>(
    scores: impl Iterator<Item = &'a [f32]>,
    k: usize,
    votes: &mut [(u32, f32)],
    ranked: &mut Vec<ExpertId>,
) {
    let experts = votes.len();
    votes.fill((0, f32::NEG_INFINITY));
    for scores in scores {
        ranked.clear();
        ranked.extend((0..experts as u16).map(ExpertId));
        let better = |a: &ExpertId, b: &ExpertId| scores[b.index()].total_cmp(&scores[a.index()]);
        if k < experts {
            ranked.select_nth_unstable_by(k, better);
        }
        for expert in &ranked[..k.min(experts)] {
            let vote = &mut votes[expert.index()];
            *vote = (vote.0 + 1, vote.1.max(scores[expert.index()]));
        }
    }
    ranked.clear();
    ranked.extend((0..experts as u16).map(ExpertId).filter(|expert| votes[expert.index()].0 > 0));
    ranked.sort_unstable_by(|a, b| {
        let (a, b) = (votes[a.index()], votes[b.index()]);
        b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(scores: &[f32], experts: usize, k: usize) -> Vec<u16> {
        let mut out = Vec::new();
        rank(scores.chunks_exact(experts), k, &mut vec![(0, 0.0); experts], &mut out);
        out.into_iter().map(|expert| expert.0).collect()
    }

    #[test]
    fn the_best_of_a_lone_row_come_first() {
        assert_eq!(ranked(&[0.1, 0.9, 0.5, 0.7], 4, 3), [1, 3, 2]);
        assert_eq!(ranked(&[f32::NAN, 0.9], 2, 1).len(), 1, "damaged scores predict something, no more");
    }

    #[test]
    fn what_many_rows_want_comes_before_what_one_wants_much() {
        let scores = [0.9, 0.8, 0.0, 0.0, 0.0, 0.8, 0.9, 0.0, 0.0, 0.7, 0.0, 5.0];
        assert_eq!(ranked(&scores, 4, 2), [1, 3, 0, 2]);
    }
}
