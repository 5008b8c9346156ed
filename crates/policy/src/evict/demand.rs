//! What the model wants, whether or not it gets it.

use hotset_base::ExpertKey;

use super::history::History;
use super::{Evict, Retention};

/// Keeps what the model's own router has given the most weight; weight counts half after every `half_life`
/// visits to the expert's layer.
///
/// Under a lossy routing policy uses are what the arena made them; the demand is not. Logarithms as in
/// [`super::Lfu`]: `log2(sum) + visit / half_life` orders experts at any one moment.
#[derive(Debug)]
pub struct Demand {
    /// Of the demand, not of the uses.
    history: History,
    experts: usize,
    half_life: f64,
    /// `log2(faded weight) + visit / half_life`.
    worth: Vec<f64>,
}

/// Below the worth of anything that was ever wanted.
const NEVER: f64 = -1e9;

impl Demand {
    /// For `layers` x `experts` experts.
    pub fn new(layers: usize, experts: usize, half_life: u32) -> Self {
        Self {
            history: History::new(layers, experts),
            experts,
            half_life: f64::from(half_life.max(1)),
            worth: vec![NEVER; layers * experts],
        }
    }
}

impl Evict for Demand {
    fn name(&self) -> &'static str {
        "demand"
    }

    fn used(&mut self, _key: ExpertKey, _now: u64) {}

    fn wanted(&mut self, key: ExpertKey, weight: f32, now: u64) {
        let (_, visit) = self.history.used(key, now);
        let worth = &mut self.worth[key.flat(self.experts)];
        let at = visit as f64 / self.half_life;
        let sum = (*worth - at).exp2() + f64::from(weight);
        *worth = sum.max(f64::MIN_POSITIVE).log2() + at;
    }

    fn retention(&self, key: ExpertKey) -> Retention {
        // Shifted so that it is positive: the bits of positive numbers are in their order.
        Retention((self.worth[key.flat(self.experts)] - 2.0 * NEVER).to_bits(), self.history.of(key).last)
    }
}
