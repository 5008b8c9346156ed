//! The figures of routing that a synthetic model is held to, computed from router scores.

use std::collections::HashSet;

use hotset_base::LayerId;

/// Picks per token that the published trace of the real model has.
const TRACE_K: usize = 6;
/// Tokens of that trace; figures at [`TRACE_K`] are means over stretches of so many.
const TRACE_TOKENS: usize = 128;
/// Tokens before hits are counted.
const WARM_UP: usize = 32;
/// How far a figure may lie from what is known, in points.
pub const TOLERANCE: f64 = 5.0;

/// What one layer's router did.
#[derive(Clone, Debug, Default)]
struct LayerLog {
    /// Experts by falling score, for every token.
    ranked: Vec<Vec<u16>>,
    /// Scores of the ranked experts.
    scores: Vec<Vec<f32>>,
    /// What this layer's router made of the input of the layer before, for every token.
    predicted: Vec<Vec<u16>>,
}

/// What all routers did on one text.
#[derive(Clone, Debug)]
pub struct RoutingLog {
    layers: Vec<LayerLog>,
    experts: usize,
    top_k: usize,
}

/// One figure, in per cent.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// What this model does.
    pub measured: f64,
    /// What is known of the real one, where it can be compared.
    pub target: Option<f64>,
}

impl Figure {
    /// Whether there is a target and it was missed.
    pub fn is_off(&self) -> bool {
        self.target.is_some_and(|target| (self.measured - target).abs() > TOLERANCE)
    }
}

impl RoutingLog {
    /// An empty log of a model with these layers, experts per layer and experts per token.
    pub fn new(layers: usize, experts: usize, top_k: usize) -> Self {
        Self { layers: vec![LayerLog::default(); layers], experts, top_k }
    }

    /// Adds what a layer's router made of a chunk, and what the next layer's made of the same input:
    /// both `[tokens, experts]`.
    pub fn record(&mut self, layer: LayerId, scores: &[f32], next: Option<&[f32]>) {
        let depth = self.top_k.max(TRACE_K).min(self.experts);
        for scores in scores.chunks_exact(self.experts) {
            let order = ranked(scores, depth);
            let log = &mut self.layers[layer.index()];
            log.scores.push(order.iter().map(|&expert| scores[usize::from(expert)]).collect());
            log.ranked.push(order);
        }
        for scores in next.into_iter().flat_map(|next| next.chunks_exact(self.experts)) {
            self.layers[layer.index() + 1].predicted.push(ranked(scores, self.top_k));
        }
    }

    /// Tokens recorded.
    pub fn tokens(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.ranked.len())
    }

    /// Every figure; targets only for the shape they were measured on, 128 experts of which 8 are used.
    pub fn figures(&self) -> Vec<Figure> {
        let comparable = self.experts == 128 && self.top_k == 8;
        let mut all = Vec::new();
        let mut push = |name: String, measured: f64, target: f64| {
            all.push(Figure { name, measured, target: comparable.then_some(target) });
        };
        let k = TRACE_K.min(self.experts);
        for (back, target) in [(1, 38.0), (2, 28.9), (8, 26.7)] {
            push(
                format!("k={k}: picks shared with the token {back} back"),
                self.trace(|p| overlap(p, back)),
                target,
            );
        }
        push(format!("k={k}: picks seen in the last 8 tokens"), self.trace(|p| seen(p, 8)), 74.0);
        let distinct = self.trace(|picks| distinct(picks, self.experts));
        push(format!("k={k}: experts used in {TRACE_TOKENS} tokens"), distinct, 50.0);
        for (slots, target) in [(8, 42.5), (12, 52.1), (16, 61.4), (24, 73.6), (32, 83.0), (48, 92.9)] {
            push(format!("k={k}: LRU hits, {slots} slots a layer"), self.trace(|p| lru(p, slots)), target);
        }
        for (rank, target) in [(0, 26.5), (5, 10.6)] {
            push(format!("k={k}: mean weight of pick {}", rank + 1), self.weight(k, rank), target);
        }
        let own = self.top_k;
        for (slots, target) in [(16, 53.0), (32, 74.0)] {
            let hits = self.mean(|layer| lru(&cut(&layer.ranked, own), slots));
            push(format!("k={own}: LRU hits, {slots} slots a layer"), hits, target);
        }
        push(format!("k={own}: picks the next layer's router predicts"), self.predicted(), 88.6);
        all
    }

    fn mean(&self, figure: impl Fn(&LayerLog) -> f64) -> f64 {
        self.layers.iter().map(figure).sum::<f64>() / self.layers.len() as f64
    }

    /// Mean over layers and stretches as long as the trace; a shorter last one counts if it is alone.
    fn trace(&self, figure: impl Fn(&[Vec<u16>]) -> f64) -> f64 {
        let k = TRACE_K.min(self.experts);
        self.mean(|layer| {
            let picks = cut(&layer.ranked, k);
            let whole: Vec<_> = picks.chunks_exact(TRACE_TOKENS).collect();
            let stretches = if whole.is_empty() { vec![&picks[..]] } else { whole };
            stretches.iter().map(|picks| figure(picks)).sum::<f64>() / stretches.len() as f64
        })
    }

    /// Mean renormalised softmax weight at a rank.
    fn weight(&self, k: usize, rank: usize) -> f64 {
        self.mean(|layer| {
            mean(layer.scores.iter().map(|scores| {
                let weights = scores[..k].iter().map(|score| f64::from(score - scores[0]).exp());
                f64::from(scores[rank.min(k - 1)] - scores[0]).exp() / weights.sum::<f64>()
            }))
        })
    }

    fn predicted(&self) -> f64 {
        let layers = self.layers.iter().filter(|layer| !layer.predicted.is_empty());
        mean(layers.flat_map(|layer| {
            let pairs = layer.predicted.iter().zip(&layer.ranked);
            pairs.map(|(predicted, picked)| shared(predicted, &picked[..self.top_k]))
        }))
    }
}

