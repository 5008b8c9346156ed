//! What is owed: what refusing each expert has cost so far. Ski rental: renting until the rents add up
//! to the price costs at most twice what the best decision in hindsight would have.

use hotset_base::{ExpertId, LayerId};

use super::super::RouterShape;

/// Refused damage of every expert, fading with the horizon.
#[derive(Clone, Debug)]
pub(super) struct Owed {
    experts: usize,
    half_life: f32,
    /// `[layers * experts]`
    entries: Vec<Entry>,
}

/// What is owed to one expert.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    damage: f32,
    /// What was owed when it was settled last.
    settled: f32,
    /// The token that was added last.
    at: u64,
}

impl Owed {
    pub fn new(shape: RouterShape, half_life: f32) -> Self {
        Self {
            experts: shape.experts,
            half_life: half_life.max(1.0),
            entries: vec![Entry::default(); shape.layers * shape.experts],
        }
    }

    /// Takes what another has, in memory of its own.
    pub fn copy_from(&mut self, other: &Self) {
        self.entries.copy_from_slice(&other.entries);
    }

    /// Adds a refusal's damage and gives the sum.
    pub fn add(&mut self, layer: LayerId, expert: ExpertId, clock: u64, damage: f32) -> f32 {
        let half_life = self.half_life;
        let entry = self.entry(layer, expert);
        let idle = clock.saturating_sub(entry.at) as f32;
        entry.damage = entry.damage * (-idle / half_life).exp2() + damage;
        entry.at = clock;
        entry.damage
    }

    /// The expert has been read: nothing is owed.
    pub fn settle(&mut self, layer: LayerId, expert: ExpertId) {
        let entry = self.entry(layer, expert);
        entry.settled = std::mem::take(&mut entry.damage);
    }

    /// It could not be read after all: what was settled last is owed again.
    pub fn owe_again(&mut self, layer: LayerId, expert: ExpertId) {
        let entry = self.entry(layer, expert);
        entry.damage += std::mem::take(&mut entry.settled);
    }

    fn entry(&mut self, layer: LayerId, expert: ExpertId) -> &mut Entry {
        &mut self.entries[layer.index() * self.experts + expert.index()]
    }
}
