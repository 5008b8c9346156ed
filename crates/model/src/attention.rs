//! Attention of one query head over the cache, one pass with a running softmax.

use hotset_base::LayerId;

use crate::KvCache;

/// Positions scored together. Blocks start at position 0 for every token, so the result does not
/// depend on how a prompt was cut into chunks.
const BLOCK: usize = 64;

/// `out = softmax(q . K / sqrt(d)) V` over the first `positions` of a key/value head.
///
/// `q`, `out`: `[head_dim]`. The running maximum and sum follow "Online normalizer calculation for
/// softmax" (1805.02867): when a block raises the maximum, what was summed before is scaled down.
pub(crate) fn attend(
    cache: &KvCache,
    layer: LayerId,
    kv_head: usize,
    positions: usize,
    q: &[f32],
    out: &mut [f32],
) {
    let scale = 1.0 / (q.len() as f32).sqrt();
    let (mut max, mut sum) = (f32::NEG_INFINITY, 0.0f32);
    let mut scores = [0.0; BLOCK];
    out.fill(0.0);
    for first in (0..positions).step_by(BLOCK) {
        let scores = &mut scores[..BLOCK.min(positions - first)];
        cache.scores(layer, kv_head, first, q, scores);
        scores.iter_mut().for_each(|score| *score *= scale);
        let block_max = scores.iter().copied().fold(max, f32::max);
        let shrink = (max - block_max).exp();
        max = block_max;
        sum *= shrink;
        out.iter_mut().for_each(|x| *x *= shrink);
        for score in scores.iter_mut() {
            *score = (*score - max).exp();
            sum += *score;
        }
        cache.mix(layer, kv_head, first, scores, out);
    }
    out.iter_mut().for_each(|x| *x /= sum);
}