/// The `depth` largest scores' experts, largest first; equal ones by number, as the router has it.
fn ranked(scores: &[f32], depth: usize) -> Vec<u16> {
    let mut order: Vec<u16> = (0..scores.len() as u16).collect();
    order.sort_by(|&a, &b| scores[usize::from(b)].total_cmp(&scores[usize::from(a)]).then(a.cmp(&b)));
    order.truncate(depth);
    order
}

fn cut(ranked: &[Vec<u16>], k: usize) -> Vec<Vec<u16>> {
    ranked.iter().map(|order| order[..k].to_vec()).collect()
}

/// Mean in per cent.
fn mean(shares: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = shares.fold((0.0, 0), |(sum, count), share| (sum + share, count + 1));
    100.0 * sum / f64::from(count.max(1))
}

fn shared(some: &[u16], others: &[u16]) -> f64 {
    others.iter().filter(|expert| some.contains(expert)).count() as f64 / others.len() as f64
}

/// Share of a token's picks that the token `back` before had too.
fn overlap(picks: &[Vec<u16>], back: usize) -> f64 {
    mean(picks.iter().zip(picks.iter().skip(back)).map(|(before, now)| shared(before, now)))
}

/// Share of picks that one of the last `window` tokens had.
fn seen(picks: &[Vec<u16>], window: usize) -> f64 {
    mean(picks.windows(window + 1).map(|tokens| shared(&tokens[..window].concat(), &tokens[window])))
}

/// Share of all experts that was picked at all.
fn distinct(picks: &[Vec<u16>], experts: usize) -> f64 {
    let used: HashSet<u16> = picks.iter().flatten().copied().collect();
    100.0 * used.len() as f64 / experts as f64
}

/// Hits of a least-recently-used cache of `slots` experts, empty at first. A pick is a hit if it is
/// there when the token is routed; an expert of the present token is the last to leave.
fn lru(picks: &[Vec<u16>], slots: usize) -> f64 {
    let mut resident: Vec<u16> = Vec::with_capacity(slots + 1);
    let mut shares = Vec::with_capacity(picks.len());
    for now in picks {
        shares.push(shared(&resident, now));
        // Most recent last. Moving all picks there first spares them from eviction.
        resident.retain(|expert| !now.contains(expert));
        resident.extend(now);
        let surplus = resident.len().saturating_sub(slots);
        resident.drain(..surplus);
    }
    mean(shares.into_iter().skip(WARM_UP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_text_that_is_known() {
        let alternating: Vec<Vec<u16>> = (0..64).map(|t| vec![t % 2, 2]).collect();
        assert_eq!(overlap(&alternating, 1), 50.0);
        assert_eq!(overlap(&alternating, 2), 100.0);
        assert_eq!(seen(&alternating, 2), 100.0);
        assert_eq!(distinct(&alternating, 6), 50.0);
        assert_eq!(lru(&alternating, 2), 50.0);
        assert_eq!(lru(&alternating, 3), 100.0);
        let cycle: Vec<Vec<u16>> = (0..64).map(|t| vec![t % 4]).collect();
        assert_eq!((lru(&cycle, 3), lru(&cycle, 4)), (0.0, 100.0));
    }

    #[test]
    fn the_log_ranks_and_compares_predictions() {
        let mut log = RoutingLog::new(2, 4, 2);
        log.record(LayerId(0), &[0.0, 3.0, 2.0, 1.0], Some(&[9.0, 8.0, 0.0, 0.0]));
        log.record(LayerId(1), &[5.0, 0.0, 0.0, 4.0], None);
        assert_eq!(log.tokens(), 1);
        assert_eq!(log.layers[0].ranked[0], [1, 2, 3, 0]);
        assert_eq!(log.predicted(), 50.0);
        assert!(log.figures().iter().all(|figure| figure.target.is_none() && !figure.is_off()));
        assert!(Figure { name: String::new(), measured: 5.1, target: Some(0.0) }.is_off());
    }
}
