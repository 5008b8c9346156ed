//! Attention of the query heads that share a key/value head, one pass over the cache with a running softmax.

use hotset_base::LayerId;
use hotset_format::ModelConfig;
use hotset_kernels::exp_sum;

use crate::KvCache;
use crate::kv_cache::BLOCK;

/// The most query heads computed together: a key or value is fetched once for all of them.
const HEADS: usize = 8;

/// How many of the query heads that share a key/value head to compute together for `n` tokens: as many as
/// leave every thread something to do.
pub(crate) fn heads_together(config: &ModelConfig, n: usize, threads: usize) -> usize {
    let group = config.heads / config.kv_heads;
    let fits = |heads: &usize| group.is_multiple_of(*heads) && n * config.heads / heads >= threads;
    (1..=group.min(HEADS)).rev().find(fits).unwrap_or(1)
}

/// `out = softmax(q . K / sqrt(d)) V` over the first `positions` of a key/value head, for up to [`HEADS`] query
/// heads one after the other.
///
/// `q`, `out`: `[heads, d]`. The running maximum and sum follow "Online normalizer calculation for softmax"
/// (1805.02867): when a block raises the maximum, what was summed before is scaled down. Blocks start at
/// position 0 for every token and heads do not mix: the bits depend neither on how a prompt was cut into chunks
/// nor on which heads are computed together.
pub(crate) fn attend(
    cache: &KvCache,
    layer: LayerId,
    kv_head: usize,
    positions: usize,
    q: &[f32],
    out: &mut [f32],
) {
    let d = cache.head_dim();
    let heads = q.len() / d;
    let scale = 1.0 / (d as f32).sqrt();
    let mut running = [Softmax::EMPTY; HEADS];
    let mut scores = [0.0; HEADS * BLOCK];
    let scores = &mut scores[..heads * BLOCK];
    out.fill(0.0);
    for first in (0..positions).step_by(BLOCK) {
        let count = BLOCK.min(positions - first);
        scores.fill(0.0);
        cache.add_scores(layer, kv_head, first, count, q, scores);
        let rows = scores.chunks_exact_mut(BLOCK).zip(out.chunks_exact_mut(d));
        for (softmax, (scores, out)) in running.iter_mut().zip(rows) {
            softmax.weigh(scale, &mut scores[..count], out);
        }
        cache.mix(layer, kv_head, first, count, scores, out);
    }
    for (softmax, out) in running.iter().zip(out.chunks_exact_mut(d)) {
        out.iter_mut().for_each(|x| *x /= softmax.sum);
    }
}

/// Where the softmax of one head stands.
#[derive(Clone, Copy)]
struct Softmax {
    max: f32,
    sum: f32,
}

impl Softmax {
    const EMPTY: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };

    /// Turns the scores of a block into weights relative to the largest score so far, and scales down what was
    /// summed relative to a smaller one.
    fn weigh(&mut self, scale: f32, scores: &mut [f32], out: &mut [f32]) {
        scores.iter_mut().for_each(|score| *score *= scale);
        let max = scores.iter().copied().fold(self.max, f32::max);
        if max > self.max {
            let shrink = (self.max - max).exp();
            self.sum *= shrink;
            out.iter_mut().for_each(|x| *x *= shrink);
            self.max = max;
        }
        self.sum += exp_sum(scores, self.max);
    }
}
