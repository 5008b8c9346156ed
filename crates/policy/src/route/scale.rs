//! How far the scores of a router spread: the unit of a bonus, so that one setting fits all layers.

use hotset_base::LayerId;

/// Tokens that a mean reaches back over.
const REACH: f32 = 256.0;

/// A running mean of the logit range (largest less smallest) of every layer.
#[derive(Clone, Debug)]
pub(super) struct LogitRange {
    /// Mean and tokens seen, at most [`REACH`].
    layers: Vec<(f32, f32)>,
}

impl LogitRange {
    pub fn new(layers: usize) -> Self {
        Self { layers: vec![(0.0, 0.0); layers] }
    }

    /// Takes what another has, in memory of its own.
    pub fn copy_from(&mut self, other: &Self) {
        self.layers.copy_from_slice(&other.layers);
    }

    /// Takes note of a token and gives the mean with it.
    pub fn update(&mut self, layer: LayerId, logits: &[f32]) -> f32 {
        let (min, max) =
            logits.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)));
        let (mean, seen) = &mut self.layers[layer.index()];
        *seen = (*seen + 1.0).min(REACH);
        *mean += (max - min - *mean) / *seen;
        *mean
    }

    /// The mean as it is.
    pub fn of(&self, layer: LayerId) -> f32 {
        self.layers[layer.index()].0
    }
}
