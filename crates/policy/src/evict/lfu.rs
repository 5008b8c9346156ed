//! Least frequently used, with ageing.

use hotset_base::ExpertKey;

use super::history::History;
use super::{Evict, Retention};

/// Keeps what was chosen most often; a use counts half as much after every `half_life` visits to its
/// layer (tokens, while decoding). Of equals, what was chosen last.
///
/// With `c` the faded count after the last use at visit `v`, the count at visit `t` is
/// `c * 2^((v - t) / half_life)`. Experts are compared at one moment, so `log2(c) + v / half_life`
/// orders them and need not be touched as time passes.
#[derive(Debug)]
pub struct Lfu {
    history: History,
    experts: usize,
    /// Visits after which a use counts half; `None` never fades.
    half_life: Option<f64>,
    /// `FLOOR + log2(c) + v / half_life` of every expert, or `c` if uses never fade; 0 before the first use,
    /// more than 0 after.
    worth: Vec<f64>,
}

/// Keeps what is worth anything above 0: a count may be preloaded that is less than one use.
const FLOOR: f64 = 64.0;

/// What a faded count at a visit is worth; `at`: that visit in half-lives.
fn worth_of(count: f64, at: f64) -> f64 {
    FLOOR + count.log2() + at
}

/// The count at that visit.
fn count_of(worth: f64, at: f64) -> f64 {
    (worth - FLOOR - at).exp2()
}

impl Lfu {
    /// For `layers` x `experts` experts.
    pub fn new(layers: usize, experts: usize, half_life: Option<u32>) -> Self {
        let half_life = half_life.map(|visits| f64::from(visits.max(1)));
        Self {
            history: History::new(layers, experts),
            experts,
            half_life,
            worth: vec![0.0; layers * experts],
        }
    }

    /// The expert was chosen by the latest visit to its layer.
    pub(super) fn is_latest(&self, key: ExpertKey) -> bool {
        let of = self.history.of(key);
        of.count > 0 && self.history.idle(key) == 0
    }

    /// The retention it would have with so many uses more, all at its last visit.
    pub(super) fn retention_with(&self, key: ExpertKey, more: f64) -> Retention {
        let (worth, of) = (self.worth[key.flat(self.experts)], self.history.of(key));
        let worth = match self.half_life {
            _ if more == 0.0 => worth,
            None => worth + more,
            Some(half_life) => {
                let at = of.last_visit as f64 / half_life;
                worth_of(count_of(worth, at) + more, at)
            }
        };
        // The bits of positive numbers are in their order.
        Retention(worth.to_bits(), of.last)
    }
}

impl Evict for Lfu {
    fn name(&self) -> &'static str {
        if self.half_life.is_some() { "lfu" } else { "lfu-all" }
    }

    fn used(&mut self, key: ExpertKey, visit_number: u64) {
        let (_, visit) = self.history.used(key, visit_number);
        let worth = &mut self.worth[key.flat(self.experts)];
        *worth = match self.half_life {
            None => *worth + 1.0,
            Some(half_life) => {
                let at = visit as f64 / half_life;
                let faded = if *worth == 0.0 { 0.0 } else { count_of(*worth, at) };
                worth_of(faded + 1.0, at)
            }
        };
    }

    fn preload(&mut self, key: ExpertKey, uses: f32, _visit_number: u64) {
        let uses = f64::from(uses);
        let at = self.half_life.map(|half_life| self.history.visits(key) as f64 / half_life);
        self.worth[key.flat(self.experts)] = at.map_or(uses, |at| worth_of(uses, at).max(0.0));
    }

    fn retention(&self, key: ExpertKey) -> Retention {
        self.retention_with(key, 0.0)
    }

    fn is_steady(&self) -> bool {
        true
    }
}
