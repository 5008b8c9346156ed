//! The trust ledger: what each expert does when it is used.

use hotset_base::{ExpertId, LayerId};

use super::super::{Contribution, RouterShape};

/// Uses after which a mean stops being a plain average.
const REACH: f32 = 32.0;

/// Running means, windowed over the horizon.
#[derive(Debug)]
pub(super) struct Ledger {
    experts: usize,
    /// `[layers * experts]`: `share / weight` of the expert, `||E(x)|| / ||sum||`.
    gains: Vec<Mean>,
    /// `[layers]`: the same over all experts of the layer.
    layers: Vec<Mean>,
    /// `[layers]`: `||sum|| / ||x||`.
    effects: Vec<Mean>,
}

/// A running mean and variance.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    seen: f32,
    mean: f32,
    variance: f32,
}

impl Mean {
    fn update(&mut self, x: f32, reach: f32) {
        self.seen = (self.seen + 1.0).min(reach);
        let (step, off) = (1.0 / self.seen, x - self.mean);
        self.mean += step * off;
        self.variance = (1.0 - step) * (self.variance + step * off * off);
    }
}

impl Ledger {
    pub fn new(shape: RouterShape) -> Self {
        Self {
            experts: shape.experts,
            gains: vec![Mean::default(); shape.layers * shape.experts],
            layers: vec![Mean::default(); shape.layers],
            effects: vec![Mean::default(); shape.layers],
        }
    }

    pub fn observe(&mut self, layer: LayerId, used: &[Contribution], effect: f32) {
        if !effect.is_finite() {
            return;
        }
        self.effects[layer.index()].update(effect, REACH * 8.0);
        for contribution in used {
            let gain = contribution.share / contribution.weight;
            if gain.is_finite() {
                let flat = layer.index() * self.experts + contribution.expert.index();
                self.gains[flat].update(gain, REACH);
                self.layers[layer.index()].update(gain, REACH * 8.0);
            }
        }
    }

    /// `||E(x)|| / ||sum||` to expect of the expert; of one never used, the layer's mean. With `caution`
    /// standard deviations taken off.
    pub fn gain(&self, layer: LayerId, expert: ExpertId, caution: f32) -> f32 {
        let own = self.gains[layer.index() * self.experts + expert.index()];
        let known = if own.seen >= 4.0 { own } else { self.layers[layer.index()] };
        if known.seen == 0.0 { 1.0 } else { (known.mean - caution * known.variance.sqrt()).max(0.0) }
    }

    /// The layer's `||sum|| / ||x||` to expect, in means of all layers.
    pub fn effect(&self, layer: LayerId) -> f32 {
        let mean = self.effects.iter().map(|m| m.mean).sum::<f32>() / self.effects.len() as f32;
        let own = self.effects[layer.index()];
        if own.seen == 0.0 || mean <= 0.0 { 1.0 } else { own.mean / mean }
    }
}
