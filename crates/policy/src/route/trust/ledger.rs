//! The trust ledger: what each expert does when it is used.

use hotset_base::{ExpertId, LayerId};

use super::super::{Contribution, RouterShape};

/// Uses that a mean reaches back over.
const REACH: f32 = 32.0;
/// The same for a layer, which is used in every token.
const LAYER_REACH: f32 = 256.0;
/// Uses before an expert's own mean is believed.
const ENOUGH: f32 = 4.0;

/// What an expert's output weighs, `||E(x)|| / ||sum||`, as running means and variances.
#[derive(Debug)]
pub(super) struct Ledger {
    experts: usize,
    /// `[layers * experts]`
    own: Vec<Gain>,
    /// `[layers]`: over all experts of the layer.
    layers: Vec<Gain>,
}

/// A running mean and variance.
#[derive(Clone, Copy, Debug, Default)]
struct Gain {
    seen: f32,
    mean: f32,
    variance: f32,
}

impl Gain {
    fn update(&mut self, x: f32, reach: f32) {
        self.seen = (self.seen + 1.0).min(reach);
        let (step, off) = (1.0 / self.seen, x - self.mean);
        self.mean += step * off;
        self.variance = (1.0 - step) * (self.variance + step * off * off);
    }
}

impl Ledger {
    pub fn new(shape: RouterShape) -> Self {
        let own = vec![Gain::default(); shape.layers * shape.experts];
        Self { experts: shape.experts, own, layers: vec![Gain::default(); shape.layers] }
    }

    pub fn observe(&mut self, layer: LayerId, used: &[Contribution]) {
        for contribution in used {
            let gain = contribution.share / contribution.weight;
            if gain.is_finite() {
                let flat = layer.index() * self.experts + contribution.expert.index();
                self.own[flat].update(gain, REACH);
                self.layers[layer.index()].update(gain, LAYER_REACH);
            }
        }
    }

    /// The gain to expect of an expert, in means of its layer, `caution` standard deviations below its mean.
    /// 1 for an expert that is not known yet.
    pub fn gain(&self, layer: LayerId, expert: ExpertId, caution: f32) -> f32 {
        let own = self.own[layer.index() * self.experts + expert.index()];
        let mean = self.layers[layer.index()].mean;
        if own.seen < ENOUGH || mean <= 0.0 {
            return 1.0;
        }
        (own.mean - caution * own.variance.sqrt()).max(0.0) / mean
    }
}
