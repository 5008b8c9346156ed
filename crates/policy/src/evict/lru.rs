//! Least recently used.

use hotset_base::ExpertKey;

use super::{Evict, Retention};

/// Keeps what was chosen last. Hits nothing at all when the arena is smaller than one token's cycle
/// through the layers.
#[derive(Debug)]
pub struct Lru {
    experts: usize,
    last_use: Vec<u64>,
}

impl Lru {
    /// For `layers` x `experts` experts.
    pub fn new(layers: usize, experts: usize) -> Self {
        Self { experts, last_use: vec![0; layers * experts] }
    }
}

impl Evict for Lru {
    fn name(&self) -> &'static str {
        "lru"
    }

    fn used(&mut self, key: ExpertKey, now: u64) {
        self.last_use[key.flat(self.experts)] = now;
    }

    fn retention(&self, key: ExpertKey) -> Retention {
        Retention(self.last_use[key.flat(self.experts)], 0)
    }
}
