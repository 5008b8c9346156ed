//! What is owed: what refusing each expert has cost so far. Ski rental: renting until the rents add up
//! to the price costs at most twice what the best decision in hindsight would have.

use hotset_base::{ExpertId, LayerId};

use super::super::RouterShape;

/// Refused damage of every expert, fading with the horizon.
#[derive(Debug)]
pub(super) struct Owed {
    experts: usize,
    half_life: f32,
    /// `[layers * experts]`: damage, and the token it was added at.
    entries: Vec<(f32, u64)>,
}

impl Owed {
    pub fn new(shape: RouterShape, half_life: f32) -> Self {
        Self {
            experts: shape.experts,
            half_life: half_life.max(1.0),
            entries: vec![(0.0, 0); shape.layers * shape.experts],
        }
    }

    /// Adds a refusal's damage and gives the sum.
    pub fn add(&mut self, layer: LayerId, expert: ExpertId, tokens_routed: u64, damage: f32) -> f32 {
        let entry = &mut self.entries[layer.index() * self.experts + expert.index()];
        let idle = tokens_routed.saturating_sub(entry.1) as f32;
        *entry = (entry.0 * (-idle / self.half_life).exp2() + damage, tokens_routed);
        entry.0
    }

    /// The expert has been read: nothing is owed.
    pub fn settle(&mut self, layer: LayerId, expert: ExpertId) {
        self.entries[layer.index() * self.experts + expert.index()].0 = 0.0;
    }
}
